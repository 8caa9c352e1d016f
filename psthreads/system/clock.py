"""A clock that nobody sets, for deadlines and leases."""

from __future__ import annotations

import time
from typing import Final

# Linux's CLOCK_MONOTONIC stands still while the machine sleeps, which must not make a lease longer.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Return the seconds since some time in the past, the same for all processes of this machine."""
    return time.clock_gettime(_CLOCK)
