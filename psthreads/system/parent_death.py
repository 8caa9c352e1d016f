"""Ties a process's life to its parent's, so that no process outlives the one that watches it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_POLL_SECONDS: Final = 0.5


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent dies; `parent` is the parent's process id.

    On Linux the kernel does it (PR_SET_PDEATHSIG); elsewhere a daemon thread asks every half second.
    A parent that died before the call is noticed, too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
