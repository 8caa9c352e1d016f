"""RQ's worker: registration, heartbeats, commands. No other module knows it.

What is ours stands in worker.py, which `RQWorker` calls back through `Callbacks`.
tests/system/worker/test_rq_contract.py holds what both rely on; ARCHITECTURE.md says what is replaced, and why.
"""

from __future__ import annotations

from typing import Any, Protocol

from redis import Redis
from redis.exceptions import OutOfMemoryError
from rq import Queue, Worker, worker_registration
from rq.command import parse_payload
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker.base import WorkerStatus

from psthreads.domain.config import Config
from psthreads.threads import crew
from psthreads.threads.jobs import CHECK, TROUBLE, ThreadJob
from psthreads.worker.shared_state import Execution

_KILLS = frozenset({"kill-horse", "stop-job", "stop-execution"})


class Callbacks(Protocol):
    """What the adapter needs of the worker. RQ calls it on another Python thread."""

    def check(self) -> None:
        """Check the state of the running thread now."""

    def kill(self, thread_id: str = "") -> None:
        """Kill what runs; with an id, only where it is this thread."""


class RQWorker(Worker):
    """A worker of one queue in RQ's eyes, so that `rq info` shows it. It runs one job at a time."""

    job_class = ThreadJob

    def __init__(self, redis: Redis, config: Config, callbacks: Callbacks) -> None:
        super().__init__(
            [Queue(config.queue, connection=redis, job_class=ThreadJob, serializer=JSONSerializer)],
            connection=redis,
            job_class=ThreadJob,
            serializer=JSONSerializer,
            worker_ttl=max(1, int(config.lost_after)),
            job_monitoring_interval=max(1, int(config.heartbeat)),
            log_job_description=False,
        )
        self._lifetime = crew.lifetime(config)
        self._callbacks = callbacks
        self.trouble = ""
        """Why the worker takes no threads, for people; written with each heartbeat."""

    def register(self) -> None:
        """Enter the worker in RQ's lists, and listen for commands. Raises RedisError."""
        self.bootstrap("WARNING")
        self.beat(self.connection, Execution())  # RQ would keep the first record a minute longer.

    def unregister(self) -> None:
        """Take the worker off RQ's lists. Raises RedisError."""
        self.teardown()  # type: ignore[no-untyped-call] # RQ's own

    def leave_to_parent(self) -> None:
        """Close what a forked process has of the connections, which stay the parent's."""
        pubsub: Any = self.pubsub
        if pubsub is not None and pubsub.connection is not None:
            pubsub.connection.disconnect()

    def beat(self, redis: Redis, execution: Execution) -> None:
        """Write the worker's whole record, which expires soon after, by this connection. Raises RedisError.

        All of it: a worker that stood still was taken off the lists meanwhile, and Redis may have lost it.
        """
        self.last_heartbeat = now()
        is_busy = bool(execution.thread_id)
        state = WorkerStatus.BUSY if is_busy else WorkerStatus.IDLE
        with redis.pipeline() as writes:
            writes.hset(self.key, mapping={**self.serialize(), "state": state.value, TROUBLE: self.trouble})
            writes.expire(self.key, self._lifetime)
            writes.delete(self.executions_key)
            if is_busy:
                writes.sadd(self.executions_key, f"{execution.thread_id}:{execution.token}")
                writes.expire(self.executions_key, self._lifetime)
            worker_registration.register(self, writes)
            try:
                writes.execute()
            except OutOfMemoryError:
                for key in (self.key, self.executions_key):
                    redis.expire(key, self._lifetime)  # That needs no memory.

    # For RQ, with its signature.

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Handle a command from Redis: our own, or one of RQ's.

        RQ's own way to kill a horse signals the group of process 0 once it is reaped, and so kills the worker itself.
        """
        payload = parse_payload(message)
        if (command := payload.get("command")) == CHECK:
            self._callbacks.check()
        elif command in _KILLS:
            self._callbacks.kill(str(payload.get("job_id", "")))
        else:
            super().handle_payload(message)  # type: ignore[no-untyped-call] # RQ's own
