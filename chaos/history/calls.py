"""Notes each call about a thread and its answer, with their times."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from psthreads.domain.model import Status

NEVER: Final = float("inf")
_VERSION: Final = re.compile(r'(?:W/)?"(\d+)')


class Kind(StrEnum):
    """The kinds of calls. A list is a call for each thread that it shows."""

    START = "start"
    READ = "read"
    LIST = "list"
    CANCEL = "cancel"
    DELETE = "delete"


class Answer(NamedTuple):
    """The answer about a thread: the message of one that has ended, else ''.

    `is_cancelled` says that it is cancelled, or to be. `version` counts its changes; None where that is not told.
    """

    status: str
    is_cancelled: bool
    message: str
    version: int | None = None

    def __str__(self) -> str:
        cancelled = " and to be cancelled" if self.is_cancelled and not Status(self.status).is_final else ""
        version = f", version {self.version}" if self.version else ""
        return f"{self.status}{cancelled}{version}{f' ({self.message})' if self.message else ''}"


class Call(NamedTuple):
    """A call, with times of a clock that all clients share.

    `ended` is NEVER for one without an answer, which may take effect at any time after `begun`, or not at all. `answer`
    is None where the thread is not there. Of a start and a delete, only that they were carried out counts.
    """

    kind: Kind
    begun: float
    ended: float
    answer: Answer | None = None

    def __str__(self) -> str:
        return f"a {self.kind} was answered: {self.answer or 'there is no such thread'}"


class History:
    """The calls of all threads, noted by any number of clients at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)

    def note(self, thread_id: str, call: Call) -> None:
        """Add a call about a thread."""
        with self._lock:
            self._calls[thread_id].append(call)

    @property
    def calls(self) -> Mapping[str, list[Call]]:
        """The calls about each thread, once all clients have ended."""
        return self._calls


def answer_of(thread: Mapping[str, Any], tag: str = "") -> Answer:
    """Return the answer in a thread's JSON; the ETag, where there is one, begins with its version."""
    status, version = Status(thread["status"]), _VERSION.match(tag)
    is_cancelled = status is Status.CANCELLED or bool(thread.get("cancelling"))
    message = thread["message"] if status.is_final else ""
    return Answer(status.value, is_cancelled, message, int(version[1]) if version else None)
