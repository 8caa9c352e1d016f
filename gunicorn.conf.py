"""gunicorn's settings, taken from the same environment as everything else."""

from __future__ import annotations

import os
from typing import Any

from psthreads.config import Config

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


def post_worker_init(worker: Any) -> None:
    """Every web process can be the janitor, so that a server without workers still tidies up."""
    worker.wsgi.extensions["psthreads"].janitor.start()
