"""The threads in Redis: the only owner of their keys, and of every change of their state.

A thread's record is its RQ job: status and message are in the job's `meta`, which is flat JSON. Its log is a pair of
lists, and sorted sets list the threads. Every change is one of the Lua scripts in lua/: it happens whole or not at all,
and only where the state allows it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.database.connection import translate_errors
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict, IdempotencyConflict, ThreadNotFound
from psthreads.domain.model import SERVER_WIDE, Level, LogPage, Thread, ThreadPage, clean
from psthreads.identity.start_limits import StartLimit
from psthreads.telemetry import thread_lines
from psthreads.threads import jobs, records
from psthreads.threads.crew import CrewWatch
from psthreads.threads.executions import REQUEUED, Executions
from psthreads.threads.leases import WORKER_LOST, LeaseEntry
from psthreads.threads.records import Kind, NewThread, Survey, ThreadSnapshot, parse_snapshot, parse_thread
from psthreads.threads.scripts import ThreadScripts

_SCANNED: Final = 5_000  # a page of one level looks at this many lines at most, then says where to go on
_PAGE_BYTES: Final = 4 * 1024 * 1024  # a page of very long lines is cut short, and says where to go on
_FOLLOWED_BYTES: Final = 64 * 1024  # what a slow reader of a stream holds in memory

FEED: Final = "ps:feed"
"""A capped Redis stream with an entry for each change that people can see.

