"""gunicorn's logger."""

from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config

from psthreads.web import gunicorn_settings
from psthreads.web.telemetry.server_logger import ServerLogger


def _logger(accesslog: str | None) -> Any:
    config = Config()
    config.set("logconfig_dict", gunicorn_settings.logconfig_dict)
    config.set("accesslog", accesslog)
    return ServerLogger(config)


def test_no_request_is_put_together_for_an_access_log_that_nobody_has_asked_for() -> None:
    _logger(None).access(None, None, None, None)
    with pytest.raises(AttributeError):  # gunicorn looks at the answer.
        _logger("-").access(None, None, None, None)
