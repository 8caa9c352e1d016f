"""Requests that were made at random, against a real web process on raw sockets: no fault, no inside shown, no leak.

10,000 here; `make fuzz` sends 50,000 (FUZZ_REQUESTS), and FUZZ_SEED draws others.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

import psutil
import pytest
import requests
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import new_thread
from tests.support.waiting import wait_for
from tests.system.stack import Program, web
from tests.system.web.raw_http import Connection

MANY = int(os.environ.get("FUZZ_REQUESTS", "10000"))
SEED = int(os.environ.get("FUZZ_SEED", "7"))
MEGABYTE = 1024 * 1024
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "FOO"]
NASTY: list[bytes | str] = [
    *(b"", b"\x00", b"\xff\xfe", b"%", b"%zz", b"..", b"../../etc/passwd", b"//", b"\\", b"'\"<>&", b"{{7*7}}"),
    *(b"${jndi:ldap://x}", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa5", b"\r\nX-Evil: 1", b"a" * 3_000, b"-1", b"1e999"),
    *(b"NaN", b"99999999999999999999", b"true", b"~chief", b"None", b"[]", b"*", b"%00", b"%2e%2e%2f", b"\xc0\xae"),
    *("\u202e", "\u0130", "\ufdfa", "\u0661\u0662", "a\u0300"),
]
TEXTS: list[bytes] = [text.encode() if isinstance(text, str) else text for text in NASTY]
ACCEPTS = [
    *("*/*", "application/json", "application/xml;q=0", "text/html,*/*;q=0.1", "application/json;q=x", ";;;", "a/b/c"),
    *("*" * 500, "application/*", "json", "application/json;q=1e9", "q=1", ",,,,", 'application/json; a="', ""),
]
KINDS = [
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "text/xml", ""),
    *("application/json", "multipart/form-data; boundary=" + "y" * 300, "a/b; charset=nope", ";", "x" * 500),
    "application/x-www-form-urlencoded; charset=utf-16",
]
PARAMETERS = [
    *("page", "page-size", "status", "from", "tail", "level", "format", "path", "to", "pause", "how", "mark", "text"),
    *("includes", "excludes", "destination", "folder", "validate", "force", "group", "filename", "next", "username"),
    *(
        "after",
        "before",
        "since",
        "until",
        "process",
        "member",
        "name",
        "act",
        "thread",
        "threads",
        "every",
        "confirmed",
    ),
    *("reason", "like", "key", "role", "admin", "typed", "expires", "read", "by", "subject", "whole", "done"),
    *("stylesheet", "warn", "merge", "overwrite", "last-event-id", "csrf_token", "password", "grant_type", "client_id"),
]
HEADERS = [
    *("Prefer", "If-None-Match", "If-Match", "If-Modified-Since", "If-Range", "Range", "Idempotency-Key", "Cookie"),
    *("Last-Event-ID", "Origin", "Referer", "X-CSRFToken", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto"),
    *("Content-Encoding", "Expect-CT", "Accept-Language", "Accept-Charset", "User-Agent", "X-HTTP-Method-Override"),
]
VALUES = [
    *("wait=0", "wait=-1", "wait=x", 'W/"1-xml"', '"', "*", "bytes=0-1", "bytes=5-1", "bytes=-1", "bytes=0-0,1-1"),
    *("session=x.y.z", "session=.eJw", "Basic !!", "Basic Og==", "Basic \xff", "Bearer x", "Bearer", "Digest a=b"),
    *("Mon, 01 Jan 0000 00:00:00 GMT", "1", "-1", "a" * 2_000, "\xe9\xff", "null", "http://evil.example", "1-1"),
]


@dataclass(frozen=True)
class Served:
    program: Program
    port: int
    paths: list[tuple[str, list[str]]]
    tokens: list[str]

    def memory(self) -> int:
        """What the web process holds, in bytes."""
        (process,) = psutil.Process(self.program.pid).children()
        return int(process.memory_info().rss)


@pytest.fixture
def served(config: Config, app: Flask, people: People, redis: Redis, store: ThreadStore) -> Iterator[Served]:
    people.acme_folder.write("/documents/a.xml", b"<a/>")
    thread = store.create(new_thread(redis, group=people.acme))
    known = {"group": "acme", "member": "contributor", "thread": thread, "process": "count", "filename": "a.xml"}
    known["suffix"] = "json"
    paths = []
    for rule in app.url_map.iter_rules():
        # What follows all threads has no end of its own.
        if not rule.rule.endswith("/events"):
            with app.test_request_context():
                built = rule.build({name: known[name] for name in rule.arguments}, append_unknown=False)
            assert built is not None
            paths.append((built[1], sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})))

    def is_up() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{config.port}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    with web(config) as program:
        wait_for(is_up)
        yield Served(program, config.port, paths, [people.token("contributor"), people.token("chief")])


class Maker:
    """Makes requests, each half right: wholly wrong ones are refused at the door and find nothing."""

    def __init__(self, served: Served, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (not for secrets)
        self._served = served

    def request(self) -> tuple[str, bytes]:
        """The method, and the bytes of a request."""
        choice, chance = self._random.choice, self._random.random
        path, methods = choice(self._served.paths)
        method = choice(methods) if chance() < 0.85 else choice(METHODS)
        lines = [f"{method} ".encode() + self._address(path) + b" HTTP/1.1", b"Host: 127.0.0.1"]
        if chance() < 0.85:
            lines.append(f"Authorization: Bearer {choice(self._served.tokens)}".encode())
        if chance() < 0.5:
            lines.append(f"Accept: {choice(ACCEPTS)}".encode())
        for _ in range(self._random.randrange(3)):
            name, value = choice(HEADERS), choice(VALUES)
            if name != "Authorization" or chance() < 0.2:
                lines.append(f"{name}: {value}".encode("latin-1"))
        body = b""
        if method not in {"GET", "HEAD", "OPTIONS", "TRACE", "get"} or chance() < 0.05:
            body = self._body()
            lines += [f"Content-Type: {choice(KINDS)}".encode(), f"Content-Length: {len(body)}".encode()]
        return method, b"\r\n".join(lines) + b"\r\n\r\n" + body

    def _address(self, path: str) -> bytes:
        if self._random.random() < 0.4:
            parts = path.split("/")
            at = self._random.randrange(len(parts))
            parts[at] = quote_from_bytes(self._random.choice(TEXTS), safe=self._random.choice(["", "%./"]))
            path = "/".join(parts) or "/"
        if self._random.random() < 0.2:
            path += self._random.choice([".json", ".xml", ".JSON", ".", "/", "//", ";a=b", ".html"])
        path = path if path.startswith("/") else f"/{path}"
        query = self._form() if self._random.random() < 0.5 else b""
        return path.encode() + (b"?" + query if query else b"")

    def _form(self) -> bytes:
        pairs = []
        for _ in range(self._random.randrange(1, 4)):
            name = self._random.choice(PARAMETERS).encode()
            text = self._random.choice([*TEXTS, b"1", b"active", b"/documents", b"INFO"])
            pairs.append(name + self._random.choice([b"=", b"==", b""]) + quote_from_bytes(text).encode())
        return self._random.choice([b"&", b"&&", b";"]).join(pairs)

    def _body(self) -> bytes:
        if self._random.random() < 0.6:
            return self._form()
        part = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n--x--\r\n'
        return self._random.choice(
            [
                part % (b"file", b"a.xml", b"<a/>"),
                part % (self._random.choice(TEXTS), self._random.choice(TEXTS), b"x"),
                b"--x\r\n\r\n",
                b"--x",
                b'{"a":' * 50,
                self._random.randbytes(self._random.randrange(2_000)),
            ]
        )


def test_no_random_request_gets_a_fault_or_keeps_memory(served: Served) -> None:
    maker = Maker(served, SEED)
    connection = Connection(served.port)
    statuses: Counter[int] = Counter()
    held: list[int] = []
    for number in range(MANY):
        method, sent = maker.request()
        answer = None
        for _ in range(2):
            try:
                connection.send(sent)
                answer = connection.receive(has_body=method != "HEAD")
            except ConnectionError:
                answer = None
            if answer is not None:
                break
            # The server may close a connection between two requests, but not leave one without an answer.
            connection.close()
            connection = Connection(served.port)
        assert answer is not None, sent
        statuses[answer.status] += 1
        assert answer.status != 500, sent
        assert answer.status < 500 or answer.status in {501, 503, 505}, (answer.status, sent)
        assert b"Traceback" not in answer.body, sent
        assert b'File "' not in answer.body, sent
        assert "x-evil" not in answer.headers, sent
        if answer.headers.get("connection", "").lower() == "close":
            connection.close()
            connection = Connection(served.port)
        if number % (MANY // 4) == 0:
            held.append(served.memory())
    held.append(served.memory())
    grown = held[-1] - held[1]
    connection.close()
    print(f"seed {SEED}: {dict(sorted(statuses.items()))}, MB held by quarters: {[size // MEGABYTE for size in held]}")  # noqa: T201 (what `make fuzz` shows)
    assert grown < 24 * MEGABYTE
    # The requests get somewhere: not all of them are refused for the same reason.
    assert {200, 202, 400, 404, 405} <= set(statuses)
