"""Wrong passwords, and somebody at an address who sends them."""

from __future__ import annotations

from base64 import b64encode
from itertools import count

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from psthreads.domain.config import Config
from psthreads.web.app import create_app

_numbers = count()


def wrong() -> str:
    """Another wrong password each time: the same one counts once."""
    return f"wrong horse battery {next(_numbers)}"


class Caller:
    """Somebody at an address."""

    def __init__(self, config: Config, address: str = "192.0.2.1") -> None:
        self.http: FlaskClient = create_app(config).test_client(use_cookies=False)
        self.address = address

    def get(self, headers: dict[str, str], path: str = "/processes", address: str = "") -> TestResponse:
        return self.http.get(path, headers=headers, environ_base={"REMOTE_ADDR": address or self.address})


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}
