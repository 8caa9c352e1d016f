"""Ports for the servers of the tests."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port below those that the system gives to clients: one of these could take it before the server does."""
    while True:
        port = random.randrange(12_000, 32_000)  # noqa: S311 (nobody needs to guess it)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
