"""Counts the words of a group's documents: an example of a psthreads plug-in.

The entry point in pyproject.toml names this package: importing it declares the process.
"""

from psthreads_wordcount.process import word_count

__all__ = ["word_count"]
