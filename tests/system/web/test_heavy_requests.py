"""Claims about one member's heavy requests, whose clients are gone: others sign in and upload all the while."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
import requests

from psthreads.domain.config import Config
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import web

PATTERNS = ",".join(f"*x{number}*y*z" for number in range(50))


@pytest.fixture
def base(config: Config) -> Iterator[str]:
    base = f"http://127.0.0.1:{config.port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{base}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    with web(config):
        wait_for(is_up)
        yield base


def test_twelve_exports_with_many_patterns_let_others_sign_in_and_upload(
    base: str, config: Config, people: People
) -> None:
    documents = config.documents / "groups" / str(people.acme.id) / "documents"
    documents.mkdir(parents=True)
    for number in range(4_900):
        (documents / f"{'xyz' * 20}{number}.psml").touch()
    path = f"/members/contributor/groups/acme/export?includes={PATTERNS}"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {people.bearer('contributor')['Authorization']}\r\n\r\n"
    connections = [socket.create_connection(("127.0.0.1", config.port), timeout=20) for _ in range(12)]
    for connection in connections:
        connection.sendall(head.encode())
    for connection in connections:
        connection.close()
    start = time.monotonic()
    answer = requests.get(f"{base}/groups/acme/threads", headers=people.basic("manager"), timeout=60)
    assert (answer.status_code, time.monotonic() - start < 2) == (200, True)
    start = time.monotonic()
    url = f"{base}/ps/servlet/upload?group=acme&filename=a.txt"
    answer = requests.put(url, headers=people.bearer("manager"), data=b"a", timeout=60)
    assert (answer.status_code, time.monotonic() - start < 2) == (201, True)


def test_more_than_fifty_patterns_are_refused(base: str, people: People) -> None:
    url = f"{base}/members/contributor/groups/acme/export"
    form = {"includes": PATTERNS, "excludes": "*.txt"}
    answer = requests.post(url, headers=people.bearer("contributor"), data=form, timeout=20)
    assert answer.status_code == 400
    assert "50 patterns" in answer.text
