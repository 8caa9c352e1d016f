"""The same work, nothing at all, for Celery, RQ, Dramatiq and Huey.

`python -m bench.neighbours.celery_app JOBS` queues so many jobs.

These modules run in the virtual environment of `make bench-neighbours`, which has no psthreads. REDIS_URL names the
server's socket.
"""
