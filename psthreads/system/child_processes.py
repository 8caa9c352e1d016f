"""The end of everything that a process has started, also of what left its process group, its session or its parent.

On Linux a process can adopt the orphans among its descendants, which would otherwise become children of process 1,
where nobody finds them. Elsewhere it cannot, and only its process groups can be ended.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from psthreads.system.clock import steady
from psthreads.system.process_tree import children, descendants

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_MOST_SECONDS: Final = 10.0  # for a process that the kernel cannot end now, such as one that waits for a lost disk
_PAUSES: Final = (0.001, 0.05)  # the first and the longest, in seconds


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def has_children() -> bool:
    """Return whether this process has a child, running or ended and not reaped."""
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    return False


def end_children(spare: Collection[int] = ()) -> None:
    """Kill and reap the children of this process, but for those in `spare`, with all that they started.

    It ends when there are none, or after 10 s. Orphans that come meanwhile are ended as well.
    """
    until = steady() + _MOST_SECONDS
    pause, longest = _PAUSES
    while has_children() and (roots := [child for child in children(os.getpid()) if child not in spare]):
        kill(roots)
        for root in roots:
            with suppress(ChildProcessError):
                os.waitpid(root, os.WNOHANG)
        if steady() > until:
            return
        time.sleep(pause)
        pause = min(2 * pause, longest)


def kill(pids: Collection[int]) -> None:
    """Kill these processes with all that they started."""
    for pid in [*pids, *(each for root in pids for each in descendants(root))]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
