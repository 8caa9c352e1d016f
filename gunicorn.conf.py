"""gunicorn's settings, taken from the same environment as everything else."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

from psthreads.domain.config import Config

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
# Who asked, and by which scheme, is told by PSTHREADS_PROXIES alone: gunicorn would believe any local program.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
if _config.certificate:
    certfile, keyfile = _config.certificate, _config.private_key


# Each stream holds a descriptor, and the usual limit is 1,024.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if _soft != resource.RLIM_INFINITY:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_hard, 65_536) if _hard > 0 else 65_536, _hard))


def on_starting(server: Any) -> None:
    """In production, refuse to be unsafe: before anything listens, and by what gunicorn was really told."""
    if not _config.production:
        return
    for host in {where[0] for where in server.cfg.address if isinstance(where, tuple)} or {"127.0.0.1"}:
        asked = replace(_config, host=host, certificate=server.cfg.certfile or "", private_key=server.cfg.keyfile or "")
        # In a process of its own: gevent wants to be in this one before anything that speaks to Redis.
        if code := subprocess.run(
            [sys.executable, "-m", "psthreads.admin.doctor"], env=_environment(asked), check=False
        ).returncode:
            sys.exit(code)


def _environment(config: Config) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PSTHREADS_CERTIFICATE", "PSTHREADS_PRIVATE_KEY"}
    }
    return {**kept, **config.to_env()}


def post_worker_init(worker: Any) -> None:
    """Every web process can be the janitor, so that a server without workers still tidies up."""
    services = worker.wsgi.extensions["psthreads"]
    gc.collect()
    gc.freeze()  # What is loaded by now stays: to look through it again and again would hold up streams and requests.
    services.janitor.start()
    threading.Thread(target=_end_streams, args=(worker, services.feed), name="end", daemon=True).start()


def _end_streams(worker: Any, feed: Any) -> None:
    # Streams have no end of their own: a stop or a reload would wait for them in vain.
    while worker.alive:
        time.sleep(_LOOK_SECONDS)
    feed.close()
