"""A client of event streams over a real socket, which may close it at any byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Event:
    """One event of a stream; its id is that of the last one that had any."""

    kind: str
    data: Any
    id: str


class Stream:
    """One connection to a stream. Iterating gives its events, until the server ends it or the limit is reached."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str], last: str = "", limit: int = 0) -> None:
        """Connect and ask. With a limit the connection breaks after that many bytes of the stream."""
        self._socket = socket.socket()
        self._socket.settimeout(60)
        try:
            self._ask(port, path, headers, last, limit)
        except BaseException:
            self._socket.close()
            raise

    def _ask(self, port: int, path: str, headers: Mapping[str, str], last: str, limit: int) -> None:
        self._socket.connect(("127.0.0.1", port))
        # HTTP/1.0, so that what comes is the stream itself and not chunks of it.
        lines = [f"GET {path} HTTP/1.0", "Host: test", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [f"Last-Event-ID: {last}"] if last else []
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._rest = b""
        self._limit = float("inf")
        head = self._until(b"\r\n\r\n").decode()
        if limit:
            self._rest = self._rest[:limit]
            self._limit = limit - len(self._rest)
        self.status = int(head.split()[1])
        self.head = head

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def __iter__(self) -> Iterator[Event]:
        last = ""
        while block := self._until(b"\n\n"):
            fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n") if line[:1] not in {":", ""})
            last = fields.get("id", last)
            if "event" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), last)

    def has_comment(self) -> bool:
        """Whether a comment has come; it does not wait for one."""
        with suppress(BlockingIOError):
            self._rest += self._socket.recv(65536, socket.MSG_DONTWAIT)
        return b"\n:\n" in b"\n" + self._rest

    def body(self) -> bytes:
        """All that is left."""
        text = self._rest
        while chunk := self._socket.recv(65536):
            text += chunk
        return text

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            if not self._limit or not (chunk := self._socket.recv(int(min(65536, self._limit)))):
                return b""
            self._limit -= len(chunk)
            self._rest += chunk
        found, _, self._rest = self._rest.partition(end)
        return found
