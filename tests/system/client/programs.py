"""The command line of a user with a home of their own, as a program: in pipes and on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.support.command_line import CommandLine

DEADLINE = 20.0
# The terminal is the child's own, so that a Ctrl-C typed there is a signal to the child.
ON_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from psthreads.__main__ import main; main()"


class Programs(CommandLine):
    """A command line that also starts programs. A context manager that ends those that are left."""

    def __init__(self, home: Path, **settings: str) -> None:
        super().__init__(home, **settings)
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for terminal in self._terminals:
            terminal.close()
        for process in self._processes:
            process.kill()
            process.communicate()

    def process(self, *arguments: str, **changes: str | None) -> subprocess.Popen[str]:
        """Start a command as a process, with its output in pipes."""
        process = subprocess.Popen(
            [sys.executable, "-m", "psthreads", *arguments],
            env=self._changed(changes),
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def terminal(self, *arguments: str, **changes: str | None) -> Terminal:
        """Start a command on a terminal of its own."""
        self._terminals.append(Terminal(self._changed(changes), self._home, *arguments))
        return self._terminals[-1]

    def _changed(self, changes: dict[str, str | None]) -> dict[str, str]:
        return {name: value for name, value in (self._environment | changes).items() if value is not None}


class Terminal:
    """The command line on a pseudo-terminal; `shown` is all that it has written there."""

    def __init__(self, environment: dict[str, str], folder: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, *arguments],
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def until(self, text: str) -> None:
        """Read until the text was shown after what was read before."""
        give_up = time.monotonic() + DEADLINE
        seen = ""
        while text not in seen:
            if time.monotonic() > give_up or not (more := self._read()):
                raise AssertionError(f"{text!r} was not shown, but {self.shown!r}")
            seen += more

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def end(self, again: str = "") -> int:
        """Read to the end and return the exit code; `again` is typed whenever nothing happens for a second.

        Between a prompt's last character and Python's wait for an answer, CPython sees a Ctrl-C only at the
        next key; a person presses it again, too.
        """
        give_up = time.monotonic() + DEADLINE
        while time.monotonic() < give_up:
            if again and not select.select([self._master], [], [], 1)[0]:
                self.type(again)
            elif not self._read():
                break
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self) -> str:
        if not select.select([self._master], [], [], DEADLINE)[0]:
            return ""
        try:
            more = os.read(self._master, 65536).decode("utf-8", "replace")
        except OSError:  # So Linux says that the other side is closed.
            return ""
        self.shown += more
        return more
