"""Many downloads of long logs, read or stalled: they take slots of their own, and no other request waits for them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from psthreads.domain.model import Level, Line, Report, Thread
from tests.support.waiting import wait_for
from tests.system.web.conftest import Site

MEMBERS = ("contributor", "manager", "moderator", "approver")
SHARE = 20


@pytest.fixture
def long_log(site: Site) -> Thread:
    thread = site.running()
    for number in range(1, 6):
        lines = tuple(Line(1_652_667_241_924, Level.INFO, f"{each} {'x' * 1_000}") for each in range(3_000))
        site.store.report(thread.id, "t", Report(number, lines=lines))
    return thread


def begin(site: Site, thread: Thread, who: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.config.port), 30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    path = f"/groups/acme/threads/{thread.id}/logs/download"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.people.token(who)}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def status(connection: socket.socket) -> int:
    return int(connection.recv(15).split()[1])


@pytest.fixture
def stalled(site: Site, long_log: Thread) -> Iterator[list[socket.socket]]:
    connections = [begin(site, long_log, who) for who in MEMBERS for _ in range(SHARE)]
    yield connections
    for connection in connections:
        connection.close()


def test_stalled_downloads_delay_no_list_and_take_no_more_than_their_slots(
    site: Site, long_log: Thread, stalled: list[socket.socket]
) -> None:
    slowest = 0.0
    for _ in range(20):
        began = time.monotonic()
        assert site.get("/groups/acme/threads").status_code == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 10, "seconds, on a machine that does much else"
    assert [status(connection) for connection in stalled] == [200] * len(stalled)
    with closing(begin(site, long_log, "contributor")) as one_more:
        assert status(one_more) == 429
    with closing(begin(site, long_log, "chief")) as other:
        assert status(other) == 200
    stalled.pop(0).close()

    def is_free() -> bool:
        with closing(begin(site, long_log, "contributor")) as again:
            return status(again) == 200

    wait_for(is_free)


def test_a_download_is_whole_while_others_stall(site: Site, long_log: Thread, stalled: list[socket.socket]) -> None:
    answer = site.get(f"/groups/acme/threads/{long_log.id}/logs/download", "chief")
    assert answer.text.count("x" * 1_000) == 15_000
