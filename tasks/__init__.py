"""Cached Prefect tasks around plain functions."""
