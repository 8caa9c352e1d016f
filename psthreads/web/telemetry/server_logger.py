"""gunicorn's logger, which writes its lines in the form that the settings choose, and sets up those of psthreads."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from psthreads.domain.config import JSON_LINES, Config
from psthreads.telemetry import logs


class ServerLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """The logger of the master and of each web process. gunicorn makes it."""

    def setup(self, cfg: Any) -> None:
        """Set up gunicorn's handlers, and ours."""
        super().setup(cfg)
        config = Config.from_env()
        logs.install(config, libraries=True)
        if config.log_format == JSON_LINES:
            for handler in self.error_log.handlers:
                handler.setFormatter(logs.formatter(config))

    def access(self, *request: Any) -> None:
        """Write a line of gunicorn's access log where its own option asks for one; PSTHREADS_ACCESS_LOG has ours."""
        if self.cfg.accesslog:  # gunicorn would put the line together, and show it nowhere: a seventh of a request.
            super().access(*request)
