"""Starting and cancelling threads: the store, the registry and RQ's queue together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
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
from psthreads.domain.model import SERVER_WIDE, Thread
from psthreads.threads import crew, jobs
from psthreads.threads.store import NewThread, ThreadStore


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
    ) -> Thread:
        """Start a thread of this process for a member, as `by` asks. Once it returns, the thread will run.

        With a key (from the Idempotency-Key of `by`), the same start again gives the same
        thread, and another start raises IdempotencyConflict.
        """
        thread_id = uuid4().hex
        title = process.title.format(group=group.name if group else "", member=member.username, **values)
        new = NewThread(
            id=thread_id,
            name=title,
            process=process.name,
            username=member.username,
            member_id=member.id,
            by=by,
            group_id=group.id if group else SERVER_WIDE,
            group_name=group.name if group else "",
            restartable=process.restartable,
            exclusive=process.exclusive,
            fields=jobs.fields(
                thread_id=thread_id,
                process=process.name,
                values=dict(values),
                title=title,
                queue=self._queue,
                redis=self._redis,
            ),
        )
        stored, _ = self.store.create(new, _digest(key) if key else "", _fingerprint(process, values, member, group))
        return self._started(stored)

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
        """The thread that an earlier start with this key gave; None where there was none.

        Raises IdempotencyConflict where the key was used for another start, and Conflict where its thread is gone.
        """
        stored = self.store.remembered(by, _digest(key), _fingerprint(process, values, member, group))
        return self._started(stored) if stored else None

    def _started(self, thread_id: str) -> Thread:
        try:
            return self.store.fetch(thread_id)
        except ThreadNotFound:
            # To start it anew would be to do twice what was asked for once.
            raise Conflict(
                "The thread that was started with this key is gone, deleted or expired: use another key to do it again."
            ) from None

    def cancel(self, thread: Thread, *, by: Origin, force: bool = False) -> Thread:
        """Cancel a thread on a member's behalf, and return it as it then stands.

        Without effect on a thread that is final. A running one is `cancelled` once its code has
        stopped: within the grace period, or at once with `force`. Raises ThreadNotFound.
        """
        thread, worker = self.store.cancel(thread.id, by, force=force)
        if worker:
            # The store has decided; a worker that misses this sees it at its next heartbeat.
            with suppress(RedisError):
                jobs.tell(self._redis, worker, thread.id)
        return thread

    def workers(self) -> int:
        """How many worker processes are alive: those that gave a sign of life not long ago."""
        return crew.count(self._redis, self._queue)


def _fingerprint(process: Process, values: Mapping[str, Value], member: Member, group: Group | None) -> str:
    group_id = group.id if group else SERVER_WIDE
    return _digest(json.dumps([process.name, group_id, member.id, dict(values)], sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
