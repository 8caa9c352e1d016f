"""What a running thread has said and not yet written: gathered in memory, and written by one Python thread.

Nothing that a process says costs it a round trip: at most once in every interval one write carries
everything that is new. A write that failed is sent again under the same number, so that it counts once.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from psthreads.authoring.elements import ReportedPart
from psthreads.authoring.masking import Masker
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Level, Line, Ownership, Report, Status, clean

FLUSH_LINES: Final = 2_000
"""Whenever so many lines more have gathered they are written, without waiting for the interval."""

_REPORTED_LINES: Final = 4_000  # one write carries so many at most: Redis does nothing else meanwhile
_GATHERED_LINES: Final = 20_000  # who logs faster than that writes himself
_MOST_LINES: Final = 50_000  # where the store is away, who logs waits at this many
_STATUS_SECONDS: Final = 0.05  # a change of status is written at once, but no more often than this


class Reporter(Protocol):
    """Where reports go: the store, or a list in a test."""

    def report(self, report: Report) -> Ownership:
        """Write a report; raises Unavailable when it could not, and it will be sent again."""


class Outbox:
    """Gathers what a thread says, and writes it in the background.

    `log` and `say` take no lock: `list.append` is one step of the interpreter, so neither another Python
    thread nor an exception out of a signal handler can tear it. `on_lost` is called when the thread
    turns out not to be this execution's any more, or to be cancelled.
    """

    def __init__(
        self,
        reporter: Reporter,
        *,
        redis_time: int = 0,
        interval: float = 0.5,
        mask: Masker | None = None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.lines: list[Line] = []
        self.warnings = 0
        self.errors = 0
        self.last_message = ""
        self.mask = mask or Masker()
        self._reporter = reporter
        self._interval = interval
        self._on_lost = on_lost
        # Stamps follow Redis's clock, whatever this machine's clock says.
        self._clock_base = (redis_time or time.time_ns() // 1_000_000) - time.monotonic_ns() // 1_000_000
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._status: Status | None = None
        self._message: str | None = None
        self._new_warnings = 0
        self._new_errors = 0
        self._said: Status = Status.INPROGRESS
        self._parts: dict[str, ReportedPart] = {}
        self._sent_xml = ""
        self._unsent: Report | None = None
        self._number = 0
        # A SimpleQueue may be used in a signal handler; an Event's lock could be held by what was interrupted.
        self._wakeup: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._flusher: threading.Thread | None = None

    def log(self, text: str, level: Level, detail: str = "") -> None:
        """Take a line for the log."""
        self.lines.append(
            Line(
                self._clock_base + time.monotonic_ns() // 1_000_000, level, clean(text), clean(detail) if detail else ""
            )
        )

    def say(self, text: str, level: Level, status: Status) -> None:
        """Take a line for the log that is also the thread's message, and gives its status."""
        text = clean(text)
        with self._lock:
            self.lines.append(Line(self._clock_base + time.monotonic_ns() // 1_000_000, level, text))
            self._message = self.last_message = text
            self._status = status
            if level is Level.WARN:
                self.warnings += 1
                self._new_warnings += 1
            elif level is Level.ERROR:
                self.errors += 1
                self._new_errors += 1
        if status is not self._said:
            self._said = status
            self.ring()

    def put(self, name: str, part: ReportedPart) -> None:
        """Set an element of the thread's own XML, in place of one with the same name."""
        with self._lock:
            self._parts[name] = part

    def ring(self) -> None:
        """Write soon, without waiting for the interval. May be called in a signal handler."""
        self._wakeup.put(True)

    def start(self) -> None:
        """Begin to write in the background."""
        self._flusher = threading.Thread(target=self._flush_often, name="reports", daemon=True)
        self._flusher.start()

    def close(self) -> tuple[Report, ...]:
        """Stop writing in the background; returns what is still to be written.

        These are two reports where one could not be written before and more was said since.
        """
        if self._flusher is not None:
            self._wakeup.put(False)
            self._flusher.join()
        left = []
        with self._lock:
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
                ownership = self._reporter.report(report)
                self._unsent = None
                if ownership is not Ownership.OWNED:
                    self._on_lost()

    def relieve(self, is_ending: Callable[[], bool]) -> None:
        """Have the lines written that have gathered; where they come too fast, or the store is away, wait for it."""
        if self._flusher is not None and len(self.lines) < _GATHERED_LINES:
            self.ring()
            return
        try:
            self.flush()
        except Unavailable:
            while len(self.lines) >= _MOST_LINES and not is_ending():
                time.sleep(self._interval)  # The background goes on trying.

    def _flush_often(self) -> None:
        written = float("-inf")
        due = time.monotonic() + self._interval
        while True:
            try:
                if not self._wakeup.get(timeout=max(0.0, due - time.monotonic())):
                    return
                # However often it rings, this is how often it is answered, but for many lines.
                due = min(due, written + _STATUS_SECONDS if len(self.lines) < FLUSH_LINES else 0.0)
                if time.monotonic() < due:
                    continue
            except queue.Empty:
                pass
            with suppress(Unavailable):  # Kept, and sent again under the same number.
                self.flush()
                while len(self.lines) >= FLUSH_LINES:
                    self.flush()
            written = time.monotonic()
            due = written + self._interval

    def _collect(self) -> Report | None:
        if self._unsent is not None:
            return self._unsent
        xml = "".join(part.to_xml() for part in self._parts.values())
        changed_xml = xml if xml != self._sent_xml else None
        # The list stays the same one: who appends to it meanwhile must not append to one that was taken away.
        many = min(len(self.lines), _REPORTED_LINES)
        if not many and self._message is None and changed_xml is None:
            return None
        lines = tuple(self.lines[:many])
        del self.lines[:many]
        self._number += 1
        message = None if self._message is None else self.mask(self._message)
        self._unsent = Report(
            self._number,
            self._status,
            message,
            changed_xml,
            self._new_warnings,
            self._new_errors,
            self._masked(lines),
            "" if changed_xml is None else self._rates(),
        )
        self._sent_xml = xml
        self._status = self._message = None
        self._new_warnings = self._new_errors = 0
        return self._unsent

    def _rates(self) -> str:
        rates = {name: round(part.rate, 3) for name, part in self._parts.items() if part.rate}
        return json.dumps(rates)

    def _masked(self, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        # Most lines hold nothing to mask, and one look at all of them together is quicker than many.
        text = "\n".join([line.message for line in lines]) + "".join([line.detail for line in lines])
        if not self.mask.may_hold_secret(text):
            return lines
        return tuple(line._replace(message=self.mask(line.message), detail=self.mask(line.detail)) for line in lines)
