"""A proxy before an object store that fails as stores and networks do: some requests, each in one of these ways.

`slow-down`: answered 503 SlowDown, and not passed on. `error-200`: answered 200 with an error as its body, as S3 may
for copies and completions. `cut`: the connection is closed in place of passing the request on. `lose`: the store
carries it out, and nobody gets the answer. `half`: half of the answer comes. `stall`: it reaches the store late.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self
from urllib.parse import urlsplit

WAYS: Final = ("slow-down", "error-200", "cut", "lose", "half", "stall")
"""The ways in which a request fails."""

_NO_WAY: Final = frozenset({"connection", "transfer-encoding"})
_UPSTREAM_SECONDS: Final = 60.0
_ERROR: Final = "<?xml version='1.0'?><Error><Code>{0}</Code><Message>Please try again</Message></Error>"

Choice = Callable[[str, str], str]
"""Returns how a request with this method and target fails, empty for not at all."""


class FailingStore:
    """Passes requests on to the store at an address. A context manager; `endpoint` is where programs connect to."""

    def __init__(self, target: str, choice: Choice = lambda _method, _target: "", stall_seconds: float = 12) -> None:
        self.choice = choice
        self.stall_seconds = stall_seconds
        self.counts: Counter[str] = Counter()
        """The number of requests, under an empty name, and of those that failed in each way."""
        self.on_their_way = 0
        """The number of requests that the store may still get, or is still carrying out."""
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.target = urlsplit(target)
        self._server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="failing store", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, proxy: FailingStore) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        target = self.server.proxy.target
        self._upstream = HTTPConnection(target.hostname or "", target.port or 80, timeout=_UPSTREAM_SECONDS)

    def finish(self) -> None:
        self._upstream.close()
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        proxy = self.server.proxy
        with proxy.lock:
            proxy.on_their_way += 1
        try:
            self._pass(proxy)
        finally:
            with proxy.lock:
                proxy.on_their_way -= 1

    def _pass(self, proxy: FailingStore) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        way = proxy.choice(self.command, self.path)
        with proxy.lock:
            proxy.counts.update({"": 1, way: 1} if way else {"": 1})
        if way in {"slow-down", "error-200"}:
            code, status = ("SlowDown", 503) if way == "slow-down" else ("InternalError", 200)
            content = _ERROR.format(code).encode()
            self._answer(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))], content)
            return
        self.close_connection = way != ""
        if way == "cut" or (way == "stall" and proxy.ended.wait(proxy.stall_seconds)):
            return
        try:
            # As it came: its signature is for the address that the client knows.
            self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                self._upstream.putheader(name, value)
            self._upstream.endheaders(body)
            answer = self._upstream.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            self._upstream.close()
            self.close_connection = True
            return
        if way != "lose":
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _NO_WAY]
            if answer.getheader("Content-Length") is None and self.command != "HEAD":
                headers.append(("Content-Length", str(len(content))))
            self._answer(answer.status, headers, content[: len(content) // 2] if way == "half" else content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 (their names)
