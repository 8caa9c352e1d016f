"""The trails of executions: a line for every twentieth of a second in which one of their processes was at work.

Each execution has a file of its own, to which all of its processes append. Times are of the computer's monotonic clock,
which all processes share.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

MACHINE: Final = "PSTHREADS_CHAOS_MACHINE"
"""The environment variable of a program of the storm and whatever it starts. Its value is the program's name."""

MARK: Final = "PSTHREADS_CHAOS_THREAD"
"""The environment variable of the programs that an execution starts. Its value is the thread's id."""

TICK_SECONDS: Final = 0.05
LEFT_SECONDS: Final = 120.0
"""How long a process that its execution leaves behind works on, unless somebody ends it."""

# Without the site packages it starts in a few milliseconds.
_PROGRAM: Final = f"""
import os, sys, time
end = time.monotonic() + {LEFT_SECONDS}
while time.monotonic() < end:
    os.write(int(sys.argv[1]), b"%.6f %d tick\\n" % (time.monotonic(), os.getpid()))
    time.sleep({TICK_SECONDS})
"""


class Trail:
    """Writes the trail of one execution. A context manager."""

    def __init__(self, thread_id: str, folder: str) -> None:
        self._thread_id = thread_id
        self.name = f"{thread_id}-{os.environ[MACHINE]}-{os.getpid()}-{time.monotonic_ns()}"
        self._path = Path(folder, self.name)
        self._fd = -1

    def __enter__(self) -> Self:
        # One write to a file opened for appending stays whole, whoever else writes.
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        self._write("begin")
        return self

    def __exit__(self, *_: object) -> None:
        self._write("end")
        # Whatever the execution has forked holds it open still, as a mark.
        os.close(self._fd)

    def tick(self) -> None:
        """Note that the calling process is at work."""
        self._write("tick")

    def work(self, seconds: float) -> None:
        """Tick for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tick()
            time.sleep(TICK_SECONDS)

    def start_program(self, *, own_session: bool = False) -> subprocess.Popen[bytes]:
        """Start a program that ticks until it is ended. On a machine that cannot fork, try until it can."""
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(self._fd)]
        environment = {**os.environ, MARK: self._thread_id}
        while True:
            with suppress(BlockingIOError):
                return subprocess.Popen(  # noqa: S603 (our own program)
                    command, env=environment, pass_fds=[self._fd], start_new_session=own_session
                )
            time.sleep(TICK_SECONDS)

    def start_daemon(self) -> None:
        """Fork twice, and let the grandchild tick in a session of its own until it is ended."""
        child = 0
        while not child:
            with suppress(BlockingIOError):
                child = os.fork()
                if not child:
                    self._become_daemon()
            time.sleep(TICK_SECONDS)
        os.waitpid(child, 0)

    def _become_daemon(self) -> None:
        try:
            os.setsid()
            if not os.fork():
                self.work(LEFT_SECONDS)
        finally:
            os._exit(0)

    def _write(self, word: str) -> None:
        os.write(self._fd, f"{time.monotonic():.6f} {os.getpid()} {word}\n".encode())


@dataclass(frozen=True, slots=True)
class Execution:
    """The trail of one execution. Times are seconds on the monotonic clock."""

    thread_id: str
    machine: str
    pid: int
    times: tuple[float, ...]
    ended: float | None
    """When its function was left, None where it was killed before."""

    @property
    def began(self) -> float:
        """When its function began."""
        return self.times[0]

    @property
    def last(self) -> float:
        """When one of its processes was last at work."""
        return self.times[-1]

    def overlap(self, other: Execution) -> float:
        """Return for about how many seconds both were at work at once."""
        begin, end = max(self.began, other.began), min(self.last, other.last)
        # A stopped process leaves no lines: only where both have some did both work.
        return min(sum(begin <= at <= end for at in each.times) for each in (self, other)) * TICK_SECONDS


def executions(folder: Path) -> list[Execution]:
    """Read all trails, the oldest execution first."""
    runs = []
    for path in folder.iterdir():
        thread_id, machine, pid, _ = path.name.split("-")
        lines = [line.split() for line in path.read_text().splitlines()]
        if lines:
            ended = [float(at) for at, _, word in lines if word == "end"]
            times = tuple(sorted(float(at) for at, _, _ in lines))
            runs.append(Execution(thread_id, machine, int(pid), times, ended[0] if ended else None))
    return sorted(runs, key=lambda execution: execution.began)


def processes(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Return the processes of executions that live now, each with its thread's id.

    One is known by the mark in its environment, or by the trail that it holds open: a process that was only forked has
    the environment of the program.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if thread_id := process.environ().get(MARK) or thread_of(process.pid, folder):
                yield thread_id, process


def thread_of(pid: int, folder: Path) -> str:
    """Return the id of the thread whose trail this process holds open, empty for none."""
    descriptors = Path(f"/proc/{pid}/fd")
    with suppress(OSError):
        for descriptor in descriptors.iterdir():
            with suppress(OSError):
                target = descriptor.readlink()
                if target.parent == folder:
                    return target.name.split("-")[0]
    return ""
