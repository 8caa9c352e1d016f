"""The project's own settings of gunicorn for an application that is not the project's."""

from __future__ import annotations

from psthreads.domain.config import Config

_config = Config.from_env()

bind = _config.address
worker_class = "gevent"
workers = 1
worker_connections = 2_000
accesslog = None
control_socket_disable = True
