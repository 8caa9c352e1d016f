"""A web process that speaks TLS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import requests

from psthreads.domain.config import Config
from tests.support.certificates import make_certificate
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import web


def test_the_web_process_speaks_tls_where_it_has_a_certificate(config: Config, people: People, tmp_path: Path) -> None:
    own = make_certificate(tmp_path, "localhost")
    certificate = str(own.path)
    base = f"https://127.0.0.1:{config.port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{base}/healthz", verify=certificate, timeout=5).ok
        except requests.RequestException:
            return False

    with web(replace(config, certificate=certificate, private_key=str(own.key_path))):
        wait_for(is_up)
        answer = requests.get(f"{base}/threads", headers=people.bearer("chief"), verify=certificate, timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        stream = requests.get(
            f"{base}/threads/events", headers=people.bearer("chief"), verify=certificate, stream=True, timeout=30
        )
        with stream:
            # Longer than the time after which it is looked whether the client is there.
            lines = stream.iter_lines()
            assert next(lines) == b"retry: 1000"
            # A comment comes after some looks at whether the client is there, which TLS does not allow.
            assert any(line == b":" for _, line in zip(range(6), lines, strict=False))
