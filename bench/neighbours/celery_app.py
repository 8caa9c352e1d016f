"""Celery: late acknowledgement, results kept, and otherwise its defaults."""

from __future__ import annotations

import os
import sys

from celery import Celery

_URL = os.environ.get("REDIS_URL", "unix:///").replace("unix://", "redis+socket://")

app = Celery("bench", broker=_URL, backend=_URL)
app.conf.update(task_acks_late=True, worker_hijack_root_logger=False)


@app.task  # type: ignore[untyped-decorator] # Celery's own
def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    from bench.neighbours.celery_app import nothing as queued  # under the name that the workers know

    for _ in range(int(sys.argv[1])):
        queued.delay()
