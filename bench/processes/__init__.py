"""Measurements of the processes, beside the plain programs that do the same."""
