"""HTTP as bytes on a socket, for requests that no client would send."""

from __future__ import annotations

import socket
from dataclasses import dataclass

DEADLINE = 20.0


@dataclass(frozen=True)
class Answered:
    """One answer: its status, its header fields by name in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection that stays open between requests, as long as the server lets it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self._left = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, *, has_body: bool = True) -> Answered | None:
        """The next answer; None when the server has closed the connection instead."""
        while b"\r\n\r\n" not in self._left:
            if not self._more():
                return None
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if not has_body or status in {204, 304} or status < 200:
            return Answered(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answered(status, headers, self._chunks())
        if "content-length" not in headers:
            while self._more():
                pass
            body, self._left = self._left, b""
            return Answered(status, headers, body)
        return Answered(status, headers, self._take(int(headers["content-length"])))

    def is_closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        return not self._left and not self._more()

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65_536)
        except ConnectionError:
            return False
        self._left += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        while len(self._left) < size and self._more():
            pass
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._left:
                if not self._more():
                    return body
            line, _, self._left = self._left.partition(b"\r\n")
            size = int(line, 16)
            body += self._take(size + 2)[:-2]
            if not size:
                return body
