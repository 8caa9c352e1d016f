"""gunicorn's settings, taken from the same environment as everything else."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from typing import Any

from psthreads.config import Config

_LOOK_SECONDS = 0.5
_config = Config.from_env()

bind = f"{_config.host}:{_config.port}"
worker_class = "gevent"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
worker_connections = 2_000
graceful_timeout = 10
accesslog = None
control_socket_disable = True  # it would be made in the home of whoever starts the server
# A request line and headers beyond these are refused before anything reads them.
limit_request_line = 8_190
limit_request_fields = 100
limit_request_field_size = 8_190


# Each stream holds a descriptor, and the usual limit is 1,024.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if _soft != resource.RLIM_INFINITY:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_hard, 65_536) if _hard > 0 else 65_536, _hard))


def post_worker_init(worker: Any) -> None:
    """Every web process can be the janitor, so that a server without workers still tidies up."""
    services = worker.wsgi.extensions["psthreads"]
    services.janitor.start()
    threading.Thread(target=_end_streams, args=(worker, services.feed), name="end", daemon=True).start()


def _end_streams(worker: Any, feed: Any) -> None:
    # Streams have no end of their own: a stop or a reload would wait for them in vain.
    while worker.alive:
        time.sleep(_LOOK_SECONDS)
    feed.close()
