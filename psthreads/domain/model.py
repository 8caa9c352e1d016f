"""The words of the domain as frozen values: statuses, threads, events. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

# XML 1.0, section 2.2: what is left when these are taken away is every character it can carry.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_THREAD_ID: Final = re.compile(r"[0-9a-f]{32}\Z")

SERVER_WIDE: Final = -1
"""The group id of a thread that belongs to no group. One known client needs an integer there."""

MAX_TEXT: Final = 16 * 1024
"""The longest message or log line, in characters; what is longer is cut and says so."""


class Status(StrEnum):
    """Where a thread is in its life; the values are the words on the wire."""

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

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    # A running thread goes back to `initialised` only when it is queued again after a lost worker.
    Status.INITIALISED: frozenset({Status.INPROGRESS, *_FINAL}),
    **dict.fromkeys(_RUNNING, frozenset({Status.INITIALISED, *_RUNNING, *_FINAL})),
    **dict.fromkeys(_FINAL, frozenset()),
}
"""From each status, the statuses that may follow. Final statuses have none."""


class Level(StrEnum):
    """The level of one line of a log."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    def is_at_least(self, other: Level) -> bool:
        """Whether this level is as grave as the other one, or graver."""
        return _GRAVITY[self] >= _GRAVITY[other]


_GRAVITY: Final = {level: position for position, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered line of a thread's log. `timestamp` is in milliseconds since the epoch.

    `detail` is what only administrators see of it, such as a traceback.
    """

    seq: int
    timestamp: int
    level: Level
    message: str
    detail: str = ""

    def told(self, *, with_detail: bool) -> str:
        """The text as it is shown: for administrators with the detail below it."""
        return f"{self.message}\n{self.detail}" if with_detail and self.detail else self.message


@dataclass(frozen=True, slots=True)
class LogPage:
    """A run of events and where it stands in the whole log.

    `total` counts every event ever logged, `dropped` those gone from the middle; `next` is the
    number to go on from.
    """

    thread_id: str
    events: tuple[Event, ...]
    total: int
    dropped: int
    next: int

    @property
    def first(self) -> int:
        """The number of the first event here, 0 when there is none."""
        return self.events[0].seq if self.events else 0

    @property
    def last(self) -> int:
        """The number of the last event here, 0 when there is none."""
        return self.events[-1].seq if self.events else 0


@dataclass(frozen=True, slots=True)
class Thread:
    """One run of a process, as it stands. Times are milliseconds since the epoch, 0 for not yet.

    `xml` is the thread-specific XML, well-formed elements in a stable order. `heard` is when the worker last gave a
    sign of life, `reported` when its code last said something, `cancel_asked` when somebody asked to cancel the thread.
    `worker` is the name of the one that has it, or had it last. `rates` is a JSON object of how much of each progress
    bar was done in a second. `rev` counts the changes that people can see, but for `heard`.
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


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """A page of threads, newest first. `total` counts all that match; pages start at 1."""

    threads: tuple[Thread, ...]
    total: int
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a thread ended: a final status and the sentence that says why."""

    status: Status
    message: str

    def __post_init__(self) -> None:
        if not self.status.is_final:
            msg = f"An outcome is final, and '{self.status}' is not"
            raise ValueError(msg)


class Ownership(StrEnum):
    """What the store answers to a report: whether whoever reports still owns the thread."""

    OWNED = "owned"
    CANCELLING = "cancelling"
    DISOWNED = "disowned"


class Line(NamedTuple):
    """One line of a log before it has a number. `timestamp` is in milliseconds since the epoch.

    `detail` is what only administrators are to see. A named tuple: it is made for every line, and quick to make.
    """

    timestamp: int
    level: Level
    message: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What changed since the last report; None where nothing did.

    `number` counts the reports of one execution from 1, so that one sent twice counts once. `rates` is a JSON object of
    how much of each progress bar is done in a second.
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
    """Whether the text has the form of a thread's id: 32 lower-case hex digits."""
    return _THREAD_ID.match(text) is not None


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """The text with what XML 1.0 cannot carry replaced by U+FFFD, and cut after `limit` characters.

    A cut text says so at its end and how long it was.
    """
    if len(text) > limit:
        text = f"{text[:limit]}… [cut, {len(text):,} characters in all]"
    return text if text.isascii() and text.isprintable() else _NOT_XML.sub("\ufffd", text)


@lru_cache(maxsize=4096)
def iso(timestamp: int) -> str:
    """Milliseconds since the epoch as ISO 8601 with a zone, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(timestamp / 1000, UTC)
    return moment.isoformat(timespec="milliseconds")
