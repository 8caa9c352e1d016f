"""gunicorn's settings: `psthreads web` starts `gunicorn --config python:psthreads.web.gunicorn_settings`.

gunicorn imports this module and takes its names. WEB_CONCURRENCY, the number of web processes, is gunicorn's own.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any, Final

from gunicorn.http.errors import InvalidHeader

from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.system.privileges import ROOT, runs_as_root
from psthreads.telemetry import logs, spans

_POLL_SECONDS: Final = 0.5
_log = logging.getLogger("psthreads.web")
_DESCRIPTORS: Final = 65_536
_SINGLE: Final = frozenset(
    ("AUTHORIZATION", "CONTENT-TYPE", "CONTENT-ENCODING", "CONTENT-RANGE", "IDEMPOTENCY-KEY", "LAST-EVENT-ID", "RANGE")
)
_PLACED: Final = (
    "HOST is not set and PORT is, as platforms do: listening on all addresses. Whoever reaches them without "
    "the platform's router speaks without TLS: set PSTHREADS_PROXIES=1 behind a router that adds TLS, or "
    "HOST=127.0.0.1 for this machine alone."
)
try:
    _config = Config.from_env()
    if is_placed := _config.is_placed:
        _config = replace(_config, host="0.0.0.0")  # noqa: S104 (the router of a platform is on another machine) # nosec B104
except ConfigError as error:  # gunicorn would show a traceback.
    sys.exit(str(error))

wsgi_app = "psthreads.web.app:create_app_from_env()"
bind = _config.address
worker_class = "psthreads.web.gunicorn_worker.Worker"
# More than there may be: those that are being closed end in their own time, and must not keep new ones waiting.
worker_connections = 2_400
graceful_timeout = 10
# A proxy that sends a POST on a connection which is just being closed as idle answers 502: it may not repeat it.
keepalive = 0 if _config.proxies else 2
accesslog = None  # PSTHREADS_ACCESS_LOG has ours.
logger_class = "psthreads.web.telemetry.server_logger.ServerLogger"
# Platforms collect both streams; what filters by stream takes stderr for errors.
logconfig_dict = {
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["console"], "propagate": False}},
    "root": {"level": "WARNING", "handlers": ["console"]},
}
control_socket_disable = True  # gunicorn would make it in the home of the user who starts the server.
# gunicorn refuses longer request lines and headers before the application reads them.
limit_request_line = 8_190
limit_request_fields = 100
limit_request_field_size = 8_190
# PSTHREADS_PROXIES alone says whose X-Forwarded headers count: gunicorn would believe any local program.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
if _config.certificate:
    certfile, keyfile = _config.certificate, _config.private_key


def on_starting(server: Any) -> None:
    """Raise the limit of open files, and warn of root; in production, refuse to start where that would be unsafe."""
    _allow_streams()
    if runs_as_root():
        server.log.warning(ROOT)
    if is_placed:
        server.log.warning(_PLACED)
    if not _config.production:
        return
    # The addresses and the certificate that gunicorn uses in the end: its own options may differ from our settings.
    for host in {address[0] for address in server.cfg.address if isinstance(address, tuple)} or {"127.0.0.1"}:
        effective = replace(
            _config, host=host, certificate=server.cfg.certfile or "", private_key=server.cfg.keyfile or ""
        )
        # gevent must patch this process before anything in it speaks to Redis, so the check runs in another one.
        check = [sys.executable, "-m", "psthreads.admin.doctor"]
        if code := subprocess.run(check, env=_environment(effective), check=False).returncode:  # noqa: S603 (our own program)
            sys.exit(code)


def pre_request(_worker: Any, request: Any) -> None:
    """Refuse a request that has a header twice that may stand there once: only one of the two would count."""
    names = [name for name, _ in request.headers if name in _SINGLE]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidHeader(f"{twice} is there twice")


def post_worker_init(worker: Any) -> None:
    """Start the janitor in each web process, so that a server without workers still tidies up."""
    services = worker.wsgi.extensions["psthreads"]
    gc.collect()
    gc.freeze()  # What is loaded now stays: scanning it at each collection would delay streams and requests.
    services.janitor.start()
    services.request_counts.start()
    spans.install(_config, background=True)
    logs.note(_log, f"psthreads {logs.release()}: web process ready", address=_config.address)
    threading.Thread(target=_end_streams, args=(worker, services.feed), name="end", daemon=True).start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Let another janitor lead at once, and let the others agree on the shared settings without this process."""
    if worker.booted:
        logs.note(_log, "Web process stopping")
        services = worker.wsgi.extensions["psthreads"]
        services.request_counts.stop()
        services.janitor.stop()


def _allow_streams() -> None:
    # Each stream holds a descriptor, and the usual limit is 1,024. gunicorn's workers inherit the new one.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        with contextlib.suppress(ValueError, OSError):
            limit = min(hard, _DESCRIPTORS) if hard > 0 else _DESCRIPTORS
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _environment(config: Config) -> dict[str, str]:
    tls = {"PSTHREADS_CERTIFICATE", "PSTHREADS_PRIVATE_KEY"}
    return {**{name: value for name, value in os.environ.items() if name not in tls}, **config.to_env()}


def _end_streams(worker: Any, feed: Any) -> None:
    # A stream never ends by itself: without this a stop or a reload would wait for the whole graceful timeout.
    while worker.alive:
        time.sleep(_POLL_SECONDS)
    feed.close()
