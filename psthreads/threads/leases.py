"""The lease of a running thread: how its time is divided.

A worker counts from when it sent the last request that renewed the lease, a janitor from when it saw the renewal, each
by a clock of its own that nobody sets. The worker's count begins first, so its code has ended before the janitor acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INTERRUPTED: Final = 0.5
"""The part of the lease after which a worker that cannot renew it interrupts its code."""

KILLED: Final = 0.7
"""The part after which it kills its code, and all that its code started."""

LOST: Final = 0.8
"""The part after which a janitor that saw no renewal meanwhile counts the worker as lost.

The tenth before it is for a kill that takes its time, and for clocks of different speed. The two tenths after it are
for two sweeps, and for the time that they take, so that a lost thread is noticed within its lease.
"""

SWEEP: Final = 0.05
"""The part between two sweeps of a janitor, which are at most a second apart."""

WORKER_LOST: Final = "Worker lost"
"""Why a thread was abandoned whose worker vanished; such threads are counted."""

CUT_OFF: Final = "Its worker was cut off from Redis"
"""Why a thread was abandoned whose worker could not renew its lease."""


@dataclass(frozen=True, slots=True)
class LeaseEntry:
    """A lease as Redis shows it: `renewed` changes with each renewal, and means nothing else to a reader."""

    thread_id: str
    renewed: bytes