`t` and `g` are the ids of the thread and its group. An entry with `a` alone says that permissions changed, and gives
their version.
"""
_ACCESS: Final = "ps:access"
_TOMBSTONES: Final = "ps:tombstones"
_IDS: Final = "ps:ids"
_AT_ONCE: Final = 1_000  # tombstones to remove in one step
_RESULT_FIELD: Final = "returned"  # of the job's hash, as in lua/finish.lua; RQ has a field `result` of its own


class ThreadStore(Executions):
    """The threads. Its methods raise Unavailable when Redis is away or takes no writes."""

    def __init__(
        self,
        redis: Redis,
        config: Config,
        scripts: ThreadScripts | None = None,
        installation: Installation | None = None,
        watch: CrewWatch | None = None,
    ) -> None:
        super().__init__(redis, config, scripts, installation)
        self._watch = watch

    def create(self, new: NewThread, key: str = "", fingerprint: str = "") -> str:
        """Do as `start`; return the thread's id."""
        return str(self._create(new, self._name(new), key, fingerprint)[0].decode())

    def start(self, new: NewThread, key: str = "", fingerprint: str = "") -> Thread:
        """Store a thread and queue it, in one step; return it.

        With an idempotency key, a second call with the same fingerprint returns the first one's thread, and one with
        another fingerprint raises IdempotencyConflict. Raises ThreadNotFound where the key's thread is gone, and
        TooManyRequests where a limit of the new thread is reached.
        """
        name = self._name(new)
        stored_id, *stored = self._create(new, name, key, fingerprint)
        if len(stored) == 1:
            thread = self.with_result(self.parse(stored_id.decode(), *stored))
        else:
            thread = records.new_thread(new, name, *stored)
        if thread.id == new.id:
            thread_lines.accepted(thread)
        return thread

    def _name(self, new: NewThread) -> str:
        return self._mask(clean(new.name))

    def _create(self, new: NewThread, name: str, key: str, fingerprint: str) -> Sequence[Any]:
        meta: dict[str, Any] = {
            "version": records.VERSION,
            "name": name,
            "process": new.process,
            "username": new.username,
            "memberid": new.member_id,
            "groupid": new.group_id,
            "groupname": new.group_name,
            "message": "Waiting for a worker",
        }
        meta |= {name: True for name in ("restartable", "exclusive") if getattr(new, name)}
        if new.role is not None and new.by.member_id is not None:
            meta |= {"byid": str(new.by.member_id), "role": new.role.value}
        if new.traceparent:
            meta["traceparent"] = new.traceparent
        args: dict[str, Any] = {
            "thread": new.id,
            "meta": meta,
            "username": new.by.username,
            "origin": new.by.fields(self._mask),
            "fingerprint": fingerprint,
        }
        if key:
            args["idempotency_key"] = _idempotency_key(new.by, key)
        if new.limits:
            args["limits"] = [limit.fields() for limit in new.limits]
        fields = {**new.fields, "description": name} if "description" in new.fields else new.fields
        created = self._run("start", args, *(part for pair in fields.items() for part in pair))
        if not created:
            raise IdempotencyConflict
        _raise_where_reached(new.limits, created)
        return cast("Sequence[Any]", created)

    def count_start(self, limits: Sequence[StartLimit]) -> None:
        """Count a start before it is stored, which may then still be refused. Raises TooManyRequests."""
        if limits:
            _raise_where_reached(limits, self._run("count_start", {"limits": [limit.fields() for limit in limits]}))

    def find_replay(self, by: Origin, key: str, fingerprint: str) -> str | None:
        """Return the id of the thread that the member started with this idempotency key, None for a new key.

        Raises IdempotencyConflict where the key stands for another request.
        """
        with translate_errors():
            stored, thread_id = self._redis.hmget(_idempotency_key(by, key), ["fingerprint", "thread"])
        if stored is not None and stored != fingerprint.encode():
            raise IdempotencyConflict
        if thread_id is None:
            return None
        self._scripts.confirm()  # The start may have been refused because it was not replicated.
        return str(cast("bytes", thread_id).decode())

    # For people.

    def fetch(self, thread_id: str) -> Thread:
        """Return the thread in its current state, with its result; raise ThreadNotFound."""
        with translate_errors():
            meta = cast("bytes | None", self._redis.hget(*self.location(thread_id)))
        return self.with_result(self.parse(thread_id, meta))

    def with_result(self, thread: Thread) -> Thread:
        """Return the thread with the value that its process returned; one round trip, where there is one."""
        if not thread.has_result or thread.result:
            return thread
        # Beside `meta`, so that no list and no search reads it.
        with translate_errors():
            result = cast("bytes | None", self._redis.hget(jobs.key(thread.id), _RESULT_FIELD))
        try:
            json.loads(result or b"")
        except (ValueError, RecursionError):
            return thread  # It was changed in Redis.
        return replace(thread, result=(result or b"").decode())

    def location(self, thread_id: str) -> tuple[str, str]:
        """Return the hash and the field that `parse` takes, for a script that reads them on its way."""
        return jobs.key(thread_id), "meta"

    def parse(self, thread_id: str, meta: bytes | None) -> Thread:
        """Return the thread in the value of its `location`; raise ThreadNotFound where there is none."""
        if not meta:
            raise ThreadNotFound(thread_id)
        return self.annotate(parse_thread(thread_id, meta))

    def annotate(self, thread: Thread) -> Thread:
        """Return the thread; one that waits says so where no worker runs, for stores that watch the workers."""
        return thread if self._watch is None else self._watch.annotate(thread)

    def page(self, kind: Kind = "active", group_id: int = SERVER_WIDE, page: int = 1, size: int = 50) -> ThreadPage:
        """Return a page of the server's or a group's threads of one kind, newest first. Pages start at 1.

        Active threads are sorted by the time of their acceptance, final ones by their end.
        """
        scope = "server" if group_id == SERVER_WIDE else group_id
        total, cursor, *rows = self._run("list", scope, str(kind), (page - 1) * size, size)
        threads = tuple(
            self.parse(thread_id.decode(), meta or b"-") for thread_id, meta in zip(rows[::2], rows[1::2], strict=True)
        )
        return ThreadPage(threads, total, page, size, cursor.decode())

    def count(self, kind: Kind) -> int:
        """Return the number of threads of this kind on the whole server."""
        return int(self._run("list", "server", str(kind), 0, 0)[0])

    def log(self, thread_id: str, first: int = 1, size: int = 200, level: Level | None = None) -> LogPage:
        """Return at most `size` events from number `first` on; raise ThreadNotFound.

        A negative `first` counts from the end. A page of more than 4 MB is cut short. With a level, only events of this
        level or a graver one are returned, and at most 5,000 are looked at. `next` says where to go on.
        """
        answer = self._run("log", thread_id, first, size if level is None else _SCANNED, _PAGE_BYTES)
        if not answer:
            raise ThreadNotFound(thread_id)
        return parse_snapshot(thread_id, answer, size, level).log

    def snapshot(self, thread_id: str, first: int, size: int = 500) -> ThreadSnapshot:
        """Return the thread, and its log from number `first` on, in one step; raise ThreadNotFound.

        The log is cut short after 64 kB.
        """
        answer = self._run("log", thread_id, first, size, _FOLLOWED_BYTES)
        if not answer:
            raise ThreadNotFound(thread_id)
        snapshot = parse_snapshot(thread_id, answer, size, None)
        return replace(snapshot, thread=self.with_result(self.annotate(snapshot.thread)))

    def fetch_many(self, thread_ids: Sequence[str]) -> tuple[list[Thread], int]:
        """Return those of the threads that exist, and the version of the permissions, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(_ACCESS)
            for thread_id in thread_ids:
                pipeline.hget(*self.location(thread_id))
            access, *metas = pipeline.execute()
        threads = [self.parse(each, meta) for each, meta in zip(thread_ids, metas, strict=True) if meta]
        return threads, int(access or 0)

    def access_version(self) -> int:
        """Return the version of the permissions: how often one changed."""
        with translate_errors():
            return int(cast("bytes | None", self._redis.get(_ACCESS)) or 0)

    def cancel(self, thread_id: str, by: Origin, *, force: bool = False) -> tuple[Thread, str]:
        """Cancel a thread; return its state after that, and the name of the worker to notify or an empty text.

        Without effect on a final thread. Raises ThreadNotFound.
        """
        answer = self._run(
            "cancel", thread_id, clean(by.username), "1" if force else "", by.fields(self._mask), even_full=True
        )
        if not answer:
            raise ThreadNotFound(thread_id)
        worker, meta, has_ended = answer
        thread = self.with_result(parse_thread(thread_id, meta))
        if has_ended:
            self._note_end(thread_id, str(thread.status))
        return thread, worker.decode()

    def delete(self, thread_id: str, by: Origin) -> None:
        """Remove a final thread with its log; raise ThreadNotFound, and Conflict for a thread that is not final."""
        verdict = self._run("delete", thread_id, by.fields(self._mask), even_full=True)
        if verdict == b"active":
            raise Conflict("This thread has not ended: cancel it, and delete it once it has.")
        if not verdict:
            raise ThreadNotFound(thread_id)

    def values(self, thread_id: str) -> dict[str, Any]:
        """Return the parameters with which the thread was started; raise ThreadNotFound."""
        with translate_errors():
            data = cast("bytes | None", self._redis.hget(jobs.key(thread_id), "data"))
        if data is None:
            raise ThreadNotFound(thread_id)
        return jobs.values(data)

    # For operators.

    def distrust(self, why: str) -> Counter[str]:
        """Settle all active threads of an older copy of Redis, since they may have run after it was made.

        Those that may restart are queued again, and the others end. `why` is the beginning of their message. Returns
        how many were "requeued" and how many have which final status.
        """
        with translate_errors():
            ids = cast("list[bytes]", self._redis.zrange("ps:threads:server:active", 0, -1))
        verdicts = Counter(
            self._note_verdict(thread_id.decode(), why, self._run("distrust", thread_id, clean(why)).decode())
            for thread_id in ids
        )
        del verdicts[""]
        return verdicts

    # For the janitor.

    def lead(self, name: str, seconds: float) -> bool:
        """Make this janitor the leader for so long, unless another one leads; return whether it leads."""
        return bool(self._run("lead", name, int(1000 * seconds), even_full=True))

    def recover(self, thread_id: str) -> bool:
        """Queue a thread again that was queued and that no worker has claimed; return whether it was queued."""
        is_queued = bool(self._run("recover", thread_id, even_full=True))
        if is_queued:
            self._note_verdict(thread_id, "Taken by no worker", REQUEUED)
        return is_queued

    def unblock(self, group_id: str) -> int:
        """Free slots held by vanished threads and start waiting ones; return the number of slots in use."""
        return int(self._run("unblock", group_id, even_full=True))

    def survey(self, many: int = 100) -> Survey:
        """Return all leases, and at most `many` of each other kind that the janitor has to check."""
        shortest, leases, *others = self._run("survey", many)
        entries = (
            LeaseEntry(each.decode(errors="replace"), renewed)
            for each, renewed in zip(leases[::2], leases[1::2], strict=True)
        )
        return Survey(
            shortest / 1000, tuple(entries), *(tuple(each.decode(errors="replace") for each in ids) for ids in others)
        )

    def declare_lost(self, lease: LeaseEntry, unchanged: float) -> str:
        """Give up the execution that holds this lease, which was not renewed for so many seconds.

        Returns what `abandon` does, an empty text where it was renewed meanwhile, or where its lease is longer.
        """
        milliseconds = min(unchanged * 1000, 1e15)
        answer = self._run("abandon", lease.thread_id, "", WORKER_LOST, lease.renewed, milliseconds, "", even_full=True)
        return self._note_verdict(lease.thread_id, WORKER_LOST, answer.decode())

    def buried(self, thread_ids: Collection[str]) -> set[str]:
        """Return those of the ids whose end or deletion left a tombstone that is due, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for thread_id in thread_ids:
                pipeline.zscore(_TOMBSTONES, thread_id)
            (seconds, _), *scores = pipeline.execute()
        due = zip(thread_ids, scores, strict=True)
        return {thread_id for thread_id, score in due if score is not None and score <= seconds * 1000 + 1000}

    def time(self) -> int:
        """Return Redis's time, in ms."""
        with translate_errors():
            seconds, _ = self._redis.time()
        return int(seconds) * 1000

    def forget_tombstones(self, until: int) -> None:
        """Remove the tombstones that were due at this time of Redis, in ms, and forget their ids."""
        with translate_errors():
            while ids := self._redis.zrange(_TOMBSTONES, "-inf", until, byscore=True, offset=0, num=_AT_ONCE):
                with self._redis.pipeline() as pipeline:
                    pipeline.zrem(_IDS, *ids)
                    pipeline.zrem(_TOMBSTONES, *ids)
                    pipeline.execute()

    def existing(self, thread_ids: Collection[str]) -> set[str]:
        """Return those of the ids that belong to a stored thread, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for thread_id in thread_ids:
                pipeline.exists(jobs.key(thread_id))
            return {each for each, exists in zip(thread_ids, pipeline.execute(), strict=True) if exists}


def _raise_where_reached(limits: Sequence[StartLimit], answer: Sequence[Any] | None) -> None:
    if answer and isinstance(answer[0], int):
        position, wait = answer
        raise limits[position - 1].refusal(wait)


def _idempotency_key(by: Origin, key: str) -> str:
    return f"ps:idempotency:{by.member_id}:{key}"
