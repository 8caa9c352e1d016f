"""Finds threads among many, and sums up the current state for the dashboard.

No request costs more because more is stored. A search scans the shortest listing that holds all that can match, newest
first, for a bounded number of threads; then it says where to go on.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from psthreads.domain.errors import BadParameter
from psthreads.domain.model import SERVER_WIDE, Status, Thread, ThreadPage
from psthreads.threads.records import Kind, parse_thread
from psthreads.threads.scripts import ThreadScripts

_SLICE: Final = 250  # threads in one step of a search: few enough not to hold up Redis
_SCANNED: Final = 2_000
_ID: Final = re.compile(r"[0-9a-f]{8,32}\Z", re.IGNORECASE)
_CURSOR: Final = re.compile(r"([0-9]{1,16})-([0-9a-f]{32})\Z")
_SHOWN: Final = 8
_STEPS: Final = 4  # of a duration's length in an octave, as lua/common.lua counts them
_STATES: Final = frozenset({"active", "finished", "all"})
_ENDS: Final = tuple(status for status in Status if status.is_final)


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """The threads to find: of a group, a member or a process, where these are given.

    `since` and `till` are milliseconds since the epoch, 0 for no bound: of the acceptance of active threads, and of the
    end of final ones. `text` is searched in names and messages, without regard to case; an id, or its first eight
    characters or more, finds its thread.
    """

    kind: Kind = "active"
    group_id: int = SERVER_WIDE
    member_id: int | None = None
    process: str = ""
    since: int = 0
    till: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class ThreadSearchResult:
    """Threads, newest first. `after` is where to go on, empty at the end.

    `total` counts all that match, None where that would take a look at each of them. `looked_back_to` is the time of
    the last scanned thread where the search stopped before the page was full, else 0.
    """

    threads: tuple[Thread, ...]
    after: str
    total: int | None
    looked_back_to: int


@dataclass(frozen=True, slots=True)
class Hour:
    """The counts of an hour, which began `at` milliseconds since the epoch."""

    at: int
    started: int
    completed: int
    failed: int
    cancelled: int
    lost: int


@dataclass(frozen=True, slots=True)
class Duration:
    """The durations of a process's threads in milliseconds: the median, and the 95th percentile as `most`."""

    process: str
    count: int
    median: int
    most: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The current state by Redis's clock. `oldest` is when the oldest waiting thread was accepted, 0 for none.

    `counts` has the number of threads of each status that is not final, and of those that failed in the last day.
    """

    counts: Mapping[Status, int]
    running: tuple[Thread, ...]
    waiting: tuple[Thread, ...]
    failed: tuple[Thread, ...]
    oldest: int
    hours: tuple[Hour, ...]
    durations: tuple[Duration, ...]
    now: int


class ThreadSearch:
    """Searches threads. Its methods raise Unavailable when Redis is away."""

    def __init__(self, scripts: ThreadScripts, annotate: Callable[[Thread], Thread] = lambda thread: thread) -> None:
        self._run = scripts.run
        self._annotate = annotate

    def find(self, query: ThreadQuery, after: str = "", size: int = 50, look_at: int = _SCANNED) -> ThreadSearchResult:
        """Return at most `size` matching threads, after the place where an earlier search stopped, if given.

        Raises BadParameter for an `after` that no search has returned.
        """
        if not after and is_id(query.text) and (threads := self._with_id(query, size)):
            return ThreadSearchResult(threads, "", len(threads), 0)
        return self._scan(query, after, size, look_at)

    def _with_id(self, query: ThreadQuery, size: int) -> tuple[Thread, ...]:
        """Return the matching threads whose ids begin with the text, which costs the same however many are stored."""
        flat = self._run("find_ids", query.text.lower(), size)
        threads = (parse_thread(key.decode(), raw) for key, raw in _pairs(flat) if _matches(query, key, raw))
        latest = query.till or math.inf
        return tuple(self._annotate(each) for each in threads if query.since <= (each.ended or each.created) <= latest)

    def _scan(self, query: ThreadQuery, after: str, size: int, look_at: int) -> ThreadSearchResult:
        listings, is_exact = _listings(query)
        threads: list[Thread] = []
        total, scanned, score, has_more = 0, 0, 0, True
        while has_more and len(threads) < size and scanned < look_at:
            step = min(_SLICE, look_at - scanned, max(size - len(threads), 1) if is_exact else _SLICE)
            args: dict[str, Any] = {
                "since": query.since or "-inf",
                "until": query.till or "+inf",
                "many": step,
                "listings": listings,
            }
            if after:
                args["after"] = _cursor(after)
            length, more, *rows = self._run("find", args)
            total, scanned, has_more = total or length, scanned + step, bool(more)
            for thread_id, at, raw in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
                if len(threads) == size:
                    has_more = True
                    break
                score = int(at)
                after = f"{score}-{thread_id.decode()}"
                if _matches(query, thread_id, raw):
                    threads.append(self._annotate(parse_thread(thread_id.decode(), raw)))
        stopped_early = has_more and len(threads) < size
        return ThreadSearchResult(
            threads=tuple(threads),
            after=after if has_more else "",
            total=total if is_exact and query.kind != "all" else None,  # Some that have expired may still be listed.
            looked_back_to=score if stopped_early else 0,
        )

    def page(self, kind: Kind, group_id: int, cursor: str, size: int) -> ThreadPage:
        """Return the page of threads of one kind that begins at this cursor; raise BadParameter for a wrong one."""
        try:
            result = self.find(ThreadQuery(kind, group_id), cursor, size)
        except BadParameter as error:
            raise BadParameter("cursor", error.message.replace("'after'", "'cursor'")) from None
        return ThreadPage(result.threads, result.total or 0, 1, size, result.after)

    def overview(self, group_id: int = SERVER_WIDE) -> Overview:
        """Return the current state of the whole server or of one group, in one round trip."""
        scope = "server" if group_id == SERVER_WIDE else group_id
        counts, running, waiting, failed, oldest, hours, days, now = self._run("overview", scope, _SHOWN)
        return Overview(
            counts={Status(name.decode()): number for name, number in _pairs(counts)},
            running=tuple(sorted(_threads(running), key=attrgetter("created"), reverse=True)[:_SHOWN]),
            waiting=tuple(map(self._annotate, _threads(waiting))),
            failed=tuple(_threads(failed)),
            oldest=int(oldest or 0),
            hours=tuple(_hour(hour, fields) for hour, fields in _pairs(hours)),
            durations=tuple(_durations(days)),
            now=now,
        )


def is_id(text: str) -> bool:
    """Return whether a text may be the id of a thread, or the beginning of one: eight hexadecimal digits or more."""
    return _ID.match(text) is not None


def _listings(query: ThreadQuery) -> tuple[list[tuple[str, str]], bool]:
    """Return the listings that each hold all that can match, and whether the first one holds nothing else.

    A listing is a pair of scope and kind. The first is the whole server's or the group's.
    """
    kind = query.kind
    state = kind if kind in _STATES else "finished" if Status(kind).is_final else "active"
    listings = [("server" if query.group_id == SERVER_WIDE else str(query.group_id), str(kind))]
    if query.member_id is not None:
        listings.append((f"member:{query.member_id}", state))
    if query.process:
        listings.append((f"process:{query.process}", state))
    return listings, len(listings) == 1 and not query.text


def _matches(query: ThreadQuery, thread_id: bytes, raw: bytes) -> bool:
    try:
        return _meta_matches(query, thread_id.decode(), json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # A record that cannot be read is shown wherever it may belong, but not as what somebody has searched.
        return query.member_id is None and not query.process and not query.text


def _meta_matches(query: ThreadQuery, thread_id: str, meta: Mapping[str, Any]) -> bool:
    # Most of the threads that a search looks at do not match: no whole thread is made of them.
    status = Status(meta["status"])
    if query.kind != "all" and (
        status.is_final != (query.kind == "finished") if query.kind in _STATES else status is not Status(query.kind)
    ):
        return False
    if query.group_id != SERVER_WIDE and meta["groupid"] != query.group_id:
        return False
    if query.member_id is not None and meta["memberid"] != query.member_id:
        return False
    if query.process and meta["process"] != query.process:
        return False
    text = query.text.casefold()
    if not text or text in meta["name"].casefold() or text in meta.get("message", "").casefold():
        return True
    return is_id(text) and thread_id.startswith(text)


def _cursor(after: str) -> tuple[str, str]:
    match = _CURSOR.match(after)
    if match is None:
        raise BadParameter(
            "after", "The parameter 'after' is not one that a list has given: go on from its first page."
        )
    return match[1], match[2]


def _pairs(flat: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _threads(flat: list[Any]) -> Iterator[Thread]:
    return (parse_thread(thread_id.decode(), meta) for thread_id, meta in _pairs(flat))


def _hour(hour: int, fields: list[bytes]) -> Hour:
    counts = {name.decode(): int(number) for name, number in _pairs(fields)}
    return Hour(hour * 3_600_000, *(counts.get(name, 0) for name in ("started", *_ENDS, "lost")))


def _durations(days: list[list[bytes]]) -> Iterator[Duration]:
    steps: dict[str, Counter[int]] = {}
    for day in days:
        for field, number in _pairs(day):
            process, _, step = field.decode().rpartition(":")
            steps.setdefault(process, Counter())[int(step)] += int(number)
    for process, counted in sorted(steps.items()):
        yield Duration(process, counted.total(), _percentile(counted, 0.5), _percentile(counted, 0.95))


def _percentile(steps: Counter[int], share: float) -> int:
    """Return the duration in ms that this share of the runs did not exceed: the middle of its step."""
    remaining = math.ceil(steps.total() * share)
    for step in sorted(steps):
        remaining -= steps[step]
        if remaining <= 0:
            return round(2 ** ((step + 0.5) / _STEPS))
    return 0
