"""Starts and cancels threads, with the store and the registry of processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from psthreads.audit.entries import Origin
from psthreads.authoring.parameter import Value
from psthreads.authoring.process import Process
from psthreads.authoring.registry import Registry
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict, ThreadNotFound
from psthreads.domain.model import SERVER_WIDE, Status, Thread
from psthreads.identity.start_limits import StartLimit
from psthreads.threads import crew, jobs
from psthreads.threads.records import NewThread
from psthreads.threads.search import ThreadQuery, ThreadSearch
from psthreads.threads.store import ThreadStore

MOST: Final = 1_000
"""The number of a member's waiting threads that are counted and cancelled at once.

A member who leaves has no right to more of them either: lua/claim.lua asks again when a thread begins.
"""


class Engine:
    """Starts and cancels threads. Raises Unavailable when Redis is away or takes no writes."""

    def __init__(self, redis: Redis, config: Config, store: ThreadStore, registry: Registry) -> None:
        self._redis = redis
        self._queue = config.queue
        self.store = store
        self.registry = registry

    def start(
        self,
        process: Process,
        values: Mapping[str, Value],
        *,
        member: Member,
        by: Origin,
        group: Group | None = None,
        key: str = "",
        traceparent: str = "",
        limits: Sequence[StartLimit] = (),
    ) -> Thread:
        """Start a thread of this process for a member, on behalf of `by`. It is stored and queued when this returns.

        With an idempotency key of `by`, the same start again returns the same thread, and another start raises
        IdempotencyConflict. Any other start counts for the `limits`; raises TooManyRequests where one is reached.
        """
        new_id = uuid4().hex
        title = _title(process, {"group": group.name if group else "", "member": member.username, **values})
        new = NewThread(
            id=new_id,
            name=title,
            process=process.name,
            username=member.username,
            member_id=member.id,
            by=by,
            group_id=group.id if group else SERVER_WIDE,
            group_name=group.name if group else "",
            restartable=process.restartable,
            exclusive=process.exclusive,
            role=process.role,
            traceparent=traceparent,
            limits=limits,
            fields=jobs.fields(process=process.name, values=dict(values), title=title, queue=self._queue),
        )
        fingerprint = _fingerprint(process, values, member, group) if key else ""
        with _conflict_where_gone():
            return self.store.start(new, _digest(key) if key else "", fingerprint)

    def replay(
        self,
        process: Process,
        values: Mapping[str, Value],
        *,
        member: Member,
        by: Origin,
        group: Group | None,
        key: str,
    ) -> Thread | None:
        """Return the thread of an earlier start with this key, None for a new key.

        Raises IdempotencyConflict where the key was used for another start, and Conflict where its thread is gone.
        """
        thread_id = self.store.find_replay(by, _digest(key), _fingerprint(process, values, member, group))
        with _conflict_where_gone():
            return self.store.fetch(thread_id) if thread_id else None

    def cancel(self, thread: Thread, *, by: Origin, force: bool = False) -> Thread:
        """Cancel a thread on a member's behalf, and return its state after that.

        Without effect on a final thread. A running thread is `cancelled` once its code has stopped: within the grace
        period, or at once with `force`. Raises ThreadNotFound.
        """
        thread, worker = self.store.cancel(thread.id, by, force=force)
        if worker:
            # The store has decided; a worker that misses this sees it at its next heartbeat.
            with suppress(RedisError):
                jobs.tell(self._redis, worker, thread.id)
        return thread

    def workers(self) -> int:
        """Return the number of worker processes that are alive."""
        return crew.count(self._redis, self._queue)


def waiting_threads(search: ThreadSearch, member_id: int, group_id: int = SERVER_WIDE) -> tuple[Thread, ...]:
    """Return the member's threads that have not begun, of one group or of all; at most 1,000."""
    return search.find(ThreadQuery(Status.INITIALISED, group_id, member_id), size=MOST).threads


def cancel_waiting(
    engine: Engine, search: ThreadSearch, by: Origin, member_id: int, group_id: int = SERVER_WIDE
) -> int:
    """Cancel the member's waiting threads, and return their number."""
    threads = waiting_threads(search, member_id, group_id)
    for thread in threads:
        with suppress(ThreadNotFound):
            engine.cancel(thread, by=by)
    return len(threads)


@contextmanager
def _conflict_where_gone() -> Iterator[None]:
    try:
        yield
    except ThreadNotFound:
        # Starting it anew could do the same work twice.
        raise Conflict(
            "The thread that was started with this key is gone, deleted or expired: use another key to do it again."
        ) from None


def _fingerprint(process: Process, values: Mapping[str, Value], member: Member, group: Group | None) -> str:
    group_id = group.id if group else SERVER_WIDE
    return _digest(json.dumps([process.name, group_id, member.id, dict(values)], sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _title(process: Process, values: Mapping[str, Value]) -> str:
    try:
        return process.title.format(**values)
    except Exception:  # noqa: BLE001 (a format that suits the defaults need not suit every value)
        return process.title
