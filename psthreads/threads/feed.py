"""Following threads as they change: one reader of Redis for each web process, whatever the number of followers.

A follower holds no queue of its own. It is woken, reads what is new from where it stands, and goes on: so
a slow one costs no memory, and what it missed meanwhile it finds in the log, which is numbered. What many
followers ask for at the same moment is read once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import RedisError

from psthreads.database.connection import translate_errors
from psthreads.domain.model import Thread
from psthreads.threads.store import FEED, ThreadSnapshot, ThreadStore

_BLOCK_MS: Final = 1_000
_AGAIN_SECONDS: Final = 0.5
_READ: Final = 1_000  # entries of the feed at a time
_REMEMBERED: Final = 10_000  # changes, for those who follow many threads
_CACHED: Final = 2_000  # threads, for the same
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a thread. `id` is that of its entry in the feed: digits, a hyphen, digits."""

    id: str
    thread_id: str
    group_id: int


class Behind(Exception):
    """A follower of many threads was too slow, or away for too long: it must look at all of them again."""


class Feed:
    """What changes, told to whoever follows. It reads only while somebody does."""

    def __init__(self, redis: Redis, store: ThreadStore) -> None:
        self.is_closed = False
        self._redis = redis
        self._store = store
        self._lock = threading.RLock()
        self._channels: dict[str, _Channel] = {}
        self._many = threading.Condition(self._lock)
        self._changes: deque[Change] = deque(maxlen=_REMEMBERED)
        self._counted = 0  # changes since the start; the last one's position in `_changes` follows from it
        self._stirred = 0  # how often everybody was woken
        self._followers = 0
        self._last = "0-0"
        self._reader: threading.Thread | None = None
        self._cache: OrderedDict[str, tuple[int, Thread]] = OrderedDict()
        self._access = 0

    @contextmanager
    def follow(self, thread_id: str) -> Iterator[Follower]:
        """Follow one thread within the block. Raises Unavailable when Redis is away at its start."""
        with self._reading():
            with self._lock:
                channel = self._channels.setdefault(thread_id, _Channel(self._lock))
                channel.followers += 1
            try:
                yield Follower(self._store, thread_id, channel)
            finally:
                with self._lock:
                    channel.followers -= 1
                    if not channel.followers:
                        del self._channels[thread_id]

    @contextmanager
    def follow_many(self, group_id: int | None, since: str = "") -> Iterator[ManyFollower]:
        """Follow all threads, or those of one group, from now on or from the change with the id `since`.

        Raises Behind where that is too long ago, and Unavailable.
        """
        with self._reading():
            with self._lock:
                position, earlier = self._counted, self._earlier(since)
            yield ManyFollower(self, group_id, position, earlier)

    def wait(self, thread: Thread, until: Callable[[Thread], bool], seconds: float) -> Thread:
        """The thread once it is as wanted, or as it is when the time is up. Raises Unavailable, ThreadNotFound."""
        if until(thread):
            return thread
        deadline = time.monotonic() + seconds
        with self.follow(thread.id) as follower:
            while True:
                thread = self._store.fetch(thread.id)
                left = deadline - time.monotonic()
                if until(thread) or left <= 0:
                    return thread
                follower.wait(left)

    def close(self) -> None:
        """Wake everybody who follows, for this web process is about to end."""
        self.is_closed = True
        self._stir()

    # For ManyFollower.

    def changes_after(self, position: int, seconds: float) -> tuple[int, list[Change]]:
        """What changed after this position, and where that leads; waits until something does, at most that long.

        Raises Behind where it is not remembered any more.
        """
        with self._many:
            stirred = self._stirred
            self._many.wait_for(lambda: self._counted > position or self._stirred != stirred, seconds)
            many = self._counted - position
            if many > len(self._changes):
                raise Behind
            found = [self._changes[number] for number in range(len(self._changes) - many, len(self._changes))]
            return self._counted, found

    def threads(self, changed: dict[str, int]) -> tuple[list[Thread], int]:
        """The threads as they stand, each at least as new as the change at its position; and who may do what."""
        with self._lock:
            counted = self._counted
            known = {each: self._cache[each] for each in changed if each in self._cache}
        missing = [each for each, position in changed.items() if each not in known or known[each][0] < position]
        if missing:
            found, access = self._store.fetch_many(missing)
            new = {thread.id: (counted, thread) for thread in found}
            known |= new
            with self._lock:
                self._access = max(self._access, access)
                self._cache |= new
                while len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
        return [known[each][1] for each in changed if each in known], self._access

    # Inside.

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Make sure that the feed is read within the block, from before the block on."""
        with self._lock:
            if self._reader is None:
                with translate_errors(self._redis):
                    newest = cast("list[tuple[bytes, Any]]", self._redis.xrevrange(FEED, count=1))
                self._last = newest[0][0].decode() if newest else "0-0"
                self._changes.clear()
                self._cache.clear()
                self._reader = threading.Thread(target=self._read, name="feed", daemon=True)
                self._reader.start()
            self._followers += 1
        try:
            yield
        finally:
            with self._lock:
                self._followers -= 1

    def _read(self) -> None:
        while True:
            with self._lock:
                if not self._followers:
                    self._reader = None
                    return
            try:
                reply: Any = self._redis.xread({FEED: self._last}, count=_READ, block=_BLOCK_MS)
            except RedisError as error:
                _log.warning("The feed cannot be read: %s", error)
                time.sleep(_AGAIN_SECONDS)
                self._stir()  # Who follows finds out for himself.
                continue
            if reply:
                self._tell(reply[0][1])

    def _tell(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        everybody = len(entries) == _READ  # We are late, and what is capped may have lost some.
        with self._lock:
            for entry_id, fields in entries:
                self._last = entry_id.decode()
                if b"t" not in fields:
                    self._access = max(self._access, int(fields[b"a"]))
                    everybody = True
                    continue
                change = _change(self._last, fields)
                self._changes.append(change)
                self._counted += 1
                if (channel := self._channels.get(change.thread_id)) is not None:
                    channel.ring()
            self._many.notify_all()
        if everybody:
            self._stir()

    def _stir(self) -> None:
        with self._lock:
            self._stirred += 1
            for channel in self._channels.values():
                channel.ring()
            self._many.notify_all()

    def _earlier(self, since: str) -> list[Change]:
        """The changes after that id and up to now."""
        if not since:
            return []
        with translate_errors(self._redis):
            oldest = cast("list[Any]", self._redis.xrange(FEED, count=1))
            if not oldest or _order(oldest[0][0].decode()) > _order(since):
                raise Behind
            found = cast("list[Any]", self._redis.xrange(FEED, f"({since}", self._last, count=_REMEMBERED))
        return [_change(entry_id.decode(), fields) for entry_id, fields in found if b"t" in fields]


class Follower:
    """Follows one thread."""

    def __init__(self, store: ThreadStore, thread_id: str, channel: _Channel) -> None:
        self._store = store
        self._thread_id = thread_id
        self._channel = channel
        self._seen = -1

    def read(self, first: int, *, again: bool = False) -> ThreadSnapshot:
        """The thread, and its log from number `first` on, as they stand; raises ThreadNotFound, Unavailable.

        With `again` they are read even if nothing has been heard of a change.
        """
        channel = self._channel
        self._seen = channel.rung
        if again:
            return self._store.follow(self._thread_id, first)
        return channel.once((self._seen, first), lambda: self._store.follow(self._thread_id, first))

    def wait(self, seconds: float) -> bool:
        """Wait until something has changed since the last `read` or `wait`; False when the time is up."""
        channel = self._channel
        with channel.bell:
            changed = channel.bell.wait_for(lambda: channel.rung != self._seen, seconds)
            self._seen = channel.rung
        return changed


class ManyFollower:
    """Follows many threads. `position` is the id of the last change that was given."""

    def __init__(self, feed: Feed, group_id: int | None, position: int, earlier: list[Change]) -> None:
        self._feed = feed
        self._group_id = group_id
        self._position = position
        self._earlier = earlier

    def read(self, seconds: float) -> tuple[str, list[Thread], int, set[str]]:
        """The id of the last change, the threads that have changed, each once, and the version of who may do what.

        Besides, the ids of threads that have changed and are gone: deleted, as they expire without a word.

        Waits until something has, at most that long. Raises Behind, Unavailable.
        """
        found, self._earlier = self._earlier, []
        if not found:
            self._position, found = self._feed.changes_after(self._position, seconds)
        changed = {
            change.thread_id: self._position
            for change in found
            if self._group_id is None or change.group_id == self._group_id
        }
        threads, access = self._feed.threads(changed)
        gone = changed.keys() - {thread.id for thread in threads}
        return found[-1].id if found else "", threads, access, gone


class _Channel:
    """Those who follow the same thread."""

    def __init__(self, lock: threading.RLock) -> None:
        self.bell = threading.Condition(lock)
        self.rung = 0
        self.followers = 0
        self._at: tuple[int, int] | None = None
        self._snapshot: ThreadSnapshot | None = None
        self._reading = threading.Lock()

    def ring(self) -> None:
        self.rung += 1
        self.bell.notify_all()

    def once(self, at: tuple[int, int], read: Callable[[], ThreadSnapshot]) -> ThreadSnapshot:
        """What `read` gives; those who ask for the same at the same time share it."""
        with self._reading:
            if self._at != at or self._snapshot is None:
                self._snapshot = read()
                self._at = at
            return self._snapshot


def _change(entry_id: str, fields: dict[bytes, bytes]) -> Change:
    return Change(entry_id, fields[b"t"].decode(), int(fields[b"g"]))


def _order(entry_id: str) -> tuple[int, int]:
    first, _, second = entry_id.partition("-")
    return int(first), int(second or 0)
