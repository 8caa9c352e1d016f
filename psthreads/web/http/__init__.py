"""Reads requests and writes answers; knows nothing of members."""
