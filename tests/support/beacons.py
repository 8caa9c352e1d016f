"""Processes that write down when they are at work, so that a test sees whether two were at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process

_ROUTE = "/members/{member}/groups/{group}/beacons/"
_PAUSE = 0.02
_CHILD = f"""
import os, sys, time
if sys.argv[2] == "detached" and os.fork():
    os._exit(0)
while True:
    with open(sys.argv[1], "a") as file:
        file.write(f"{{os.getpid()}} {{time.monotonic()}}\\n")
    time.sleep({_PAUSE})
"""


def _shine(mark: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    with Path(mark).open("a", buffering=1) as file:
        while time.monotonic() < until:
            file.write(f"{os.getpid()} {time.monotonic()}\n")
            time.sleep(_PAUSE)


@process(title="Shining", route=_ROUTE + "plain")
def plain(context: Context, mark: str, seconds: float = 30.0) -> str:
    """Works, and says so in a file."""
    _shine(mark, seconds)
    return "Shone"


@process(title="Shining again", route=_ROUTE + "again", restartable=True)
def again(context: Context, mark: str, seconds: float = 30.0) -> str:
    """Works, and may run again."""
    _shine(mark, seconds)
    return "Shone"


@process(title="Shining alone", route=_ROUTE + "alone", exclusive=True)
def alone(context: Context, mark: str, seconds: float = 30.0) -> str:
    """Works, and is the only changer of its group's documents meanwhile."""
    _shine(mark, seconds)
    return "Shone"


@process(title="Deaf", route=_ROUTE + "deaf", restartable=True)
def deaf(context: Context, mark: str, seconds: float = 30.0) -> str:
    """Works, and heeds no interrupt."""
    while True:
        try:
            _shine(mark, seconds)
        except BaseException:  # noqa: BLE001, S112 (just that)
            continue
        return "Shone"


@process(title="Employing", route=_ROUTE + "employer", restartable=True)
def employer(context: Context, mark: str, how: str = "child", seconds: float = 30.0) -> str:
    """Lets another program work: a child, one in a session of its own, or one that leaves its parent."""
    subprocess.Popen([sys.executable, "-c", _CHILD, mark, how], start_new_session=how != "child")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_PAUSE)
    return "Employed"


@process(title="Signing", route=_ROUTE + "signer", restartable=True)
def signer(context: Context, mark: str, until: str) -> str:
    """Writes a result with its own number, which it completes when a file is there."""
    with context.result("signed.txt") as file:
        file.write(str(os.getpid()).encode())
        with Path(mark).open("a") as marks:
            marks.write(f"{os.getpid()} {time.monotonic()}\n")
        while not Path(until).exists():
            time.sleep(_PAUSE)
    return "Signed"


def spans(mark: Path) -> dict[int, tuple[float, float]]:
    """When each operating system process began to work and when it was last at work, by its id, the earliest first."""
    times: dict[int, list[float]] = {}
    for pid, at in _lines(mark):
        times.setdefault(pid, []).append(at)
    return {pid: (each[0], each[-1]) for pid, each in times.items()}


def overlap(mark: Path) -> float:
    """For how many seconds two operating system processes were at work at the same time."""
    spanned = list(spans(mark).values())
    return max((a[1] - b[0] for a, b in pairwise(spanned)), default=0.0)


def _lines(mark: Path) -> Iterator[tuple[int, float]]:
    if mark.exists():
        for line in mark.read_text().splitlines():
            pid, _, at = line.partition(" ")
            if at:
                yield int(pid), float(at)
