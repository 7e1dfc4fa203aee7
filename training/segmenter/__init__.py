"""Trains the bundled promptable segmenter."""
