"""The reports of a running thread: collected in memory, and written by a background Python thread.

Reporting costs a process no round trip: at most once in every interval, one write carries everything new. A failed
write is sent again under the same number, so that it counts once.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from psthreads.authoring.elements import ReportedPart
from psthreads.domain.errors import Unavailable
from psthreads.domain.masking import Masker
from psthreads.domain.model import Level, Line, Ownership, Report, Status, clean

FLUSH_LINES: Final = 2_000
"""The lines that are written together without waiting for the interval."""

MOST_ELEMENTS: Final = 200
"""The most elements of a thread's own XML, progress bars included."""

MOST_XML: Final = 64 * 1024
"""The most characters of a thread's own XML."""

_REPORT_LINES: Final = 4_000  # the most in one write: Redis does nothing else meanwhile
_MOST_LINES: Final = 20_000  # from here on, the Python thread that logs waits for the store
_SPACE_SECONDS: Final = 0.002  # between two looks of a Python thread that waits
_STATUS: Final = {Level.INFO: Status.INPROGRESS, Level.WARN: Status.WARNING, Level.ERROR: Status.ERROR}
_STATUS_SECONDS: Final = 0.05  # the least time between two writes for a change of status
_log = logging.getLogger(__name__)


class Reporter(Protocol):
    """A receiver of reports: the store, or a list in a test."""

    def report(self, report: Report) -> Ownership:
        """Write a report. Raises Unavailable if that fails; the report is then sent again."""


class _Said(Line):
    """A line that also is the thread's message, and sets its status."""

    __slots__ = ()


