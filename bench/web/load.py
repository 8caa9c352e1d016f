"""A load of requests over connections that stay open: `python -m bench.web.load PORT SECONDS CONNECTIONS < request`.

Prints how many answers came in a second, and the 99th percentile of the time for one in milliseconds. It runs in a
process of its own, so that it takes nothing from the server's.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One connection, which sends the next request as soon as the last is answered."""

    socket: socket.socket
    sent: float = 0.0
    answer: bytearray = field(default_factory=bytearray)


def is_whole(answer: bytearray) -> bool:
    """Return whether the answer has arrived whole, by its Content-Length."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(answer[:end]).lower()
    assert head.startswith((b"http/1.1 200 ", b"http/1.1 202 ")), bytes(answer)
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return len(answer) >= end + 4 + length


def main() -> None:
    """Send the load; print the rate and the 99th percentile."""
    port, seconds, count = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    request = sys.stdin.buffer.read()
    selector = selectors.DefaultSelector()
    for _ in range(count):
        connection = Connection(socket.create_connection(("127.0.0.1", port)))
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.sent = time.perf_counter()
        connection.socket.sendall(request)
    times: list[float] = []
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds:
        for key, _ in selector.select(1):
            connection = key.data
            connection.answer += connection.socket.recv(65536)
            if is_whole(connection.answer):
                now = time.perf_counter()
                times.append(now - connection.sent)
                connection.answer.clear()
                connection.sent = now
                connection.socket.sendall(request)
    if not times:
        sys.exit(f"No answer came within {seconds:g} s: the machine is too busy to measure.")
    times.sort()
    print(len(times) / (now - begin), times[int(len(times) * 0.99)] * 1000)


if __name__ == "__main__":
    main()
