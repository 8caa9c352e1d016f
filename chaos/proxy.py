"""A TCP proxy between a program and its Redis, which can be cut: a network partition of that program alone."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Final, Self
from urllib.parse import urlsplit

_MOST_BYTES: Final = 65_536


class Proxy:
    """Passes connections on to the Redis at a URL, redis:// or unix://. A context manager.

    `url` is where programs connect to instead. Cut and mended as often as wanted, by any Python thread.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._requests_pass, self._answers_pass = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._refuses = False
        self.mend()

    @property
    def url(self) -> str:
        """The URL of Redis through this proxy."""
        database = "" if self._target.scheme == "unix" else self._target.path.strip("/")
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/{database or 0}"

    def cut(self) -> None:
        """Hold back whatever is sent in either direction, and refuse nothing, as an unplugged cable does."""
        self._requests_pass.clear()
        self._answers_pass.clear()

    def cut_answers(self) -> None:
        """Let requests through, and hold back their answers."""
        self._answers_pass.clear()

    def close(self) -> None:
        """Close all connections, and each new one at once."""
        self._refuses = True
        with self._lock:
            connections = list(self._sockets)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let everything through again; what was held back arrives now, late."""
        self._refuses = False
        self._requests_pass.set()
        self._answers_pass.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # It ends the wait in `accept`, which closing would not.
        self._listener.close()
        self.close()
        self._requests_pass.set()
        self._answers_pass.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, sink, gate in ((client, server, self._requests_pass), (server, client, self._answers_pass)):
                threading.Thread(target=self._pass_on, args=(source, sink, gate), daemon=True).start()
            if self._refuses:
                self.close()

    def _connect(self) -> socket.socket:
        if self._target.scheme == "unix":
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target.path)
            return server
        return socket.create_connection((self._target.hostname or "localhost", self._target.port or 6379), 5)

    def _pass_on(self, source: socket.socket, sink: socket.socket, gate: threading.Event) -> None:
        with suppress(OSError):
            source.settimeout(None)
            while data := source.recv(_MOST_BYTES):
                gate.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets.discard(source)
        source.close()
