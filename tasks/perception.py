"""The three perception tasks: one backbone each, run once for an image and its words.

They do not depend on any threshold, so a changed threshold never runs a backbone again.
"""

from __future__ import annotations

from zeropan.tasks.cache import cached_stage

embed_image = cached_stage(
    "embed_image", "SAM's image encoder: the embedding that every later prompt uses."
)
ground_things = cached_stage(
    "ground_things", "Grounding DINO: a score for every query box and token of the thing words."
)
score_stuff = cached_stage(
    "score_stuff", "CLIPSeg: a coarse grid of logits for every stuff word, an artifact each."
)
