"""Compares psthreads' verdicts on documents with those of other validators."""
