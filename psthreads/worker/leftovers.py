"""The end of what a process has left running: its thread is not said to have ended while something of it is at work."""

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


def end_leftovers(context: Context, worker: int) -> None:
    """End all programs that the horse which calls this has started, and that are still running; name them in the log.

    Some are children of the worker by now, which adopts orphans.
    """
    is_named = False
    until = steady() + _MOST_SECONDS
    while (left := _left(worker)) and steady() < until:
        if not is_named:
            names = ", ".join(f"{name} ({pid})" for pid, name in list(left.items())[:_NAMED])
            context.log(f"Ended what it left running: {names}{', …' if len(left) > _NAMED else ''}")
            is_named = True
        kill(list(left))
        time.sleep(_PAUSE)


def end_all(worker: int) -> NoReturn:
    """Kill the horse which calls this, with all that it has started."""
    kill(list(_left(worker)))
    os.killpg(0, signal.SIGKILL)
    raise SystemExit  # not reached


def _left(worker: int) -> dict[int, str]:
    """Return the ids of the running children of this process and of the worker, with the names of their programs."""
    me = os.getpid()
    own = children(me) if has_children() else []
    for child in own:
        with suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
    return {pid: name for pid in (*own, *children(worker)) if pid != me and (name := program(pid))}
