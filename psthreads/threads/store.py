"""The threads in Redis: the only owner of their keys, and of every change of their state.

A thread's record is its RQ job: status and message are in the job's `meta`, which is flat JSON. Its log
is a pair of lists, its places in the listings are sorted sets. Every change is one of the Lua scripts in
lua/, so that it happens whole or not at all, and only where the state allows it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, cast

from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.database.connection import translate_errors
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict, IdempotencyConflict, ThreadNotFound
from psthreads.domain.model import (
    SERVER_WIDE,
    Event,
    Level,
    LogPage,
    Outcome,
    Ownership,
    Report,
    Status,
    Thread,
    ThreadPage,
    clean,
)
from psthreads.threads import jobs
from psthreads.threads import log_format as loglines
from psthreads.threads.scripts import ThreadScripts

Kind = Status | Literal["active", "finished"]
"""What a listing can be narrowed to: one status, all that are not final, or all that are."""

_SCANNED: Final = 5_000  # a page of one level looks at this many lines at most, then says where to go on
_PAGE_BYTES: Final = 4 * 1024 * 1024  # a page of very long lines is cut short, and says where to go on
_FOLLOWED_BYTES: Final = 64 * 1024  # what a slow reader of a stream holds in memory

FEED: Final = "ps:feed"
"""A capped Redis stream with an entry for each change that people can see.

`t` and `g` are the ids of the thread and its group; instead, `a` stands where it was changed who may do what.
"""
_ACCESS: Final = "ps:access"


@dataclass(frozen=True, slots=True)
class NewThread:
    """What a thread is made of. `by` is who asked for it, `fields` are the RQ job's own hash."""

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


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How a running thread stands: whether it is to be cancelled, since when (seconds), by force or not."""

    ownership: Ownership
    forced: bool
    since: float


@dataclass(frozen=True, slots=True, eq=False)
class ThreadSnapshot:
    """A thread and a run of its log as they stood together, and the version of who may do what at that time.

    One is equal only to itself: to compare logs would cost more than to read them.
    """

    thread: Thread
    log: LogPage
    access: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Ids of threads, and of groups in `blocked`, that the janitor has to look at; see lua/survey.lua."""

    overdue: tuple[str, ...]
    taken: tuple[str, ...]
    astray: tuple[str, ...]
    blocked: tuple[str, ...]


