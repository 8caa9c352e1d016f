"""The values that the store takes and returns, and how a thread is parsed from its record.

A record is flat JSON, written by lua/ and read here. It may be of another version of psthreads, or damaged. Such a
thread is still listed: what can be read is shown, and its message says what is wrong. lua/common.lua reads records by
the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from psthreads.audit.entries import Origin
from psthreads.domain.access import Role
from psthreads.domain.model import SERVER_WIDE, Event, Level, LogPage, Ownership, Status, Thread, clean
from psthreads.identity.start_limits import StartLimit
from psthreads.telemetry import trace_context
from psthreads.threads import log_format
from psthreads.threads.leases import LeaseEntry

VERSION: Final = 1
"""The version of the records that are written. A greater one is for changes that this version would misread."""

REQUIRED: Final[Mapping[str, str | int]] = {
    **dict.fromkeys(("name", "process", "username", "status"), ""),
    "memberid": 0,
    "groupid": SERVER_WIDE,
    "created": 0,
}
"""The fields without which a thread cannot be run, and what they count as where they are missing or wrong."""

DEFAULTS: Final[Mapping[str, str | int]] = {
    **dict.fromkeys(("groupname", "message", "xml"), ""),
    **dict.fromkeys(("started", "ended", "heard", "warnings", "errors", "restarts", "rev"), 0),
    **dict.fromkeys(("log_head", "log_head_bytes", "log_tail", "log_tail_bytes", "log_dropped"), 0),
}
"""The fields that count as these values where a record does not have them: no script writes them then."""

OPTIONAL: Final[Mapping[str, str | int | bool]] = {
    **dict.fromkeys(("token", "worker", "rates", "cancelled_by", "traceparent"), ""),
    **dict.fromkeys(("cancel_asked", "reported", "report"), 0),
    **dict.fromkeys(("cancelling", "forced", "waits", "has_result"), False),
}
"""The fields that a record has in some states only; each has the type of the value here."""

FIELDS: Final = {**REQUIRED, **DEFAULTS, **OPTIONAL}
"""All fields that are read, each with a value of its type."""

ACTIVE_ONLY: Final = ("heard", "waits", "lease", "report", "reported", "rates", "forced", "byid", "role", "restartable")
"""The fields that a thread loses when it ends: nobody reads them then, and `heard` is when it ended."""

_KINDS: Final = {name: type(value) for name, value in FIELDS.items()}
_TEXTS: Final = frozenset(("name", "process", "username", "groupname", "message", "cancelled_by", "worker"))
_GREATEST: Final = 253_402_300_799_999  # the last millisecond that a date can have; no count is as large
_STATUSES: Final = {str(status): status for status in Status}
_NAMELESS: Final = "Unreadable thread"
_NEWER: Final = "A newer version of psthreads wrote this thread, and this server cannot read it: update this server."
_DAMAGED: Final = "The record of this thread cannot be read ({}): an administrator can cancel and delete it."


Kind = Status | Literal["active", "finished", "all"]
"""The kind of a listing: one status, all that are not final, all that are, or every thread."""


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to create. `by` is who starts it, `fields` are the hash of its RQ job.

    With a `role`, a member who starts it must still have it, or a higher one, when the thread begins. It counts for the
    `limits`.
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
    traceparent: str = ""
    limits: Sequence[StartLimit] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A thread that an execution has begun: the execution's token, and all that is needed to run it.

    `lease` is how long it lasts without a heartbeat, in seconds. `redis_time` is Redis's time at the answer, in ms.
    `data` says what to run, as `jobs.read_call` reads it.
    """

    thread: Thread
    token: str
    lease: float
    redis_time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker, by its name, and what it runs: a thread and the execution's token, both empty for nothing."""

    worker: str
    thread_id: str = ""
    token: str = ""


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
def parse_thread(thread_id: str, raw: bytes) -> Thread:
    """Return the thread in a record, whatever it holds. The result depends on it alone, so the cache is never old."""
    try:
        meta = json.loads(raw)
        if b"\\" in raw:
            json.dumps(meta, ensure_ascii=False).encode()  # Half a character is an error for Lua's JSON, too.
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        return _thread(thread_id, {}, _DAMAGED.format("it is no JSON object"))
    meta = {name: value for name, value in meta.items() if value is not None}
    wrong = {name for name, value in meta.items() if (kind := _KINDS.get(name)) and not _fits(value, kind)}
    wrong |= REQUIRED.keys() - meta.keys()
    if "status" not in wrong and meta["status"] not in _STATUSES:
        wrong.add("status")
    for name in wrong:
        meta.pop(name, None)
    version = meta.get("version", 0)
    if isinstance(version, int | float) and version > VERSION:
        return _thread(thread_id, meta, _NEWER)
    return _thread(thread_id, meta, _DAMAGED.format(f"see its {', '.join(sorted(wrong))}") if wrong else "")


