"""The worker processes: supervisor, worker and horse. The only package that knows RQ's worker."""
