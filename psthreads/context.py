"""What a running process holds: its documents, and the way to report, to log and to be interrupted.

Reporting is cheap because it only changes memory; one background thread writes what changed, at
most once in every interval, in one round trip. An interrupt (cancel, time limit, shutdown) is an
exception raised in the process's own code, never in the middle of a report.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from lxml import etree

from psthreads.access import Group, Member
from psthreads.documents import GroupFolder, ResultFile, ResultFolder
from psthreads.errors import Unavailable
from psthreads.model import Level, Line, Report, Standing, Status, clean

T = TypeVar("T")

_TAKEN: Final = frozenset(
    ("id", "name", "username", "groupid", "status", "cancelling", "created", "started", "ended", "heard")
) | {"warnings", "errors", "message", "thread"}  # in JSON, elements and attributes share their names
_FLUSH_LINES: Final = 2_000  # one write carries about this many lines
_MAX_LINES: Final = 50_000  # where the store is away, log() waits at this many


class Interrupted(BaseException):
    """Raised in a process's code to end it. It is no Exception, so that `except Exception` lets it by."""


class Cancelled(Interrupted):
    """Somebody asked that the thread be cancelled."""


class TimedOut(Interrupted):
    """The thread ran past its process's time limit."""


class ShutDown(Interrupted):
    """The worker is being stopped."""


class Reporter(Protocol):
    """Where reports go: the store, or a list in a test."""

    def report(self, report: Report) -> Standing:
        """Write a report; raises Unavailable when it could not, and it will be sent again."""


