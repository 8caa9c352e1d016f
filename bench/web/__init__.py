"""Measurements of a web process, over HTTP."""
