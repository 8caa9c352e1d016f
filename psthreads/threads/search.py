"""Finding threads among many, and how things stand on the whole: what the dashboard asks of the store.

No question costs more because more is stored. A search looks through the shortest listing that holds what is wanted,
newest first, at a bounded number of threads; then it says where to go on.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from psthreads.domain.errors import BadParameter
from psthreads.domain.model import SERVER_WIDE, Status, Thread
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.store import Kind, thread_of

_SLICE: Final = 250  # threads in one step of a search: few enough for Redis not to be held up
_LOOKED_AT: Final = 2_000
_CURSOR: Final = re.compile(r"(\d{1,16})-([0-9a-f]{32})\Z")
_SHOWN: Final = 8
_STEPS: Final = 4  # of a duration's length in an octave, as lua/common.lua counts them
_ENDS: Final = tuple(status for status in Status if status.is_final)


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """What is looked for. Of a group's threads only, where `group_id` is one; the same for member and process.

    `since` and `till` are milliseconds since the epoch, 0 for no bound: of the acceptance of threads that are not
    final, and of the end of those that are. `text` is looked for in names and messages, in any case.
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
    """What was found, newest first. `after` is where to go on, empty when everything was looked at.

    `total` counts all that match, None where only looking at each of them would tell. `looked_back_to` is the time of
    the last thread that was looked at, where the search stopped before it had found as many as were asked for; else 0.
    """

    threads: tuple[Thread, ...]
    after: str
    total: int | None
    looked_back_to: int


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened in an hour, which began `at` milliseconds since the epoch."""

    at: int
    started: int
    completed: int
    failed: int
    cancelled: int
    lost: int


@dataclass(frozen=True, slots=True)
class Duration:
    """How long threads of a process ran, in milliseconds: half of them up to `median`, 95 % up to `most`."""

    process: str
    count: int
    median: int
    most: int


@dataclass(frozen=True, slots=True)
class Overview:
    """How things stand by Redis's clock. `oldest` is when the oldest that waits was accepted, 0 for none.

    `counts` has the threads of each status that is not final, and the failed ones of the last day.
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
    """Looks for threads. Its methods raise Unavailable when Redis is away."""

    def __init__(self, scripts: ThreadScripts) -> None:
        self._run = scripts.run

    def find(
        self, wanted: ThreadQuery, after: str = "", size: int = 50, look_at: int = _LOOKED_AT
    ) -> ThreadSearchResult:
        """At most `size` threads as wanted; after the one where an earlier search stopped, if any.

        Raises BadParameter for an `after` that no search has given.
        """
        listings, is_exact = _listings(wanted)
        found: list[Thread] = []
        total, looked, at, there_is_more = 0, 0, 0, True
        while there_is_more and len(found) < size and looked < look_at:
            step = min(_SLICE, look_at - looked, max(size - len(found), 1) if is_exact else _SLICE)
            args: dict[str, Any] = {
                "since": wanted.since or "-inf",
                "until": wanted.till or "+inf",
                "many": step,
                "listings": listings,
            }
            if after:
                args["after"] = _cursor(after)
            _, holds, more, *rows = self._run("find", args)
            total, looked, there_is_more = total or holds, looked + step, bool(more)
            for thread_id, score, raw in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
                if len(found) == size:
                    there_is_more = True
                    break
                at, after = int(score), f"{int(score)}-{thread_id.decode()}"
                meta = json.loads(raw)
                if _matches(wanted, meta):
                    found.append(thread_of(thread_id.decode(), meta))
        stopped_early = there_is_more and len(found) < size
        return ThreadSearchResult(
            threads=tuple(found),
            after=after if there_is_more else "",
            total=total if is_exact else None,
            looked_back_to=at if stopped_early else 0,
        )

    def overview(self, group_id: int = SERVER_WIDE) -> Overview:
        """How things stand, for the whole server or for one group, in one round trip."""
        scope = "server" if group_id == SERVER_WIDE else group_id
        counts, running, waiting, failed, oldest, hours, days, now = self._run("overview", scope, _SHOWN)
        return Overview(
            counts={Status(name.decode()): number for name, number in _pairs(counts)},
            running=tuple(sorted(_threads(running), key=lambda one: one.created, reverse=True)[:_SHOWN]),
            waiting=tuple(_threads(waiting)),
            failed=tuple(_threads(failed)),
            oldest=int(oldest or 0),
            hours=tuple(_hour(hour, fields) for hour, fields in _pairs(hours)),
            durations=tuple(_durations(days)),
            now=now,
        )


def _listings(wanted: ThreadQuery) -> tuple[list[tuple[str, str]], bool]:
    """Listings that each hold all that is wanted, as pairs of scope and kind; and whether the first holds no more.

    The first is the whole server's or the group's.
    """
    kind = wanted.kind
    state = kind if kind in {"active", "finished"} else "finished" if Status(kind).is_final else "active"
    listings = [("server" if wanted.group_id == SERVER_WIDE else str(wanted.group_id), str(kind))]
    if wanted.member_id is not None:
        listings.append((f"member:{wanted.member_id}", state))
    if wanted.process:
        listings.append((f"process:{wanted.process}", state))
    return listings, len(listings) == 1 and not wanted.text


def _matches(wanted: ThreadQuery, meta: Mapping[str, Any]) -> bool:
    status = Status(meta["status"])
    if wanted.kind not in {"active", "finished"} and status is not Status(wanted.kind):
        return False
    if wanted.group_id != SERVER_WIDE and meta["groupid"] != wanted.group_id:
        return False
    if wanted.member_id is not None and meta["memberid"] != wanted.member_id:
        return False
    if wanted.process and meta["process"] != wanted.process:
        return False
    text = wanted.text.casefold()
    return not text or text in meta["name"].casefold() or text in meta["message"].casefold()


def _cursor(after: str) -> tuple[str, str]:
    """The score and the id of the thread after which to go on."""
    found = _CURSOR.match(after)
    if found is None:
        raise BadParameter(
            "after", "The parameter 'after' is not one that a list has given: go on from its first page."
        )
    return found[1], found[2]


def _pairs(flat: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _threads(flat: list[Any]) -> Iterator[Thread]:
    return (thread_of(thread_id.decode(), json.loads(meta)) for thread_id, meta in _pairs(flat))


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
        yield Duration(process, counted.total(), _share(counted, 0.5), _share(counted, 0.95))


def _share(counted: Counter[int], share: float) -> int:
    """The length in ms that this share of the runs did not exceed: the middle of the step in which it lies."""
    wanted = math.ceil(counted.total() * share)
    for step in sorted(counted):
        wanted -= counted[step]
        if wanted <= 0:
            return round(2 ** ((step + 0.5) / _STEPS))
    return 0
