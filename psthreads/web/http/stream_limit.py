"""The limits on requests that one web process keeps open for long: event streams, long polls and downloads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from flask import Response

from psthreads.domain.access import Caller
from psthreads.domain.errors import PsthreadsError, TooManyRequests, Unavailable

_RETRY_AFTER: Final = 5


class StreamLimit:
    """Slots that are refused instead of waited for. There are `most`, and each member may take `share` of them.

    All together, the members of a group may take half of the slots for what they follow there. The last tenth is for
    administrators.
    """

    def __init__(self, most: int, share: int, noun: str = "event streams") -> None:
        self._noun = noun
        self._most = most
        self._share = share
        self._most_of_group = max(min(most, share), most // 2)
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def open(self) -> int:
        """How many slots are taken."""
        return self._open["everybody"]

    def acquire(self, caller: Caller) -> None:
        """Take a slot. Raises TooManyRequests where the caller's share is taken, and Unavailable where all are."""
        with self._lock:
            if problem := self._objection(caller):
                raise problem
            self._open.update(_names(caller))

    def release(self, caller: Caller) -> None:
        """Free a slot."""
        with self._lock:
            self._open.subtract(_names(caller))
            for name in _names(caller):
                if not self._open[name]:
                    del self._open[name]

    @contextmanager
    def slot(self, caller: Caller) -> Iterator[bool]:
        """Hold a slot within the block; yield False where none is free."""
        try:
            self.acquire(caller)
        except PsthreadsError:
            yield False
            return
        try:
            yield True
        finally:
            self.release(caller)

    def _objection(self, caller: Caller) -> PsthreadsError | None:
        everybody, member, *groups = _names(caller)
        if self._open[member] >= self._share:
            return TooManyRequests(
                f"You have {self._share:,} {self._noun} open, as many as a member may: close some first.",
                _RETRY_AFTER,
            )
        if not caller.member.admin and any(self._open[group] >= self._most_of_group for group in groups):
            return TooManyRequests(
                f"This group has as many {self._noun} open as one group may: try again later.", _RETRY_AFTER
            )
        reserve = 0 if caller.member.admin else self._most // 10
        if self._open[everybody] >= self._most - reserve:
            return Unavailable(f"This server has as many {self._noun} open as it may: try again in a few seconds.")
        return None


class Downloads:
    """The answers that are read from Redis piece by piece while their clients take them, in slots of their own.

    Few are read at the same time, and each yields after a piece: other requests do not wait for them, and always find a
    connection to Redis.
    """

    def __init__(self, most: int = 200, share: int = 20, reading: int = 4) -> None:
        self._limit = StreamLimit(most, share, "downloads")
        self._reading = threading.Semaphore(reading)

    def answer(self, caller: Caller, pieces: Iterable[str], content_type: str, filename: str) -> Response:
        """Return the answer with these pieces. Raises TooManyRequests and Unavailable as a StreamLimit does."""
        self._limit.acquire(caller)
        response = Response(self._in_turns(pieces), content_type=content_type)
        response.call_on_close(partial(self._limit.release, caller))
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
        return response

    def _in_turns(self, pieces: Iterable[str]) -> Iterator[str]:
        remaining = iter(pieces)
        while True:
            # Not held while the client takes the piece, for which it may need as long as it likes.
            with self._reading:
                piece = next(remaining, None)
            if piece is None:
                return
            yield piece
            time.sleep(0)


def _names(caller: Caller) -> list[str]:
    """Return what the caller's slots are counted under."""
    names = ["everybody", f"member {caller.member.id}"]
    return [*names, f"group {caller.group.id}"] if caller.group is not None else names