class ThreadStore:
    """The threads. Its methods raise Unavailable when Redis is away or takes no writes."""

    def __init__(self, redis: Redis, config: Config, scripts: ThreadScripts | None = None) -> None:
        self._redis = redis
        self._run = (scripts or ThreadScripts(redis, config)).run

    def create(self, new: NewThread, key: str = "", fingerprint: str = "") -> tuple[str, bool]:
        """Store a thread and queue it, in one step; returns its id and whether it is a replay.

        With an idempotency key, a second call with the same fingerprint returns the first one's
        thread, and one with another fingerprint raises IdempotencyConflict.
        """
        meta = {
            "name": clean(new.name),
            "process": new.process,
            "username": new.username,
            "memberid": new.member_id,
            "groupid": new.group_id,
            "groupname": new.group_name,
            "restartable": new.restartable,
            "exclusive": new.exclusive,
            "message": "Waiting for a worker",
            "xml": "",
            **dict.fromkeys(("started", "ended", "heard", "warnings", "errors", "restarts"), 0),
            **dict.fromkeys(("log_head", "log_head_bytes", "log_tail", "log_tail_bytes", "log_dropped"), 0),
        }
        args: dict[str, Any] = {
            "thread": new.id,
            "meta": meta,
            "username": new.by.username,
            "origin": new.by.fields(),
            "fingerprint": fingerprint,
        }
        if key:
            args["idempotency_key"] = _idempotency_key(new.by, key)
        verdict, thread_id = self._run("start", args, *(part for pair in new.fields.items() for part in pair))
        if verdict == b"conflict":
            raise IdempotencyConflict
        return thread_id.decode(), verdict == b"replayed"

    def remembered(self, by: Origin, key: str, fingerprint: str) -> str | None:
        """The thread that this idempotency key of the member stands for, None where it is new.

        Raises IdempotencyConflict where it stands for another request.
        """
        with translate_errors(self._redis):
            known, thread_id = self._redis.hmget(_idempotency_key(by, key), ["fingerprint", "thread"])
        if known is not None and known != fingerprint.encode():
            raise IdempotencyConflict
        return None if thread_id is None else str(cast("bytes", thread_id).decode())

    # What people ask.

    def fetch(self, thread_id: str) -> Thread:
        """The thread as it stands; raises ThreadNotFound."""
        with translate_errors(self._redis):
            return self.parse(thread_id, cast("bytes | None", self._redis.hget(*self.place(thread_id))))

    def place(self, thread_id: str) -> tuple[str, str]:
        """The hash and the field that hold what `parse` reads, for a script that reads them on its way."""
        return jobs.key(thread_id), "meta"

    def parse(self, thread_id: str, meta: bytes | None) -> Thread:
        """The thread in what stands at its `place`; raises ThreadNotFound when nothing does."""
        if not meta:
            raise ThreadNotFound(thread_id)
        return _parsed(thread_id, meta)

    def page(self, kind: Kind = "active", group_id: int = SERVER_WIDE, page: int = 1, size: int = 50) -> ThreadPage:
        """A page of the server's or a group's threads of one kind: newest first, pages from 1.

        Threads that are not final stand by the time they were accepted, final ones by their end.
        """
        scope = "server" if group_id == SERVER_WIDE else group_id
        total, *found = self._run("list", scope, str(kind), (page - 1) * size, size)
        threads = tuple(
            thread_of(thread_id.decode(), json.loads(meta))
            for thread_id, meta in zip(found[::2], found[1::2], strict=True)
        )
        return ThreadPage(threads, total, page, size)

    def count(self, kind: Kind) -> int:
        """How many threads of this kind there are on the whole server."""
        return int(self._run("list", "server", str(kind), 0, 0)[0])

    def log(self, thread_id: str, first: int = 1, size: int = 200, level: Level | None = None) -> LogPage:
        """Events from number `first` on, at most `size`; raises ThreadNotFound.

        A negative `first` counts from the end. A page of more than 4 MB is cut short. With a level, only events
        of this level or a graver one; then at most 5,000 are looked at. `next` says where to go on.
        """
        found = self._run("log", thread_id, first, size if level is None else _SCANNED, _PAGE_BYTES)
        return self._snapshot(thread_id, found, size, level).log

    def follow(self, thread_id: str, first: int, size: int = 500) -> ThreadSnapshot:
        """The thread and its log from number `first` on, at most 64 kB of it; raises ThreadNotFound."""
        return self._snapshot(thread_id, self._run("log", thread_id, first, size, _FOLLOWED_BYTES), size, None)

    def fetch_many(self, thread_ids: Sequence[str]) -> tuple[list[Thread], int]:
        """Those of the threads that there are, and the version of who may do what."""
        with translate_errors(self._redis), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(_ACCESS)
            for thread_id in thread_ids:
                pipeline.hget(*self.place(thread_id))
            access, *found = pipeline.execute()
        threads = [_parsed(each, meta) for each, meta in zip(thread_ids, found, strict=True) if meta]
        return threads, int(access or 0)

    def access_version(self) -> int:
        """How often it was changed who may do what."""
        with translate_errors(self._redis):
            return int(cast("bytes | None", self._redis.get(_ACCESS)) or 0)

    def _snapshot(self, thread_id: str, found: list[Any], size: int, level: Level | None) -> ThreadSnapshot:
        if not found:
            raise ThreadNotFound(thread_id)
        meta, access, start, *lines = found
        log = json.loads(meta)
        head, dropped = log["log_head"], log["log_dropped"]
        events: list[Event] = []
        following = start
        for event in loglines.read(start, lines, head, dropped):
            if len(events) == size:
                break
            following = event.seq + 1
            if level is None or event.level.is_at_least(level):
                events.append(event)
        page = LogPage(thread_id, tuple(events), head + dropped + log["log_tail"], dropped, following)
        return ThreadSnapshot(_parsed(thread_id, meta), page, int(access))

    def cancel(self, thread_id: str, by: Origin, *, force: bool = False) -> tuple[Thread, str]:
        """Cancel a thread; raises ThreadNotFound. Returns it as it then stands, and the worker to tell.

        Without effect on a thread that is final. The name of the worker is empty where none need be told.
        """
        reply = self._run("cancel", thread_id, clean(by.username), "1" if force else "", by.fields())
        if not reply:
            raise ThreadNotFound(thread_id)
        worker, meta = reply
        return thread_of(thread_id, json.loads(meta)), worker.decode()

    def delete(self, thread_id: str, by: Origin) -> None:
        """Remove a thread that has ended, with its log; raises ThreadNotFound, and Conflict for one that has not."""
        verdict = self._run("delete", thread_id, by.fields())
        if verdict == b"active":
            raise Conflict("This thread has not ended: cancel it, and delete it once it has.")
        if not verdict:
            raise ThreadNotFound(thread_id)

    def values(self, thread_id: str) -> dict[str, Any]:
        """The parameters that the thread was started with; raises ThreadNotFound."""
        with translate_errors(self._redis):
            data = cast("bytes | None", self._redis.hget(jobs.key(thread_id), "data"))
        if data is None:
            raise ThreadNotFound(thread_id)
        return jobs.values(data)

    # What a worker does. A token names one execution; only the one that claimed the thread may write.

    def claim(self, thread_id: str, token: str, worker: str) -> bool:
        """Take a queued thread for this execution; False where it is not to be run any more."""
        return bool(self._run("claim", thread_id, token, worker))

    def begin(self, thread_id: str, token: str) -> int:
        """Mark a claimed thread as running; returns Redis's time in ms, 0 where it must not run."""
        return int(self._run("begin", thread_id, token))

    def report(self, thread_id: str, token: str, report: Report) -> Ownership:
        """Write what changed, and learn whether the thread is still this execution's."""
        args: dict[str, Any] = {
            "thread": thread_id,
            "token": token,
            "number": report.number,
            "warnings": report.warnings,
            "errors": report.errors,
        }
        for name in ("status", "message", "xml"):
            if (value := getattr(report, name)) is not None:
                args[name] = value
        if report.rates:
            args["rates"] = report.rates
        reply = self._run("report", args, *map(loglines.write, report.lines))
        return Ownership(reply.decode())

    def beat(self, thread_id: str, token: str) -> Heartbeat:
        """Show that the execution lives, and learn how the thread stands."""
        ownership, forced, since = self._run("beat", thread_id, token)
        return Heartbeat(Ownership(ownership.decode()), bool(forced), since / 1000)

    def finish(self, thread_id: str, token: str, outcome: Outcome, detail: str = "") -> Status | None:
        """End the thread; None where it is not this execution's to end.

        Returns the final status, which is `cancelled` for a thread whose cancelling was asked for,
        whatever the outcome. `detail` is one more line for the log.
        """
        reply = self._run("finish", thread_id, token, outcome.status, clean(outcome.message), clean(detail))
        return Status(reply.decode()) if reply else None

    def abandon(self, thread_id: str, why: str, token: str = "") -> str:
        """Give up an execution, and queue its thread again where it may restart, else end it.

        Without a token (for the janitor) only where its lease has run out. Returns "requeued", the
        final status, or nothing when there was nothing to do.
        """
        return str(self._run("abandon", thread_id, token, clean(why)).decode())

    def recover(self, thread_id: str) -> bool:
        """Queue a thread again that was queued and that no worker has claimed."""
        return bool(self._run("recover", thread_id))

    def unblock(self, group_id: str) -> int:
        """Let threads of a group run that wait for a slot which nobody uses; returns how many slots are used."""
        return int(self._run("unblock", group_id))

    def survey(self, many: int = 100) -> Survey:
        """What the janitor has to look at."""
        return Survey(*(tuple(each.decode() for each in ids) for ids in self._run("survey", many)))

    def existing(self, thread_ids: Collection[str]) -> set[str]:
        """Those of these ids that a thread is stored under, in one round trip."""
        with translate_errors(self._redis), self._redis.pipeline(transaction=False) as pipeline:
            for thread_id in thread_ids:
                pipeline.exists(jobs.key(thread_id))
            return {each for each, found in zip(thread_ids, pipeline.execute(), strict=True) if found}


def _idempotency_key(by: Origin, key: str) -> str:
    return f"ps:idempotency:{by.member_id}:{key}"


@lru_cache(maxsize=512)
def _parsed(thread_id: str, meta: bytes) -> Thread:
    return thread_of(thread_id, json.loads(meta))


def thread_of(thread_id: str, meta: Mapping[str, Any]) -> Thread:
    """The thread that this `meta` is of."""
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
    )
