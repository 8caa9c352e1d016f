"""Processes that do nothing, so that all that is measured is what a thread costs by itself."""

from __future__ import annotations

import socket
import time

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process


@process(title="Nothing", route="/members/{member}/groups/{group}/bench/nothing")
def nothing(context: Context) -> None:
    """Do nothing, and say nothing."""


@process(title="Telling when it runs", route="/members/{member}/groups/{group}/bench/tell")
def tell(context: Context, path: str) -> None:
    """Send the monotonic time to a socket."""
    now = time.monotonic()
    context.check()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.sendto(str(now).encode(), path)
