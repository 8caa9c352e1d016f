"""A machine that starts no process, for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chaos.fork_limit import ForkLimit
from tests.support.machine import Missing
from tests.support.needs import leave_out


@contextmanager
def fork_limit() -> Iterator[ForkLimit]:
    """Yield a limit that works here, and remove it afterwards; leave the test out where none does."""
    limit = ForkLimit("test")
    limit.create()
    try:
        if not limit.is_possible:
            leave_out(Missing("Forking cannot be forbidden here: neither by a control group nor by RLIMIT_NPROC."))
        yield limit
    finally:
        limit.remove()
