"""Statuses, threads, log events and reports, as frozen values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from psthreads.domain.foreign import text_of

# The complement of XML 1.0, section 2.2: the characters that XML cannot carry.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CUT: Final = re.compile(r"… \[cut, [0-9,]+ characters in all\]\Z")
_NOTE: Final = 64  # the longest note of a cut, in characters
_THREAD_ID: Final = re.compile(r"[0-9a-f]{32}\Z")

SERVER_WIDE: Final = -1
"""The group id of a thread that belongs to no group. One known client needs an integer there."""

MAX_TEXT: Final = 16 * 1024
"""The longest message or log line, in characters. A longer one is cut, and says so."""

MAX_RESULT: Final = 64 * 1024
"""The largest value that a process may return, in bytes of JSON."""


class Status(StrEnum):
    """The status of a thread; the values are the words on the wire."""

    INITIALISED = "initialised"
    INPROGRESS = "inprogress"
    WARNING = "warning"
    ERROR = "error"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True for a status that a thread never leaves."""
        return self in _FINAL

    @property
    def is_running(self) -> bool:
        """True while the process's code runs."""
        return self in _RUNNING


_FINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
_RUNNING: Final = frozenset({Status.INPROGRESS, Status.WARNING, Status.ERROR})


class Level(StrEnum):
    """The level of one line of a log."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    def is_at_least(self, other: Level) -> bool:
        """Return whether this level is as severe as the other, or more."""
        return _SEVERITY[self] >= _SEVERITY[other]


_SEVERITY: Final = {level: position for position, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered line of a thread's log. `timestamp` is in milliseconds since the epoch.

    `detail` is for administrators only, such as a traceback.
    """

    seq: int
    timestamp: int
    level: Level
    message: str
    detail: str = ""

    def text(self, *, with_detail: bool) -> str:
        """Return the message, with the detail below it where `with_detail` is true."""
        return f"{self.message}\n{self.detail}" if with_detail and self.detail else self.message


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of a log.

    `total` counts every event ever logged, `dropped` those removed from the middle. The next page begins at number
    `next`.
    """

    thread_id: str
    events: tuple[Event, ...]
    total: int
    dropped: int
    next: int

    @property
    def first(self) -> int:
        """The number of the first event of the page, 0 where it is empty."""
        return self.events[0].seq if self.events else 0

    @property
    def last(self) -> int:
        """The number of the last event of the page, 0 where it is empty."""
        return self.events[-1].seq if self.events else 0


@dataclass(frozen=True, slots=True)
class Thread:
    """The state of one run of a process. Times are in milliseconds since the epoch, 0 for not yet.

    `xml` is the thread-specific XML: well-formed elements in a stable order. `heard` is the time of the worker's last
    heartbeat, `reported` that of the process's last report, `cancel_asked` that of the request to cancel. `worker` is
    the name of the current or last worker. `rates` is a JSON object with the rate of each progress bar, in units per
    second. `rev` counts the visible changes, without those of `heard`. `has_result` is true where the process returned
    a value; `result` is that value as JSON, and empty in lists, which are read without it. `is_damaged` is true where
    the record could not be read as a whole; the message then says why.
    `traceparent` is W3C's, of the trace in which the thread was started, or empty.
    `is_unattended` is true where the thread waits and no worker runs, which is found when it is read.
    """

    id: str
    name: str
    process: str
    username: str
    member_id: int
    group_id: int
    group_name: str
    status: Status
    message: str = ""
    xml: str = ""
    created: int = 0
    started: int = 0
    ended: int = 0
    heard: int = 0
    warnings: int = 0
    errors: int = 0
    restarts: int = 0
    cancelling: bool = False
    cancelled_by: str = ""
    cancel_asked: int = 0
    worker: str = ""
    rates: str = ""
    reported: int = 0
    rev: int = 0
    traceparent: str = ""
    has_result: bool = False
    result: str = ""
    is_damaged: bool = False
    is_unattended: bool = False


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """A page of threads, newest first. `total` counts all matches; the first page is 1.

    `next_cursor` is where the next page begins, whatever is added or removed meanwhile; empty on the last page.
    """

    threads: tuple[Thread, ...]
    total: int
    page: int
    page_size: int
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a thread ended: a final status, a sentence with the reason, and the result as a JSON value, None for none.

    Raises ValueError for a status that is not final, and TypeError for a message that is no text.
    """

    status: Status
    message: str
    result: Any = None
    trace: str = field(default="", compare=False, repr=False, kw_only=True)
    """The traceback of the exception that the message is about; administrators see it below the message's line."""

    def __post_init__(self) -> None:
        if not self.status.is_final:
            raise ValueError(f"An outcome is final, and '{self.status}' is not")
        if not isinstance(self.message, str):
            raise TypeError(f"The message of an outcome is a text, and not a {type(self.message).__name__}")


class Ownership(StrEnum):
    """The store's answer to each report of an execution: it owns its thread, is to cancel it, or has lost it."""

    OWNED = "owned"
    CANCELLING = "cancelling"
    DISOWNED = "disowned"


class Line(NamedTuple):
    """One line of a log before it has a number. `timestamp` is in milliseconds since the epoch.

    `detail` is for administrators only. A named tuple, since it is made for every line and is quick to make.
    """

    timestamp: int
    level: Level
    message: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The changes since the last report; None stands for no change.

    `number` counts the reports of one execution from 1, so that a report that is sent twice counts once. `rates` is a
    JSON object with the rate of each progress bar, in units per second.
    """

    number: int
    status: Status | None = None
    message: str | None = None
    xml: str | None = None
    warnings: int = 0
    errors: int = 0
    lines: tuple[Line, ...] = ()
    rates: str = ""


def is_thread_id(text: str) -> bool:
    """Return whether the text has the form of a thread's id: 32 lower-case hex digits."""
    return _THREAD_ID.match(text) is not None


def clean(text: object, limit: int = MAX_TEXT) -> str:
    """Replace what XML 1.0 cannot carry by U+FFFD, and cut the text after `limit` characters.

    A cut text ends with a note of its full length, and stays as it is when it comes again. Any object is taken, since
    authors give us any.
    """
    if type(text) is not str:
        text = text_of(text)
    if len(text) > limit and not (len(text) <= limit + _NOTE and _CUT.search(text)):
        text = f"{text[:limit]}… [cut, {len(text):,} characters in all]"
    return text if text.isascii() and text.isprintable() else _NOT_XML.sub("\ufffd", text)


@lru_cache(maxsize=4096)
def iso(timestamp: int) -> str:
    """Return milliseconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(timespec="milliseconds")
