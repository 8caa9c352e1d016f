"""A limit on the memory of a process and of all that it starts."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

from psthreads.system.process_tree import descendants, proportional, resident

_GIB: Final = 1024**3
# Address space is not memory: Python threads reserve 8 MiB each, and use little of it.
_RESERVED: Final = 2
# From 0 to 1,000 (proc_pid_oom_score_adj(5)): the kernel ends this process before those that serve everybody.
_FIRST_TO_GO: Final = 500


def confine(limit: int) -> None:
    """Have this process, and those that it will start, get no more than twice so many bytes of address space for data.

    What they ask for beyond that fails at once, in Python with MemoryError; `excess` finds what they use beyond the
    limit. Where the machine runs out of memory, the kernel ends this process first. 0 sets no limit.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))
    if limit:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = _RESERVED * limit
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def excess(pid: int, limit: int) -> str:
    """Return a sentence where the process and its descendants use more than so many bytes, else an empty text."""
    if not limit:
        return ""
    family = [pid, *descendants(pid)]
    # What they share with each other and with their parent counts once only in the slower figure.
    if resident(family) <= limit or (used := proportional(family)) <= limit:
        return ""
    return f"Out of memory: used {_gib(used)} of {_gib(limit)}"


def shortage() -> str:
    """Return the sentence for a MemoryError in this process."""
    used = resident([os.getpid()])
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return f"Out of memory: used {_gib(used)} and asked for more than the machine has"
    return f"Out of memory: used {_gib(used)} and asked for more than {_gib(limit // _RESERVED)}"


def _gib(size: int) -> str:
    return f"{size / _GIB:.2g} GiB" if size >= _GIB else f"{size / 1024**2:.0f} MiB"
