"""The pages about threads: list, search, one thread, its log, start forms."""
