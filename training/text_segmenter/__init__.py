"""Trains the bundled text segmenter."""
