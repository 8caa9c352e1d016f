"""Many event streams at once: `python -m bench.web.follow PORT SECONDS < requests`, one request in each line as JSON.

Says `ready` once every stream has given something, reads for so many seconds and prints, as JSON, the time that each
line of a log names and the milliseconds from then until it was read. In a process of its own, so that it takes nothing
from the server's.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time

_SENT = re.compile(rb'"message": "sent (\d+\.\d+)"')


def main() -> None:
    """Follow the streams; print the figures as JSON."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    selector = selectors.DefaultSelector()
    silent: set[int] = set()
    for line in sys.stdin:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(json.loads(line).encode())
        selector.register(connection, selectors.EVENT_READ)
        silent.add(connection.fileno())
    times: list[tuple[float, float]] = []
    end = float("inf")
    while time.monotonic() < end:
        for key, _ in selector.select(0.5):
            chunk = key.fileobj.recv(65536)  # type: ignore[union-attr] # a socket
            now = time.monotonic()
            assert chunk, "a stream ended"
            silent.discard(key.fd)
            times += [(float(sent), (now - float(sent)) * 1000) for sent in _SENT.findall(chunk)]
        if not silent and end == float("inf"):
            end = time.monotonic() + seconds
            print("ready", flush=True)
    print(json.dumps(times))


if __name__ == "__main__":
    main()