def new_thread(new: NewThread, name: str, created: int, message: bytes) -> Thread:
    """Return the thread as lua/start.lua has stored it, at this time in ms, without reading its record."""
    return Thread(
        id=new.id,
        name=name or _NAMELESS,
        process=clean(new.process),
        username=clean(new.username),
        member_id=new.member_id,
        group_id=new.group_id,
        group_name=clean(new.group_name),
        status=Status.INITIALISED,
        message=message.decode(),
        created=created,
        rev=1,
        traceparent=trace_context.read(new.traceparent),
    )


def _fits(value: Any, kind: type) -> bool:
    if kind is int:
        return (type(value) is int or (type(value) is float and value.is_integer())) and -1 <= value <= _GREATEST
    return type(value) is kind


def _thread(thread_id: str, meta: Mapping[str, Any], problem: str) -> Thread:
    values: dict[str, Any] = {**FIELDS, **meta}
    for name, value in meta.items():
        if type(value) is float and name in FIELDS:  # as Lua writes large numbers
            values[name] = int(value)
        elif name in _TEXTS:
            values[name] = clean(value)
    return Thread(
        id=thread_id,
        name=values["name"] or _NAMELESS,
        process=values["process"],
        username=values["username"],
        member_id=values["memberid"],
        group_id=values["groupid"],
        group_name=values["groupname"],
        # No worker can run a thread whose status nobody knows.
        status=_STATUSES.get(values["status"], Status.FAILED),
        message=problem or values["message"],
        xml=values["xml"],
        created=values["created"],
        started=values["started"],
        ended=values["ended"],
        heard=values["heard"] or values["ended"],
        warnings=values["warnings"],
        errors=values["errors"],
        restarts=values["restarts"],
        cancelling=values["cancelling"],
        cancelled_by=values["cancelled_by"],
        cancel_asked=values["cancel_asked"],
        worker=values["worker"],
        rates=_rates(values["rates"]),
        reported=values["reported"],
        rev=values["rev"],
        traceparent=trace_context.read(values["traceparent"]),
        has_result=values["has_result"],
        is_damaged=bool(problem),
    )


def _rates(text: str) -> str:
    if not text:
        return ""
    try:
        rates = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    is_right = isinstance(rates, dict) and all(type(rate) in {int, float} for rate in rates.values())
    return text if is_right else ""


def parse_snapshot(thread_id: str, answer: list[Any], size: int, level: Level | None) -> ThreadSnapshot:
    """Return the snapshot in an answer of lua/log.lua: at most `size` events, of this level or a graver one."""
    meta, access, start, head, dropped, tail, *lines = answer
    events: list[Event] = []
    following = start
    for event in log_format.parse(start, lines, head, dropped):
        if len(events) == size:
            break
        following = event.seq + 1
        if level is None or event.level.is_at_least(level):
            events.append(event)
    page = LogPage(thread_id, tuple(events), head + dropped + tail, dropped, following)
    return ThreadSnapshot(parse_thread(thread_id, meta), page, int(access))
