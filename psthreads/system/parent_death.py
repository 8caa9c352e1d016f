"""The death of a parent process, which its children must not outlive."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_POLL_SECONDS: Final = 0.5
# A real-time signal that nobody else uses; see also authoring/interrupts.py. macOS has none, and does not need it.
_ORPHANED: Final = signal.SIGRTMIN + 16 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1


def die_with_parent(parent: int, before: Callable[[], None] | None = None) -> None:
    """Kill this process with SIGKILL when the parent with this process id dies, also where it has died already.

    On Linux the kernel does it (PR_SET_PDEATHSIG); elsewhere a daemon thread checks every half second. With `before`,
    which is called in the main Python thread on Linux, the process kills itself after that: a process that is stopped
    then lives on until it is continued.
    """

    def die(*_: object) -> None:
        if before is not None:
            before()
        os.kill(os.getpid(), signal.SIGKILL)

    if sys.platform == "linux":
        number: int = signal.SIGKILL
        if before is not None:
            number = _ORPHANED
            signal.signal(number, die)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent, die), name="lifeline", daemon=True).start()
    if os.getppid() != parent:
        die()


def _watch(parent: int, die: Callable[[], None]) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    die()
