"""The one way to wait for something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """What the condition gives once it is true; fails the test when that takes longer than the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"Waited {seconds} s in vain"
        time.sleep(0.01)
