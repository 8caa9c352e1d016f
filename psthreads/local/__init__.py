"""`psthreads run`: the whole service on one machine, with its first job done before a newcomer's eyes."""
