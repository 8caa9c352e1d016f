"""The processes that a process has started, directly or not, and the memory that they use. Linux's /proc tells."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, their children and so on, parents first; empty where there is no /proc.

    Processes that start others meanwhile may be missing from it.
    """
    family = [pid]
    for each in family:
        family.extend(_children(each))
    return family[1:]


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


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError):
                children += map(int, (task / "children").read_text().split())
    return children
