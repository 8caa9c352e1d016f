"""The content of event streams, as in the HTML standard, section "Server-sent events".

A stream reads when it sends: it keeps no more in memory than the piece that it sends.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from psthreads.domain import access
from psthreads.domain.errors import NotAllowed, NotFound, NotSignedIn, Unavailable
from psthreads.domain.model import SERVER_WIDE, Level, Thread
from psthreads.threads.feed import Behind, Feed, Follower
from psthreads.threads.records import ThreadSnapshot
from psthreads.threads.store import ThreadStore
from psthreads.web.auth.guard import Watch
from psthreads.web.http import respond

_POLL_SECONDS: Final = 5.0  # between two checks that a client that receives nothing is still connected
_QUIET_POLLS: Final = 3  # after which a comment shows that the stream is alive
_RETRY_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.25  # between two reads of many threads
# No empty line follows these: some clients take every empty line for the end of an event, and would report one without
# a name and without data. They belong to the next event's block.
_RETRY: Final = "retry: 1000\n"  # milliseconds until a browser reconnects
_COMMENT: Final = ":\n"
_FIRST_THREADS: Final = 200
_SENT_THREADS: Final = 1_000


def _event(kind: str, data: object, event_id: str = "") -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _thread_event(thread: Thread, last: Thread | None) -> str:
    """Return the event for a thread: `status` where that is new to the client, `progress` otherwise."""
    is_same = last is not None and (last.status, last.cancelling) == (thread.status, thread.cancelling)
    return _event("progress" if is_same else "status", respond.describe(thread))


@lru_cache(maxsize=64)
def _log_events(snapshot: ThreadSnapshot, level: Level | None, with_detail: bool) -> str:  # noqa: FBT001 (a part of the cache's key)
    """Return the events of a part of a log, made once for all followers of the thread."""
    return "".join(
        _event("log", respond.log_event(event, with_detail=with_detail), str(event.seq))
        for event in snapshot.log.events
        if level is None or event.level.is_at_least(level)
    )


@dataclass(frozen=True, slots=True)
class ThreadStream:
    """The stream of one thread: its state, each line of its log once, and its final status at the end."""

    feed: Feed
    watch: Watch
    is_closed: Callable[[], bool]
    thread_id: str
    level: Level | None

    def events(self, first: int) -> Iterator[str]:
        """Yield the stream from the log's event `first` on. It ends with the thread, and with the caller's access."""
        yield _RETRY
        while not self.feed.is_closed:
            try:
                with self.feed.follow(self.thread_id) as follower:
                    yield from self._follow(follower, first)
            except Unavailable as error:
                yield f": {error.message}\n"
                time.sleep(_RETRY_SECONDS)
            except (NotSignedIn, NotAllowed, NotFound):
                return  # A client that reconnects gets the reason.
            else:
                return

    def _follow(self, follower: Follower, first: int) -> Iterator[str]:
        last: Thread | None = None
        again = False
        while not self.feed.is_closed:
            try:
                snapshot = follower.snapshot(first, again=again)
                self.watch.check(snapshot.access, (snapshot.thread,))
            except Unavailable as error:
                yield f": {error.message}\n"
                time.sleep(_RETRY_SECONDS)
                continue
            thread, log = snapshot.thread, snapshot.log
            events = _log_events(snapshot, self.level, access.sees_details(self.watch.caller))
            is_whole = log.next > log.total
            if thread.status.is_final and is_whole:
                yield events + _event("status", respond.describe(thread), str(log.total + 1))
                return
            if (
                last is None or (thread.rev, thread.message) != (last.rev, last.message)
            ) and not thread.status.is_final:
                events += _thread_event(thread, last)
                last = thread
            first = log.next
            if events:
                yield events
            again = False
            if not is_whole:
                continue
            quiet = 0
            while not follower.wait(_POLL_SECONDS):
                if self.feed.is_closed or self.is_closed():
                    return
                quiet += 1
                if quiet == _QUIET_POLLS:
                    yield _COMMENT
                    again = True  # Finds a change whose notification was lost.
                    break


class AllThreadsStream:
    """The stream of all threads, or those of a group: the active ones at first, then each that changes."""

    def __init__(
        self,
        feed: Feed,
        store: ThreadStore,
        watch: Watch,
        is_closed: Callable[[], bool],
        group_id: int | None,
    ) -> None:
        self._feed = feed
        self._store = store
        self._watch = watch
        self._is_closed = is_closed
        self._group_id = group_id
        self._sent: OrderedDict[str, Thread] = OrderedDict()

    def events(self, since: str) -> Iterator[str]:
        """Yield the stream after the change with the id `since`, if any. It ends with the caller's access."""
        yield _RETRY
        while not self._feed.is_closed:
            try:
                yield from self._follow(since)
            except Behind:
                if not since:
                    return  # The client is too slow: when it reconnects, it gets the active threads.
                yield _event("reset", {"message": "Too much has changed meanwhile: what is active now follows."})
                since = ""
            except Unavailable as error:
                yield f": {error.message}\n"
                time.sleep(_RETRY_SECONDS)
            except (NotSignedIn, NotAllowed, NotFound):
                return
            else:
                return

    def _follow(self, since: str) -> Iterator[str]:
        with self._feed.follow_many(self._group_id, since) as follower:
            if not since:
                page = self._store.page("active", self._group_id or SERVER_WIDE, 1, _FIRST_THREADS)
                self._watch.recheck()
                yield "".join(self._changes(page.threads[::-1])) or _COMMENT
            quiet = 0
            while not (self._feed.is_closed or self._is_closed()):
                last, threads, version, deleted = follower.changes(_POLL_SECONDS)
                self._watch.check(version, threads)
                events = self._changes(threads) + [_event("gone", {"id": each}) for each in sorted(deleted)]
                if events:
                    events[-1] = f"id: {last}\n{events[-1]}"
                quiet = 0 if events else quiet + 1
                if events or quiet % _QUIET_POLLS == 0:
                    yield "".join(events) or _COMMENT
                time.sleep(_PAUSE_SECONDS)

    def _changes(self, threads: Sequence[Thread]) -> list[str]:
        """Return an event for each thread that the client does not have in this state."""
        events = []
        for thread in threads:
            last = self._sent.get(thread.id)
            if last is not None and last.rev >= thread.rev:
                continue
            events.append(_thread_event(thread, last))
            self._sent[thread.id] = thread
            self._sent.move_to_end(thread.id)
            if len(self._sent) > _SENT_THREADS:
                self._sent.popitem(last=False)
        return events
