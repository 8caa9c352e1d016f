"""The processes that a process has started, directly or not, and the memory that they use. Linux's /proc tells."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
# The kernel names a process's children only where it was built with CONFIG_PROC_CHILDREN.
_HAS_CHILDREN: Final = (_PROC / "self" / "task" / str(os.getpid()) / "children").exists()
_ENDED: Final = frozenset("ZXx")  # states in /proc (proc_pid_stat(5))
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Return the ids of a process's children, those included that have ended; empty where there is no /proc."""
    return _children(pid) if _HAS_CHILDREN else _all_children()[pid]


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, their children and so on, parents first; empty where there is no /proc.

    Processes that start others meanwhile may be missing from it.
    """
    children_of = _children if _HAS_CHILDREN else _all_children().__getitem__
    family = [pid]
    for each in family:
        family.extend(children_of(each))
    return family[1:]


def program(pid: int) -> str:
    """Return the name of the program that a process runs; empty for a process that has ended."""
    name, state = _name_and_state(pid)
    return name if state not in _ENDED else ""


def is_stopped(pid: int) -> bool:
    """Return whether a process stands still after a signal such as SIGSTOP."""
    return _name_and_state(pid)[1] == "T"


def resident(pids: Iterable[int]) -> int:
    """Return the bytes of the machine's memory that these processes use; what they share counts once for each."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):  # It has ended meanwhile.
            total += int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    return total


def proportional(pids: Iterable[int]) -> int:
    """Return the same, where what n processes share counts as an nth for each. It takes longer. Bytes."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def _name_and_state(pid: int) -> tuple[str, str]:
    with suppress(OSError):
        before, _, after = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")
        return before.partition("(")[2], after.split()[0]
    return "", ""


def _children(pid: int) -> list[int]:
    pids: list[int] = []
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError):
                pids += map(int, (task / "children").read_text().split())
    return pids


def _all_children() -> defaultdict[int, list[int]]:
    pids: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        with suppress(OSError, ValueError, IndexError):
            # The name of the program stands in brackets, and may contain anything.
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            pids[int(parent)].append(int(entry.name))
    return pids
