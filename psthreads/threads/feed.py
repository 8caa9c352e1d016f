"""Following threads as they change: one reader of Redis for each web process, however many followers it has.

A follower has no queue. When it is woken, it reads from where it is, and goes on: a slow one costs no memory, and finds
what it missed in the log, which is numbered. What many followers read at the same time is read once.
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
from psthreads.threads.records import ThreadSnapshot
from psthreads.threads.store import FEED, ThreadStore

_BLOCK_MS: Final = 1_000
_AGAIN_SECONDS: Final = 0.5
_BATCH: Final = 1_000  # entries of the feed at a time
_KEPT_CHANGES: Final = 10_000  # for followers of many threads
_CACHED_THREADS: Final = 2_000  # for the same
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a thread. `id` is that of its entry in the feed: digits, a hyphen, digits."""

    id: str
    thread_id: str
    group_id: int


class Behind(Exception):
    """A follower of many threads was too slow, or away for too long, and must read all of them again."""


class Feed:
    """The changes, for those who follow them. It reads only while it has followers."""

    def __init__(self, redis: Redis, store: ThreadStore) -> None:
        self.is_closed = False
        self._redis = redis
        self._store = store
        self._lock = threading.RLock()
        self._channels: dict[str, _Channel] = {}
        self._changed = threading.Condition(self._lock)
        self._changes: deque[Change] = deque(maxlen=_KEPT_CHANGES)
        self._position = 0  # counts changes since the start; the last one of `_changes` has this number
        self._wakes = 0  # counts how often all followers were woken
        self._followers = 0
        self._last_id = "0-0"
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

        Raises Behind where that change is too long ago, and Unavailable.
        """
        with self._reading():
            with self._lock:
                position, earlier = self._position, self._earlier(since)
            yield ManyFollower(self, group_id, position, earlier)

    def wait(self, thread: Thread, until: Callable[[Thread], bool], seconds: float) -> Thread:
        """Return the thread once `until` holds for it, or its state when the time is up.

        Raises Unavailable and ThreadNotFound.
        """
        if until(thread):
            return thread
        deadline = time.monotonic() + seconds
        with self.follow(thread.id) as follower:
            while True:
                thread = self._store.fetch(thread.id)
                remaining = deadline - time.monotonic()
                if until(thread) or remaining <= 0:
                    return thread
                follower.wait(remaining)

    def close(self) -> None:
        """Wake all followers, because this web process is about to end."""
        self.is_closed = True
        self._wake_all()

    # For ManyFollower.

    def changes_after(self, position: int, seconds: float) -> tuple[int, list[Change]]:
        """Return the changes after this position, and the new position; wait for one, at most that long.

        Raises Behind where they are not kept any more.
        """
        with self._changed:
            wakes = self._wakes
            self._changed.wait_for(lambda: self._position > position or self._wakes != wakes, seconds)
            many = self._position - position
            if many > len(self._changes):
                raise Behind
            changes = [self._changes[number] for number in range(len(self._changes) - many, len(self._changes))]
            return self._position, changes

    def threads(self, changed: dict[str, int]) -> tuple[list[Thread], int]:
        """Return the threads, each at least as new as the change at its position, and the permissions' version."""
        with self._lock:
            position = self._position
            cached = {each: self._cache[each] for each in changed if each in self._cache}
        missing = [each for each, minimum in changed.items() if each not in cached or cached[each][0] < minimum]
        if missing:
            threads, access = self._store.fetch_many(missing)
            new = {thread.id: (position, thread) for thread in threads}
            cached |= new
            with self._lock:
                self._access = max(self._access, access)
                self._cache |= new
                while len(self._cache) > _CACHED_THREADS:
                    self._cache.popitem(last=False)
        return [cached[each][1] for each in changed if each in cached], self._access

    # Reading.

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Make sure that the feed is read within the block, from before the block on."""
        with self._lock:
            if self._reader is None:
                with translate_errors():
                    newest = cast("list[tuple[bytes, Any]]", self._redis.xrevrange(FEED, count=1))
                self._last_id = newest[0][0].decode() if newest else "0-0"
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
                answer: Any = self._redis.xread({FEED: self._last_id}, count=_BATCH, block=_BLOCK_MS)
            except RedisError as error:
                _log.warning("The feed cannot be read: %s", error)
                time.sleep(_AGAIN_SECONDS)
                self._wake_all()  # The followers find out for themselves.
                continue
            if answer:
                self._take_in(answer[0][1])

    def _take_in(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        concerns_all = len(entries) == _BATCH  # The reader is late, and the capped feed may have lost some.
        with self._lock:
            for entry_id, fields in entries:
                self._last_id = entry_id.decode()
                if b"t" not in fields:
                    self._access = max(self._access, _number(fields.get(b"a", b"")))
                    concerns_all = True
                    continue
                change = _change(self._last_id, fields)
                self._changes.append(change)
                self._position += 1
                if (channel := self._channels.get(change.thread_id)) is not None:
                    channel.wake()
            self._changed.notify_all()
        if concerns_all:
            self._wake_all()

    def _wake_all(self) -> None:
        with self._lock:
            self._wakes += 1
            for channel in self._channels.values():
                channel.wake()
            self._changed.notify_all()

    def _earlier(self, since: str) -> list[Change]:
        if not since:
            return []
        with translate_errors():
            oldest = cast("list[Any]", self._redis.xrange(FEED, count=1))
            if not oldest or _order(oldest[0][0].decode()) > _order(since):
                raise Behind
            entries = cast("list[Any]", self._redis.xrange(FEED, f"({since}", self._last_id, count=_KEPT_CHANGES))
        return [_change(entry_id.decode(), fields) for entry_id, fields in entries if b"t" in fields]


class Follower:
    """Follows one thread."""

    def __init__(self, store: ThreadStore, thread_id: str, channel: _Channel) -> None:
        self._store = store
        self._thread_id = thread_id
        self._channel = channel
        self._seen = -1

    def snapshot(self, first: int, *, again: bool = False) -> ThreadSnapshot:
        """Return the thread, and its log from number `first` on; raise ThreadNotFound and Unavailable.

        With `again` they are read even where no change was heard of.
        """
        channel = self._channel
        self._seen = channel.version
        if again:
            return self._store.snapshot(self._thread_id, first)
        return channel.share((self._seen, first), lambda: self._store.snapshot(self._thread_id, first))

    def wait(self, seconds: float) -> bool:
        """Wait for a change since the last `snapshot` or `wait`; return False when the time is up."""
        channel = self._channel
        with channel.changed:
            has_changed = channel.changed.wait_for(lambda: channel.version != self._seen, seconds)
            self._seen = channel.version
        return has_changed


class ManyFollower:
    """Follows many threads."""

    def __init__(self, feed: Feed, group_id: int | None, position: int, earlier: list[Change]) -> None:
        self._feed = feed
        self._group_id = group_id
        self._position = position
        self._earlier = earlier

    def changes(self, seconds: float) -> tuple[str, list[Thread], int, set[str]]:
        """Wait for changes, at most that long, and return what is new.

        That is the id of the last change, the changed threads, each once, the version of the permissions, and the ids
        of deleted threads. Expired threads are not reported. Raises Behind and Unavailable.
        """
        changes, self._earlier = self._earlier, []
        if not changes:
            self._position, changes = self._feed.changes_after(self._position, seconds)
        changed = {
            change.thread_id: self._position
            for change in changes
            if self._group_id is None or change.group_id == self._group_id
        }
        threads, access = self._feed.threads(changed)
        deleted = changed.keys() - {thread.id for thread in threads}
        return changes[-1].id if changes else "", threads, access, deleted


class _Channel:
    """The followers of one thread."""

    def __init__(self, lock: threading.RLock) -> None:
        self.changed = threading.Condition(lock)
        self.version = 0
        self.followers = 0
        self._place: tuple[int, int] | None = None
        self._snapshot: ThreadSnapshot | None = None
        self._reading = threading.Lock()

    def wake(self) -> None:
        self.version += 1
        self.changed.notify_all()

    def share(self, place: tuple[int, int], read: Callable[[], ThreadSnapshot]) -> ThreadSnapshot:
        """Return what `read` returns. Followers at the same place share one reading."""
        with self._reading:
            if self._place != place or self._snapshot is None:
                self._snapshot = read()
                self._place = place
            return self._snapshot


def _change(entry_id: str, fields: dict[bytes, bytes]) -> Change:
    return Change(entry_id, fields[b"t"].decode(errors="replace"), _number(fields.get(b"g", b"")))


def _number(text: bytes) -> int:
    # Whatever stands in Redis, the only reader of the feed must not end.
    try:
        return int(text)
    except ValueError:
        return 0


def _order(entry_id: str) -> tuple[int, int]:
    first, _, second = entry_id.partition("-")
    return int(first), int(second or 0)
