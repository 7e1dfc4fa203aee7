"""Grounding DINO and its relatives: words to boxes."""
