"""Whether an operating system process has ended."""

from __future__ import annotations

from contextlib import suppress

import psutil


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, also where nobody has asked for its exit status."""
    with suppress(psutil.NoSuchProcess):  # It may go while it is looked at.
        return process.status() == psutil.STATUS_ZOMBIE
    return True
