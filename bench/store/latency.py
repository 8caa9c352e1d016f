"""A TCP proxy that makes a server far: what is sent to it arrives so many milliseconds later, in order."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from psthreads.system.parent_death import die_with_parent


class _End(asyncio.Protocol):
    """One end of a connection. What it receives is sent on through the other, later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._seconds:
            asyncio.get_running_loop().call_later(self._seconds, self._send_on, data)
        else:
            self._send_on(data)

    def join(self, other: _End) -> None:
        """Send on through this end, also what has come before."""
        self.other = other
        for data in self._early:
            self._send_on(data)

    def _send_on(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)


async def serve(port: int, target: int, seconds: float) -> None:
    """Pass connections to a port on to another one, for ever."""
    loop = asyncio.get_running_loop()
    joining: set[asyncio.Task[None]] = set()

    async def connect(client: _End) -> None:
        _, server = await loop.create_connection(lambda: _End(0), "127.0.0.1", target)
        server.join(client)
        client.join(server)

    class Client(_End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(connect(self))
            joining.add(task)
            task.add_done_callback(joining.discard)

    listener = await loop.create_server(lambda: Client(seconds), "127.0.0.1", port, backlog=256)
    await listener.serve_forever()


if __name__ == "__main__":
    die_with_parent(int(sys.argv[4]))
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
