"""Work that would stop a web process's other requests, done beside them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def off_the_loop(work: Callable[[], T]) -> T:
    """Do the work, which must not raise for an ordinary reason, without stopping gevent's other requests.

    For work that lets go of the interpreter lock: under gevent, a thread of its pool does it meanwhile.
    Whether gevent is in use shows in what is loaded: nothing here loads it.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return work()
    done: T = sys.modules["gevent"].get_hub().threadpool.apply(work)
    return done
