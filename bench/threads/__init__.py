"""Measurements of threads: what they cost Redis, and how fast they are."""
