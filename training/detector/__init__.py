"""Trains the bundled box detector."""
