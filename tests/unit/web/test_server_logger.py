"""gunicorn's logger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent
import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi

from psthreads.web import gunicorn_settings, gunicorn_worker
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


def test_requests_write_their_errors_to_the_log_file_that_was_opened_again(tmp_path: Path) -> None:
    worker: Any = object.__new__(gunicorn_worker.Worker)
    config = Config()
    config.set("errorlog", str(tmp_path / "errors"))
    worker.log = ServerLogger(config)
    wsgi.base_environ(config)["wsgi.errors"].write("before\n")
    (tmp_path / "errors").rename(tmp_path / "old")
    worker.handle_usr1(0, None)
    gevent.sleep(0)
    gevent.sleep(0)
    wsgi.base_environ(config)["wsgi.errors"].write("after\n")
    assert ((tmp_path / "old").read_text(), (tmp_path / "errors").read_text()) == ("before\n", "after\n")
