"""The values that the store takes and returns, and how a thread is parsed from its record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from psthreads.audit.entries import Origin
from psthreads.domain.access import Role
from psthreads.domain.model import Event, Level, LogPage, Ownership, Status, Thread
from psthreads.threads import log_format
from psthreads.threads.leases import LeaseEntry

Kind = Status | Literal["active", "finished"]
"""The kind of a listing: one status, all that are not final, or all that are."""


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to create. `by` is who starts it, `fields` are the hash of its RQ job.

    With a `role`, a member who starts it must still have it, or a higher one, when the thread begins.
    """

    id: str
    name: str
    process: str
    username: str
    member_id: int
    by: Origin
    group_id: int
    group_name: str
    restartable: bool
    exclusive: bool
    fields: Mapping[str, Any]
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The answer to a heartbeat: whether the thread is cancelling, with force or not, and for how many seconds."""

    ownership: Ownership
    forced: bool
    since: float


@dataclass(frozen=True, slots=True, eq=False)
class ThreadSnapshot:
    """A thread and a page of its log, read in one step, with the version of the permissions at that time.

    Equal only to itself: comparing logs would cost more than reading them.
    """

    thread: Thread
    log: LogPage
    access: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What the janitor has to check; see lua/survey.lua. `shortest_lease` is in seconds, `blocked` has groups' ids."""

    shortest_lease: float
    leases: tuple[LeaseEntry, ...]
    taken: tuple[str, ...]
    stranded: tuple[str, ...]
    blocked: tuple[str, ...]


@lru_cache(maxsize=512)
def parse_thread(thread_id: str, meta: bytes) -> Thread:
    """Return the thread in a stored `meta`. The result depends on `meta` alone, so the cache is never out of date."""
    return thread_from(thread_id, json.loads(meta))


def thread_from(thread_id: str, meta: Mapping[str, Any]) -> Thread:
    """Return the thread in a decoded `meta`."""
    return Thread(
        id=thread_id,
        name=meta["name"],
        process=meta["process"],
        username=meta["username"],
        member_id=meta["memberid"],
        group_id=meta["groupid"],
        group_name=meta["groupname"],
        status=Status(meta["status"]),
        message=meta["message"],
        xml=meta["xml"],
        created=meta["created"],
        started=meta["started"],
        ended=meta["ended"],
        heard=meta["heard"],
        warnings=meta["warnings"],
        errors=meta["errors"],
        restarts=meta["restarts"],
        cancelling=meta.get("cancelling", False),
        cancelled_by=meta.get("cancelled_by", ""),
        cancel_asked=meta.get("cancel_asked", 0),
        worker=meta.get("worker", ""),
        rates=meta.get("rates", ""),
        reported=meta.get("reported", 0),
        rev=meta["rev"],
        has_result=meta.get("has_result", False),
    )


def parse_snapshot(thread_id: str, answer: list[Any], size: int, level: Level | None) -> ThreadSnapshot:
    """Return the snapshot in an answer of lua/log.lua: at most `size` events, of this level or a graver one."""
    meta, access, start, *lines = answer
    counts = json.loads(meta)
    head, dropped = counts["log_head"], counts["log_dropped"]
    events: list[Event] = []
    following = start
    for event in log_format.parse(start, lines, head, dropped):
        if len(events) == size:
            break
        following = event.seq + 1
        if level is None or event.level.is_at_least(level):
            events.append(event)
    page = LogPage(thread_id, tuple(events), head + dropped + counts["log_tail"], dropped, following)
    return ThreadSnapshot(parse_thread(thread_id, meta), page, int(access))
