"""Claims about clients that are slow on purpose, on real sockets: they are closed, and others never notice them."""

from __future__ import annotations

import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from psthreads.domain.config import Config
from tests.support.certificates import make_certificate
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import web
from tests.system.web.raw_http import Connection

MANY = 2_100
HEAD = (
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 9000\r\n\r\n"
)


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192) if hard > 0 else 8_192, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def serving(config: Config, verify: str = "") -> Iterator[str]:
    base = f"http{'s' if config.certificate else ''}://127.0.0.1:{config.port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{base}/healthz", timeout=5, verify=verify or True).ok
        except requests.RequestException:
            return False

    with web(config):
        wait_for(is_up)
        yield base


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))


def slowest(probe: Callable[[], None], seconds: float) -> float:
    """The longest that a probe took, of those of so many seconds."""
    longest, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        start = time.monotonic()
        probe()
        longest = max(longest, time.monotonic() - start)
        time.sleep(0.02)
    return longest


def attack(
    stack: ExitStack, port: int, sources: tuple[str, ...], begin: Callable[[socket.socket], None]
) -> threading.Event:
    """Open MANY connections, and open again what the server closes, until the event that is returned is set."""
    ended, opened = threading.Event(), threading.Event()

    def run() -> None:
        connections: list[socket.socket] = []
        for number in range(MANY):
            if ended.is_set():
                break
            connection = connect(port, sources[number % len(sources)])
            begin(connection)
            connections.append(connection)
            if not number % 50:
                time.sleep(0.1)  # about as fast as the network would bring them
        opened.set()
        while not ended.wait(0.5):
            for connection in connections:
                try:
                    connection.send(b"a")  # to those that the server has closed, nothing
                except OSError:
                    continue
        for connection in connections:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    stack.callback(thread.join)
    stack.callback(ended.set)
    return opened


def how_busy() -> float:
    """How many programs wait for each processor of this machine; 1 for a machine that has nothing else to do."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def slowest_of_others(opened: threading.Event, base: str, people: People, verify: str = "") -> tuple[float, float]:
    """The longest that a health check took from the first connection on, and how long a sign-in took in the end."""

    def check() -> None:
        assert requests.get(f"{base}/healthz", timeout=10, verify=verify or True).ok

    longest = 0.0
    while not opened.is_set():
        longest = max(longest, slowest(check, 0.1))
    longest = max(longest, slowest(check, 2))
    start = time.monotonic()
    headers = people.basic("contributor")
    assert (
        requests.get(f"{base}/groups/acme/threads", headers=headers, timeout=10, verify=verify or True).status_code
        == 200
    )
    return longest, time.monotonic() - start


# One address, as behind a proxy that nobody declared; and so many that the share of an address does not help.
SOURCES = {"one address": ("127.0.0.1",), "seven addresses": tuple(f"127.0.0.{number}" for number in range(2, 9))}


@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES)
def test_others_do_not_notice_2100_bodies_that_trickle_in(
    config: Config, people: People, sources: tuple[str, ...]
) -> None:
    with serving(config) as base, ExitStack() as stack:
        busy = how_busy()
        opened = attack(stack, config.port, sources, lambda connection: connection.sendall(HEAD))

        health, sign_in = slowest_of_others(opened, base, people)
        assert (health < 0.5 * busy, sign_in < 2 * busy) == (True, True), (health, sign_in, busy)


def test_others_do_not_notice_2100_connections_without_a_handshake(
    config: Config, people: People, tmp_path: Path
) -> None:
    own = make_certificate(tmp_path, "localhost")
    config = replace(config, certificate=str(own.path), private_key=str(own.key_path))
    with serving(config, verify=str(own.path)) as base, ExitStack() as stack:
        busy = how_busy()
        opened = attack(stack, config.port, SOURCES["seven addresses"], lambda _: None)
        health, sign_in = slowest_of_others(opened, base, people, verify=str(own.path))
        assert (health < 0.5 * busy, sign_in < 2 * busy) == (True, True), (health, sign_in, busy)


def test_a_client_that_stops_in_the_middle_is_given_up_and_a_steady_one_is_not(config: Config, people: People) -> None:
    with serving(replace(config, client_timeout=1)):
        _trickled_body_gets_408(config.port)
        _slow_upload_is_taken(config.port, people.token("contributor"))
        _answer_that_nobody_takes_is_given_up(config.port)


def _trickled_body_gets_408(port: int) -> None:
    connection = Connection(port)
    connection.send(HEAD)
    start = time.monotonic()

    def is_answered() -> bool:
        connection.send(b"a")
        connection.socket.settimeout(0.1)
        try:
            return bool(connection.socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False

    wait_for(is_answered, 10)
    assert 0.9 < time.monotonic() - start < 5
    answer = connection.receive()
    assert answer is not None
    assert answer.status == 408
    assert b'<error id="0408">' in answer.body
    assert connection.is_closed()
    connection.close()


def _slow_upload_is_taken(port: int, token: str) -> None:
    connection = Connection(port)
    connection.send(
        b"PUT /ps/servlet/upload?group=acme&filename=a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10240\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % token.encode()
    )
    for _ in range(20):
        connection.send(b"a" * 512)
        time.sleep(0.1)  # 5 kB/s, for twice as long as a client may be silent
    answer = connection.receive()
    assert answer is not None
    assert answer.status == 201
    connection.close()


def _answer_that_nobody_takes_is_given_up(port: int) -> None:
    with connect(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Until the system's own buffers are full.
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)

        def is_reset() -> bool:
            try:
                connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            except OSError:
                return True
            return False

        wait_for(is_reset, 10)


def test_a_handshake_that_does_not_come_to_its_end_is_given_up(config: Config, tmp_path: Path) -> None:
    own = make_certificate(tmp_path, "localhost")
    config = replace(config, certificate=str(own.path), private_key=str(own.key_path), client_timeout=1)
    with serving(config, verify=str(own.path)), connect(config.port) as silent, connect(config.port) as begun:
        client = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(own.path))
        with pytest.raises(ssl.SSLWantReadError):
            context.wrap_bio(*client, server_hostname="localhost").do_handshake()
        hello = client[1].read()
        begun.settimeout(0.2)

        def is_given_up() -> bool:
            nonlocal hello
            try:
                begun.send(hello[:1])
                hello = hello[1:]
                return not begun.recv(1)
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_for(is_given_up, 10)
        silent.settimeout(5)
        assert silent.recv(1) == b""


def test_one_address_has_a_share_of_the_connections(config: Config) -> None:
    with serving(replace(config, connections_per_address=20)) as base, ExitStack() as stack:
        slow = [stack.enter_context(connect(config.port, "127.0.0.9")) for _ in range(30)]
        for connection in slow:
            connection.sendall(HEAD)
            connection.settimeout(0.02)
        wait_for(lambda: sum(map(_is_closed, slow)) >= 10, 10)
        assert requests.get(f"{base}/healthz", timeout=5).ok
        assert not all(map(_is_closed, slow))


def test_behind_a_declared_proxy_its_address_has_no_share(config: Config) -> None:
    with serving(replace(config, connections_per_address=5, proxies=1)), ExitStack() as stack:
        slow = [stack.enter_context(connect(config.port)) for _ in range(30)]
        for connection in slow:
            connection.sendall(HEAD)
            connection.settimeout(0.02)
        assert not any(map(_is_closed, slow))


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True
