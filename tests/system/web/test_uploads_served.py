"""Claims about uploads through a real server and real sockets: broken off, too large, slow, and memory."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from psthreads.domain.config import Config
from tests.support.loading import is_untouched
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import Program, web

UPLOAD = "/ps/servlet/upload"
LARGEST = 320 * 1024 * 1024


class Served:
    def __init__(self, program: Program, config: Config, people: People) -> None:
        self.config = config
        self.url = f"http://127.0.0.1:{config.port}{UPLOAD}?group=acme&filename="
        self.headers = people.bearer("contributor")
        self._program = program

    def begin(self, name: str, headers: str, by: str = "") -> socket.socket:
        """Send the head of a PUT, and leave the body to the test."""
        connection = socket.create_connection(("127.0.0.1", self.config.port), timeout=20)
        lines = (
            f"PUT {UPLOAD}?group=acme&filename={name} HTTP/1.1",
            "Host: x",
            f"Authorization: {by or self.headers['Authorization']}",
            headers,
        )
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        return connection

    def memory(self) -> int:
        """The resident memory of the web processes in bytes."""
        return max(psutil.Process(child.pid).memory_info().rss for child in self._program.children())

    def half_written(self) -> list[Path]:
        return list((self.config.documents / "loading").rglob(".psthreads-*"))


@pytest.fixture
def served(config: Config, people: People) -> Iterator[Served]:
    config = replace(config, max_upload=LARGEST)

    def is_up() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{config.port}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    with web(config) as program:
        wait_for(is_up)
        yield Served(program, config, people)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    answer = b""
    while data := connection.recv(65_536):
        answer += data
    return answer


@pytest.mark.parametrize("headers", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_an_upload_that_breaks_off_in_the_middle_leaves_nothing(served: Served, headers: str) -> None:
    with served.begin("folder/a.bin", headers) as connection:
        piece = b"x" * 300_000
        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if "chunked" in headers else piece)
        wait_for(lambda: [path for path in served.half_written() if path.stat().st_size])
    wait_for(lambda: not list((served.config.documents / "loading").rglob("folder*")))
    assert not served.half_written()
    again = requests.put(served.url + "folder/a.bin", data=b"x", headers=served.headers, timeout=20)
    assert again.status_code == 201


@pytest.mark.parametrize(("length", "status"), [(LARGEST + 1, b"413"), (LARGEST, b"401")])
def test_a_large_upload_that_is_refused_is_not_read_and_the_connection_is_closed(
    served: Served, length: int, status: bytes
) -> None:
    with served.begin("a.bin", f"Content-Length: {length}", by="" if status == b"413" else "Bearer nope") as connection:
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"<error id=" in answer
    assert requests.get(served.url.partition("/ps/")[0] + "/healthz", timeout=20).ok


def test_a_chunked_upload_above_the_limit_is_refused_while_it_arrives(served: Served) -> None:
    served.config.documents.mkdir(parents=True, exist_ok=True)

    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield bytes(1 << 20)

    try:
        response = requests.put(served.url + "a.bin", data=endless(), headers=served.headers, timeout=60)
    except requests.RequestException:
        pass  # The client was still sending when the server had heard enough.
    else:
        assert response.status_code == 413
    wait_for(lambda: not served.half_written())
    assert is_untouched(served.config)


def test_a_large_upload_neither_fills_the_memory_nor_stops_other_requests(served: Served) -> None:
    size = 300 * 1024 * 1024
    health = served.url.partition("/ps/")[0] + "/healthz"
    requests.put(served.url + "warm.bin", data=bytes(1 << 20), headers=served.headers, timeout=20)
    base = peak = served.memory()
    slowest = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak, slowest
        while not done.is_set():
            peak = max(peak, served.memory())
            slowest = max(slowest, requests.get(health, timeout=60).elapsed.total_seconds())

    watching = threading.Thread(target=watch)
    watching.start()
    body = (bytes(1 << 20) for _ in range(300))
    try:
        response = requests.put(
            served.url + "large.bin", data=body, headers={**served.headers, "Accept": "application/json"}, timeout=60
        )
        streamed = requests.post(
            served.url.partition("&")[0],
            data=(part for part in (FORM, *(bytes(1 << 20) for _ in range(50)), b"\r\n--XX--\r\n")),
            headers={**served.headers, "Content-Type": "multipart/form-data; boundary=XX"},
            timeout=60,
        )
    finally:
        done.set()
        watching.join()
    upload = response.json()
    assert (upload["filename"], upload["size"]) == ("large.bin", size)
    assert streamed.status_code == 201
    assert peak - base < 30_000_000
    assert slowest < 3


FORM = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="form.bin"\r\n\r\n'


def test_packing_an_export_for_an_answer_at_once_does_not_stop_other_requests(served: Served) -> None:
    below = served.config.documents / "groups" / "1" / "documents"
    below.mkdir(parents=True)
    for number in range(20):
        (below / f"{number}.txt").write_bytes(os.urandom(1_500_000).hex().encode())
    base = served.url.partition("/ps/")[0]
    slowest, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal slowest
        while not done.is_set():
            slowest = max(slowest, requests.get(f"{base}/healthz", timeout=60).elapsed.total_seconds())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        answer = requests.get(f"{base}/members/contributor/groups/acme/export", headers=served.headers, timeout=60)
    finally:
        done.set()
        watching.join()
    assert answer.headers["Content-Type"] == "application/zip"
    assert slowest < answer.elapsed.total_seconds() / 2
