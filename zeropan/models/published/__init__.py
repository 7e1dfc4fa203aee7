"""The published models: what they are, and how they get onto this machine."""
