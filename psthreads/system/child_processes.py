"""The end of everything that a process has started, also of what left its process group, its session or its parent.

On Linux a process can adopt the orphans among its descendants, which would otherwise become children of process 1,
where nobody finds them. Elsewhere it cannot, and only its process groups can be ended.

A program that is killed or stopped ends nothing itself: its warden does, the process from which it was forked.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from psthreads.system.clock import steady
from psthreads.system.parent_death import die_with_parent
from psthreads.system.process_tree import children, descendants, is_stopped

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_MOST_SECONDS: Final = 10.0  # for a process that the kernel cannot end now, such as one that waits for a lost disk
_PAUSES: Final = (0.001, 0.05)  # the first and the longest, in seconds
LAST_SECONDS: Final = 0.5
"""How long a warden waits for the end of what its program has left behind."""

_LOOK_SECONDS: Final = 0.5  # at what a stopped program cannot end
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT)


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


def end_children(spare: Collection[int] = (), *, most: float = _MOST_SECONDS) -> None:
    """Kill and reap the children of this process, but for those in `spare`, with all that they started.

    It ends when there are none, or after at most so many seconds. Orphans that come meanwhile are ended as well.
    """
    until = steady() + most
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


def shared_ids(count: int) -> memoryview[int]:
    """Return room for so many process ids, 0 at first, which this process and those that it forks share."""
    return memoryview(mmap.mmap(-1, count * struct.calcsize("i"))).cast("i")


def fork_under_warden(spared: memoryview[int]) -> int | None:
    """Fork, and return None in the child, which is the program; be its warden here, and return its exit code.

    The warden passes SIGTERM and SIGINT on, and kills what the program has left behind at its end. Where a signal has
    killed the program, the same one kills the warden then; process 1, which none kills, returns 128 and its number.
    While the program is stopped (SIGSTOP), the warden kills those of its children that are stopped, too, or not in
    `spared`, such as orphans that it has adopted. The program dies with its warden. Raises OSError where there is no
    room for another process.
    """
    adopt_orphans()
    warden = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Where it is ignored, nobody learns how a child has ended.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # One that came now would end the warden alone.
    if not (program := os.fork()):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        die_with_parent(warden, before=end_children)
        return None

    def pass_on(number: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(program, number)
            os.kill(program, signal.SIGCONT)  # Else one that is stopped would not end.

    for each in _PASSED_ON:
        signal.signal(each, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    status = _watch(program, spared)
    for each in _PASSED_ON:
        signal.signal(each, signal.SIG_IGN)
    end_children(most=LAST_SECONDS)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler.
            signal.signal(-code, signal.SIG_DFL)
        os.kill(warden, -code)
        return 128 - code  # Process 1 is not killed by what it sends itself.
    return code


def _watch(program: int, spared: memoryview[int]) -> int:
    """Wait for the end of a program, and return its status; end what it cannot end while it is stopped."""
    stopped: set[int] | None = None  # those of its children that were, at the last look; None while it is not itself
    while True:
        changed, status = os.waitpid(-1, os.WUNTRACED | os.WCONTINUED | (0 if stopped is None else os.WNOHANG))
        if changed == program:
            if not (os.WIFSTOPPED(status) or os.WIFCONTINUED(status)):
                return status
            stopped = set() if os.WIFSTOPPED(status) else None
        elif stopped is not None and not changed:
            family = children(program)
            still = {child for child in family if is_stopped(child)}
            kill([child for child in family if child not in spared or child in still & stopped])
            stopped = still
            time.sleep(_LOOK_SECONDS)
