"""The algorithm: records, parameters, and the four steps as plain functions."""