class Outbox:
    """Collects the reports of a thread, and writes them in the background.

    It takes no lock: a report may come from a signal handler, a finaliser or a trace function that interrupts another
    report, or the writing of one, at any step. Whatever is reported is one entry of one list, which the Python thread
    that writes turns into a report.

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
        guard: Callable[[], float] = lambda: math.inf,
        writer: ReportWriter | None = None,
    ) -> None:
        self.lines: list[Line] = []
        self.last_message = ""
        self.mask = mask or Masker()
        self._reporter = reporter
        self._interval = interval
        self._on_lost = on_lost
        self._guard = guard
        # Timestamps follow Redis's clock, whatever this machine's clock says.
        self.clock_base = (redis_time or time.time_ns() // 1_000_000) - time.monotonic_ns() // 1_000_000
        # Lists, since `append` is one step of the interpreter, and `+= 1` is three.
        self._warnings: list[None] = []
        self._errors: list[None] = []
        self._last_level = Level.INFO
        self._parts: dict[str, ReportedPart] = {}
        self._sizes: dict[str, int] = {}
        self._xml_size = 0
        self._is_capped = False
        self._sent_xml = ""
        self._unsent: Report | None = None
        self._taken = 0
        self.stored = 0
        """The number of lines that the store has taken."""
        self.on_stored: Callable[[], None] = lambda: None
        """Called once the store has taken lines."""
        self._number = 0
        self._writer = writer or ReportWriter(interval)
        self._shares_writer = writer is not None
        self._is_written = False
        self._last_write = float("-inf")
        self._due = 0.0

    @property
    def position(self) -> int:
        """The number of lines that were added."""
        return self._taken + len(self.lines)

    @property
    def warnings(self) -> int:
        """The number of warnings reported."""
        return len(self._warnings)

    @property
    def errors(self) -> int:
        """The number of errors reported."""
        return len(self._errors)

    def log(self, text: str, level: Level, detail: str = "") -> None:
        """Add a line to the log."""
        timestamp = self.clock_base + time.monotonic_ns() // 1_000_000
        has_detail = type(detail) is not str or detail  # An object may be neither true nor false.
        self.lines.append(Line(timestamp, level, clean(text), clean(detail) if has_detail else ""))

    def report(self, text: str, level: Level) -> None:
        """Set the thread's message, and its status by the level, and log the message."""
        text = clean(text)
        if level is Level.WARN:
            self._warnings.append(None)
        elif level is Level.ERROR:
            self._errors.append(None)
        self.last_message = text
        self.lines.append(_Said(self.clock_base + time.monotonic_ns() // 1_000_000, level, text))
        if level is not self._last_level:
            self._last_level = level
            self.flush_soon()

    def put(self, name: str, part: ReportedPart) -> None:
        """Set an element of the thread's own XML; it replaces an element with the same name.

        What exceeds the cap on elements or on their bytes is not shown, which the log says once.
        """
        size = len(part.to_xml())
        total = self._xml_size - self._sizes.get(name, 0) + size
        if total > MOST_XML or (name not in self._parts and len(self._parts) >= MOST_ELEMENTS):
            if not self._is_capped:
                self._is_capped = True
                limits = f"{MOST_ELEMENTS:,} elements and {MOST_XML:,} characters of XML"
                self.log(f"Not shown: '{name}' and what follows, since a thread has {limits} at most", Level.WARN)
            return
        self._sizes[name] = size
        self._xml_size = total
        self._parts[name] = part

    def flush_soon(self) -> None:
        """Write without waiting for the interval. May be called in a signal handler."""
        self._writer.wake()

    def start(self) -> None:
        """Start writing in the background."""
        self._due = time.monotonic() + self._interval
        self._is_written = True
        self._writer.serve(self)

    def stop(self) -> None:
        """Stop writing in the background."""
        if self._is_written:
            self._is_written = False  # Nothing waits for it any more.
            self._writer.serve(None)
            if not self._shares_writer:
                self._writer.end()

    def close(self) -> tuple[Report, ...]:
        """Stop writing in the background; returns the reports that the caller has still to write.

        There is more than one if the store refused one, or if there was much to report since. What is reported from now
        on is lost: a trace function could go on for ever.
        """
        self.stop()
        reports = [] if self._unsent is None else [self._unsent]
        self._unsent = None
        most = len(self.lines)
        while (report := self._collect(most)) is not None:
            reports.append(report)
            most -= len(report.lines)
            if not most:
                break
        return tuple(reports)

    def flush(self) -> None:
        """Write all changes now; raises Unavailable if the store cannot be reached. Not while the background writes."""
        report = self._unsent = self._unsent or self._collect()
        if report is not None:
            ownership = self._reporter.report(report)
            self._unsent = None
            self.stored = self._taken
            self.on_stored()
            if ownership is not Ownership.OWNED:
                self._on_lost()

    def make_space(self, is_ending: Callable[[], bool]) -> None:
        """Have the collected lines written; waits if they come too fast, or while the store is away."""
        self.flush_soon()
        while self._is_written and len(self.lines) >= _MOST_LINES and not is_ending():
            if self._writer.is_here:
                return  # A finaliser, say, that ran while the lines were being written.
            time.sleep(_SPACE_SECONDS)

    def pause(self) -> float:
        """Return in how many seconds `write_when_due` is to be called."""
        return max(0.0, min(self._due - time.monotonic(), self._guard()))

    def write_when_due(self, *, is_woken: bool) -> None:
        """Write what is new, if it is time. For the Python thread that writes."""
        if is_woken:
            # Only many lines are written sooner than this after the last write, however often it is woken.
            soon = self._last_write + _STATUS_SECONDS if len(self.lines) < FLUSH_LINES else 0.0
            self._due = min(self._due, soon)
        if time.monotonic() < self._due:
            return
        try:
            self.flush()
            while len(self.lines) >= FLUSH_LINES:
                self.flush()
        except Unavailable:
            pass  # The report is kept, and sent again under the same number.
        finally:
            self._last_write = time.monotonic()
            self._due = self._last_write + self._interval

    def _collect(self, most: int = _REPORT_LINES) -> Report | None:
        """Return a report of what is new, with at most so many lines; None where nothing is."""
        parts = self._parts.copy()
        xml = "".join([part.to_xml() for part in parts.values()])
        changed_xml = xml if xml != self._sent_xml else None
        count = min(len(self.lines), most, _REPORT_LINES)
        if not count and changed_xml is None:
            return None
        lines = tuple(self.lines[:count])
        self._taken += count
        del self.lines[:count]  # The same list: somebody else may be appending to it.
        said = [line for line in lines if type(line) is _Said]
        self._number += 1
        self._sent_xml = xml
        return Report(
            self._number,
            _STATUS[said[-1].level] if said else None,
            said[-1].message if said else None,
            changed_xml,
            sum(line.level is Level.WARN for line in said),
            sum(line.level is Level.ERROR for line in said),
            lines,
            "" if changed_xml is None else _rates(parts),
        )


class ReportWriter:
    """Writes the reports of one outbox after the other, on a Python thread that begins with the first and stays.

    An outbox is served without a wake-up: the thread looks every `interval` seconds, which is as often as it writes.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        # A SimpleQueue may be used in a signal handler; the interrupted code could hold an Event's lock.
        self._wakeup: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # held to write, and to change the outbox
        self._outbox: Outbox | None = None
        self._thread: threading.Thread | None = None
        self._is_over = False

    @property
    def is_here(self) -> bool:
        """True in the Python thread that writes."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def wake(self) -> None:
        """Have what is new written soon. May be called in a signal handler."""
        self._wakeup.put(None)

    def serve(self, outbox: Outbox | None) -> None:
        """Write this outbox from now on, and no other any more; wait for a write that is on its way."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="reports", daemon=True)
            self._thread.start()
        with self._lock:
            self._outbox = outbox

    def end(self) -> None:
        """End the Python thread."""
        if self._thread is not None:
            self._is_over = True
            self.wake()
            self._thread.join()

    def _serve(self) -> None:
        while not self._is_over:
            outbox, is_woken = self._outbox, False
            with suppress(queue.Empty):
                self._wakeup.get(timeout=self._interval if outbox is None else outbox.pause())
                is_woken = True
            with self._lock:
                if self._outbox is not None:
                    try:
                        self._outbox.write_when_due(is_woken=is_woken)
                    except Exception:  # noqa: BLE001 (the next one may succeed, and so may the next thread's)
                        _log.exception("A report could not be written")


def _rates(parts: Mapping[str, ReportedPart]) -> str:
    return json.dumps({name: round(part.rate, 3) for name, part in parts.items() if part.rate})
