"""Work that would block the other requests of a web process, done on another Python thread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeVar

T = TypeVar("T")


class Pool(Enum):
    """The pools of Python threads: work of one kind never waits for work of another."""

    PASSWORDS = "passwords"
    DISK = "disk"
    CHECKS = "checks"

    @property
    def size(self) -> int:
        """The number of the pool's threads. Checks are Python code: two of them leave the event loop a third."""
        return {Pool.PASSWORDS: 4, Pool.DISK: 8, Pool.CHECKS: 2}[self]


_pools: Final[dict[Pool, Any]] = {}


def off_the_loop(work: Callable[[], T], pool: Pool = Pool.DISK) -> T:
    """Do the work without blocking gevent's event loop, and return its result. It must not raise in ordinary cases.

    Under gevent, a Python thread of the pool does it. Without gevent, the caller does. This module does not import
    gevent, and sees from the loaded modules whether it is in use.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return work()
    if pool not in _pools:
        _pools[pool] = sys.modules["gevent"].get_hub().threadpool_class(pool.size)
    result: T = _pools[pool].apply(work)
    return result