class Bar:
    """A named progress bar: `<name total="…" current="…"/>` in the thread's XML.

    A context manager and a source of iterators. Both counts are plain attributes and may be set.
    """

    __slots__ = ("current", "name", "total")

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.current = 0

    def advance(self, by: int = 1) -> None:
        """Count `by` more as done."""
        self.current += by

    def iter(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted as done when the next one is asked for."""
        for item in items:
            yield item
            self.current += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Context:
    """The running thread, as its process sees it.

    `member` is who the work is done for; `group` is None for work on the whole server. Only the operating
    system process that runs the thread may report; a process that it forks gets a RuntimeError. Any of its
    Python threads may.
    """

    def __init__(
        self,
        *,
        thread_id: str,
        member: Member,
        group: Group | None,
        folder: GroupFolder | None,
        results: ResultFolder,
        scratch: Path,
        reporter: Reporter,
        redis_time: int = 0,
        interval: float = 0.5,
    ) -> None:
        self.thread_id = thread_id
        self.member = member
        self.group = group
        self._folder = folder
        self.warnings = 0
        self.errors = 0
        self.last_message = ""
        self._results = results
        self._scratch = scratch
        self._at_end: list[Callable[[], object]] = []
        self._reporter = reporter
        self._interval = interval
        # Stamps follow Redis's clock, whatever this machine's clock says.
        self._clock_base = (redis_time or time.time_ns() // 1_000_000) - time.monotonic_ns() // 1_000_000
        self._pid = os.getpid()
        self._main = threading.get_ident()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._lines: list[Line] = []
        self._status: Status | None = None
        self._message: str | None = None
        self._new_warnings = 0
        self._new_errors = 0
        self._parts: dict[str, Bar | etree._Element] = {}
        self._sent_xml = ""
        self._unsent: Report | None = None
        self._number = 0
        self._inside = 0
        self._interrupt: Interrupted | None = None
        self._deaf = False
        self._stopped = threading.Event()
        self._flusher: threading.Thread | None = None

    # What a process calls.

    @property
    def folder(self) -> GroupFolder:
        """The documents of the thread's group; raises RuntimeError where it works on the whole server."""
        if self._folder is None:
            raise RuntimeError("This thread works on no group: it has no documents")
        return self._folder

    def message(self, text: str) -> None:
        """Say where the thread is now: its message, and a line of its log."""
        self._say(text, Level.INFO, Status.INPROGRESS)

    def warning(self, text: str) -> None:
        """Report a warning: counted, logged, and the thread's message until the next report."""
        self._say(text, Level.WARN, Status.WARNING)

    def error(self, text: str) -> None:
        """Report an error: counted, logged, and the thread's message until the next report.

        A thread that reported an error ends `failed`, unless its process returns another Outcome.
        """
        self._say(text, Level.ERROR, Status.ERROR)

    def log(self, text: str, level: Level = Level.INFO) -> None:
        """Write a line to the log, and nothing else."""
        with self._safely(), self._lock:
            self._lines.append(Line(self._now(), level, clean(text)))
        if len(self._lines) >= _FLUSH_LINES:
            self._relieve()

    def bar(self, name: str = "progress", total: int = 0) -> Bar:
        """A new progress bar of that name, in place of one with the same name.

        Raises ValueError for what is no XML name, and for a name that every thread uses itself.
        """
        _check_name(name)
        bar = Bar(name, total)
        self._put(name, bar)
        return bar

    def element(self, name: str, text: str | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Set an element of the thread's own XML, in place of one with the same name.

        Raises ValueError for what is no XML name, and for a name that every thread uses itself.
        """
        _check_name(name)
        element = etree.Element(name, {key: clean(value) for key, value in (attributes or {}).items()})
        element.text = None if text is None else clean(text)
        self._put(name, element)

    def check(self) -> None:
        """A checkpoint: raises the interrupt if there is one that the process has not yet seen."""
        with self._safely():
            pass

    def result(self, filename: str) -> AbstractContextManager[ResultFile]:
        """A file to write that members of the group can download under this name once it is whole.

        It appears when the block ends well, and leaves nothing behind when it does not.
        """
        return self._results.write(filename)

    def shield(self) -> AbstractContextManager[None]:
        """A block that no interrupt cuts in two: one that comes meanwhile is raised at the block's end.

        For the few lines that must happen together, such as to move a file and to say so. A worker that has
        to kill the process does not wait for it.
        """
        return self._safely()

    def cleanup(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call this with these arguments when the process's function is left, however that happens.

        The last that was registered is called first, with interrupts held back. One that raises is logged, and
        the others are called all the same. Not after a kill.
        """
        self._at_end.append(partial(callback, *arguments))

    def temporary(self) -> Path:
        """A new folder for temporary files, on the documents' disk, which is always removed.

        At the end of the function; after a kill by the janitor, within the hour.
        """
        self._scratch.mkdir(mode=0o750, parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{self.thread_id}-", dir=self._scratch))
        self.cleanup(shutil.rmtree, path, True)
        return path

    # What the worker's side calls.

    def clean_up(self) -> None:
        """Call what the process registered with `cleanup`."""
        while self._at_end:
            callback = self._at_end.pop()
            try:
                with self._safely():
                    callback()
            except Exception as error:  # noqa: BLE001 (whatever one raises, the others have their turn)
                self.log(f"Cleaning up failed: {type(error).__name__}: {error}", Level.WARN)

    def interrupt(self, reason: Interrupted) -> None:
        """Raise the reason in the process's code: now, or at the end of the report under way.

        For the handler of a signal, in the main Python thread. Only the first reason counts, and
        it is raised once: a second exception would cut the `finally` blocks short.
        """
        if self._interrupt is None and not self._deaf:
            self._interrupt = reason
            if not self._inside:
                raise reason

    def stop_interrupts(self) -> Interrupted | None:
        """From here on nothing is raised any more. Returns the interrupt that there was, if any."""
        self._deaf = True
        return self._interrupt

    def start(self) -> None:
        """Begin to write reports in the background."""
        self._flusher = threading.Thread(target=self._flush_often, name="reports", daemon=True)
        self._flusher.start()

    def close(self) -> tuple[Report, ...]:
        """Stop writing in the background; returns what is still to be written, for whoever ends the thread.

        These are two reports where one could not be written before and more was said since.
        """
        self._deaf = True
        self._stopped.set()
        if self._flusher is not None:
            self._flusher.join()
        with self._lock:
            left = []
            while (report := self._collect()) is not None:
                left.append(report)
                self._unsent = None
            return tuple(left)

    def flush(self) -> None:
        """Write now what has changed. Raises Unavailable when the store cannot be reached."""
        with self._sending:
            with self._lock:
                report = self._collect()
            if report is not None:
                standing = self._reporter.report(report)
                self._unsent = None
                if standing is not Standing.OWNED:
                    self._stand_down()

    @property
    def is_own_process(self) -> bool:
        """False in an operating system process that the thread's process forked."""
        return os.getpid() == self._pid

    # Inside.

    def _say(self, text: str, level: Level, status: Status) -> None:
        with self._safely(), self._lock:
            text = clean(text)
            self._lines.append(Line(self._now(), level, text))
            self._message = self.last_message = text
            self._status = status
            if level is Level.WARN:
                self.warnings += 1
                self._new_warnings += 1
            elif level is Level.ERROR:
                self.errors += 1
                self._new_errors += 1
        if len(self._lines) >= _FLUSH_LINES:
            self._relieve()

    def _put(self, name: str, part: Bar | etree._Element) -> None:
        with self._safely(), self._lock:
            self._parts[name] = part

    def _now(self) -> int:
        return self._clock_base + time.monotonic_ns() // 1_000_000

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """Hold back an interrupt until the block is left: it must not tear a report apart.

        It is raised on leaving, too, when the process swallowed it: unless it is on its way just
        now, for then this is a `finally` or an `except` block that still has something to say.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("Only the process that runs the thread can report, not one that it forked")
        if threading.get_ident() != self._main:
            yield
            return
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
        if self._interrupt is None or self._inside or self._deaf or _is_on_its_way(self._interrupt):
            return
        raise self._interrupt

    def _relieve(self) -> None:
        with self._safely():
            try:
                self.flush()
            except Unavailable:
                while len(self._lines) >= _MAX_LINES and self._interrupt is None:
                    time.sleep(self._interval)  # The flusher goes on trying.

    def _flush_often(self) -> None:
        while not self._stopped.wait(self._interval):
            try:
                self.flush()
            except Unavailable:
                continue  # Kept, and sent again under the same number.

    def _collect(self) -> Report | None:
        if self._unsent is not None:
            return self._unsent
        xml = "".join(_xml(name, part) for name, part in self._parts.items())
        changed_xml = xml if xml != self._sent_xml else None
        if not self._lines and self._message is None and changed_xml is None:
            return None
        self._number += 1
        self._unsent = Report(
            self._number,
            self._status,
            self._message,
            changed_xml,
            self._new_warnings,
            self._new_errors,
            tuple(self._lines),
        )
        self._sent_xml = xml
        self._lines = []
        self._status = self._message = None
        self._new_warnings = self._new_errors = 0
        return self._unsent

    def _stand_down(self) -> None:
        # The worker sends the same signal, but this is sooner, and comes even when the worker hangs.
        if not self._deaf and self._interrupt is None and callable(signal.getsignal(signal.SIGUSR1)):
            signal.pthread_kill(self._main, signal.SIGUSR1)


def _check_name(name: str) -> None:
    etree.Element(name)
    if name in _TAKEN:
        raise ValueError(f"Every thread has a '{name}' of its own: choose another name")


def _xml(name: str, part: Bar | etree._Element) -> str:
    if isinstance(part, Bar):
        part = etree.Element(name, total=str(max(0, part.total)), current=str(max(0, part.current)))
    return etree.tostring(part, encoding="unicode")


def _is_on_its_way(reason: Interrupted) -> bool:
    error = sys.exception()
    while error is not None:
        if error is reason:
            return True
        error = error.__context__
    return False
