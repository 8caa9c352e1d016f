"""Child processes for work in C, which nothing can interrupt: a forked child does it, and can be killed."""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable

from psthreads.authoring.interrupts import WAKE
from psthreads.system.confinement import FILES, NETWORK, confine_work
from psthreads.system.parent_death import die_with_parent

__all__ = ["FILES", "NETWORK", "confine_child", "fork_child"]

confine_child = confine_work


def fork_child(work: Callable[[], int]) -> int:
    """Fork a child that does the work, and return its process id. Call it within `context.shield()`.

    The child's exit status is the value that the work returns, or 1 if it raises. Its signals have their default
    handlers, its environment is empty, and it dies with this process. The caller waits for it with `os.waitpid`.
    """
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python warns about locks that other Python threads hold. A child that hangs on one can be killed.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _be_child(parent, work)
    return pid


def _be_child(parent: int, work: Callable[[], int]) -> None:
    code = 1
    try:
        for number in (WAKE, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(parent)
        os.environ.clear()  # A stylesheet has no use for it.
        gc.freeze()  # The child must not close the parent's objects.
        code = work()
    finally:
        os._exit(code)
