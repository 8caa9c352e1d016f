"""RQ itself: a fork for each job, and results kept."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue

_KEPT_SECONDS = 24 * 3600


def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    queue = Queue("bench", connection=Redis.from_url(os.environ["REDIS_URL"]))
    job = Queue.prepare_data("bench.neighbours.rq_app.nothing", result_ttl=_KEPT_SECONDS)
    queue.enqueue_many([job] * int(sys.argv[1]))
