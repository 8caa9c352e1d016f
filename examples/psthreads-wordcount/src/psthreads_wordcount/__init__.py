"""Counts the words of a group's documents: an example of a psthreads plug-in.

Importing the package declares its processes, so that the entry point in pyproject.toml finds them.
"""

from psthreads_wordcount.process import word_count

__all__ = ["word_count"]
