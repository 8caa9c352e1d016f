"""The end of what a process has left running: its thread is not said to have ended while something of it is at work.

A horse adopts the orphans of what it has started, so that all of it is a child of its own.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Final, NoReturn

from psthreads.authoring.context import Context
from psthreads.system.child_processes import has_children, kill
from psthreads.system.clock import steady
from psthreads.system.process_tree import children, program

_MOST_SECONDS: Final = 5.0  # the worker ends what is left after that
_PAUSE: Final = 0.002
_NAMED: Final = 5


def end_leftovers(context: Context) -> bool:
    """End all programs that the horse which calls this has started, and that are still running; name them in the log.

    Return whether there were any children.
    """
    if not has_children():
        return False
    is_named = False
    until = steady() + _MOST_SECONDS
    while (left := _left()) and steady() < until:
        if not is_named:
            names = ", ".join(f"{name} ({pid})" for pid, name in list(left.items())[:_NAMED])
            context.log(f"Ended what it left running: {names}{', …' if len(left) > _NAMED else ''}")
            is_named = True
        kill(list(left))
        time.sleep(_PAUSE)
    return True


def end_all() -> NoReturn:
    """Kill the horse which calls this, with all that it has started."""
    kill(list(_left()))
    os.killpg(0, signal.SIGKILL)
    raise SystemExit  # not reached


def _left() -> dict[int, str]:
    """Return the ids of the running children of this process, with the names of their programs; reap the others."""
    left = {}
    for child in children(os.getpid()) if has_children() else ():
        with suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
        if name := program(child):
            left[child] = name
    return left
