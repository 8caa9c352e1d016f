"""The reports of a running thread: collected in memory, and written by a background Python thread.

Reporting costs a process no round trip: at most once in every interval, one write carries everything new. A failed
write is sent again under the same number, so that it counts once.
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
from psthreads.domain.errors import Unavailable
from psthreads.domain.masking import Masker
from psthreads.domain.model import Level, Line, Ownership, Report, Status, clean

FLUSH_LINES: Final = 2_000
"""The lines that are written together without waiting for the interval."""

_REPORT_LINES: Final = 4_000  # the most in one write: Redis does nothing else meanwhile
_OWN_FLUSH_LINES: Final = 20_000  # from here on, the Python thread that logs writes for itself
_MOST_LINES: Final = 50_000  # from here on, the Python thread that logs waits for the store
_STATUS_SECONDS: Final = 0.05  # the least time between two writes for a change of status


class Reporter(Protocol):
    """A receiver of reports: the store, or a list in a test."""

    def report(self, report: Report) -> Ownership:
        """Write a report. Raises Unavailable if that fails; the report is then sent again."""


class Outbox:
    """Collects the reports of a thread, and writes them in the background.

    `on_lost` is called when this execution no longer owns the thread, or the thread is being cancelled. `redis_time` is
    the current time by Redis's clock in milliseconds since the epoch, 0 for this machine's; `interval` is in seconds.
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
        # Timestamps follow Redis's clock, whatever this machine's clock says.
        self._clock_base = (redis_time or time.time_ns() // 1_000_000) - time.monotonic_ns() // 1_000_000
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._status: Status | None = None
        self._message: str | None = None
        self._new_warnings = 0
        self._new_errors = 0
        self._last_status: Status = Status.INPROGRESS
        self._parts: dict[str, ReportedPart] = {}
        self._sent_xml = ""
        self._unsent: Report | None = None
        self._number = 0
        # A SimpleQueue may be used in a signal handler; the interrupted code could hold an Event's lock.
        self._wakeup: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._flusher: threading.Thread | None = None

    def log(self, text: str, level: Level, detail: str = "") -> None:
        """Add a line to the log."""
        # No lock: `list.append` is one step of the interpreter, so that neither another Python thread nor an exception
        # from a signal handler can break it.
        timestamp = self._clock_base + time.monotonic_ns() // 1_000_000
        self.lines.append(Line(timestamp, level, clean(text), clean(detail) if detail else ""))

    def report(self, text: str, level: Level, status: Status) -> None:
        """Set the thread's message and status, and log the message."""
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
        if status is not self._last_status:
            self._last_status = status
            self.flush_soon()

    def put(self, name: str, part: ReportedPart) -> None:
        """Set an element of the thread's own XML; it replaces an element with the same name."""
        with self._lock:
            self._parts[name] = part

    def flush_soon(self) -> None:
        """Write without waiting for the interval. May be called in a signal handler."""
        self._wakeup.put(True)

    def start(self) -> None:
        """Start writing in the background."""
        self._flusher = threading.Thread(target=self._flush_often, name="reports", daemon=True)
        self._flusher.start()

    def close(self) -> tuple[Report, ...]:
        """Stop writing in the background; returns the reports that the caller has still to write.

        There are two if the store refused one and there was more to report since.
        """
        if self._flusher is not None:
            self._wakeup.put(False)
            self._flusher.join()
        reports = []
        with self._lock:
            while (report := self._collect()) is not None:
                reports.append(report)
                self._unsent = None
        return tuple(reports)

    def flush(self) -> None:
        """Write all changes now; raises Unavailable if the store cannot be reached."""
        with self._sending:
            with self._lock:
                report = self._collect()
            if report is not None:
                ownership = self._reporter.report(report)
                self._unsent = None
                if ownership is not Ownership.OWNED:
                    self._on_lost()

    def make_space(self, is_ending: Callable[[], bool]) -> None:
        """Have the collected lines written; waits if they come too fast, or while the store is away."""
        if self._flusher is not None and len(self.lines) < _OWN_FLUSH_LINES:
            self.flush_soon()
            return
        try:
            self.flush()
        except Unavailable:
            while len(self.lines) >= _MOST_LINES and not is_ending():
                time.sleep(self._interval)  # The background keeps trying.

    def _flush_often(self) -> None:
        last_write = float("-inf")
        due = time.monotonic() + self._interval
        while True:
            try:
                if not self._wakeup.get(timeout=max(0.0, due - time.monotonic())):
                    return
                # Only many lines are written sooner than this after the last write, however often it is woken.
                due = min(due, last_write + _STATUS_SECONDS if len(self.lines) < FLUSH_LINES else 0.0)
                if time.monotonic() < due:
                    continue
            except queue.Empty:
                pass
            with suppress(Unavailable):  # The report is kept, and sent again under the same number.
                self.flush()
                while len(self.lines) >= FLUSH_LINES:
                    self.flush()
            last_write = time.monotonic()
            due = last_write + self._interval

    def _collect(self) -> Report | None:
        if self._unsent is not None:
            return self._unsent
        xml = "".join(part.to_xml() for part in self._parts.values())
        changed_xml = xml if xml != self._sent_xml else None
        count = min(len(self.lines), _REPORT_LINES)
        if not count and self._message is None and changed_xml is None:
            return None
        lines = tuple(self.lines[:count])
        del self.lines[:count]  # The same list: another Python thread may be appending to it.
        self._number += 1
        self._unsent = Report(
            self._number,
            self._status,
            self._message,
            changed_xml,
            self._new_warnings,
            self._new_errors,
            lines,
            "" if changed_xml is None else self._rates(),
        )
        self._sent_xml = xml
        self._status = self._message = None
        self._new_warnings = self._new_errors = 0
        return self._unsent

    def _rates(self) -> str:
        rates = {name: round(part.rate, 3) for name, part in self._parts.items() if part.rate}
        return json.dumps(rates)
