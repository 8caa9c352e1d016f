"""Runs a process in a test, without Redis, workers and HTTP."""
