"""A group's documents, loading zones and results on the disk."""
