"""Work that would block the other requests of a web process, done on another Python thread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def off_the_loop(work: Callable[[], T]) -> T:
    """Do the work without blocking gevent's event loop, and return its result. It must not raise in ordinary cases.

    For work that releases the interpreter lock: under gevent, a Python thread of its pool does it. Without gevent, the
    caller does. This module does not import gevent, and sees from the loaded modules whether it is in use.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return work()
    result: T = sys.modules["gevent"].get_hub().threadpool.apply(work)
    return result
