"""Adapters to the three packages behind small Protocols; presets and weights."""
