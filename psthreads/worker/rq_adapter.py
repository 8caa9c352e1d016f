"""RQ's worker: registration, heartbeats, commands, taking a job, the fork of a horse. No other module knows it.

What is ours stands in worker.py, which `RQWorker` calls back through `Callbacks`.
tests/system/worker/test_rq_contract.py holds what both rely on; ARCHITECTURE.md says what is replaced, and why.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final, Protocol

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import OutOfMemoryError
from rq import Queue, Worker, worker_registration
from rq.command import parse_payload
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus

from psthreads.domain.config import Config
from psthreads.threads import crew
from psthreads.threads.jobs import CHECK, TROUBLE, ThreadJob

_DEQUEUE_SECONDS: Final = 2  # a worker that waits for work notices a stop within this time


class Callbacks(Protocol):
    """What the adapter needs of the worker."""

    def enter_horse(self) -> None:
        """Prepare a horse that was just forked; called in the horse."""

    def run(self) -> None:
        """Run the claimed thread; called in the horse."""

    def check(self) -> None:
        """Check the state of the running thread now; called on another Python thread."""

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the horse and all that it started; called on another Python thread."""


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

    # For worker.py. Each raises RedisError.

    def register(self) -> None:
        """Enter the worker in RQ's lists, and listen for commands."""
        self.bootstrap("WARNING")
        self.heartbeat()  # RQ would keep the first record a minute longer.

    def unregister(self) -> None:
        """Take the worker off RQ's lists."""
        self.teardown()  # type: ignore[no-untyped-call] # RQ's own

    def begin(self, thread_id: str, token: str) -> None:
        """Note what runs. RQ's tools learn of it from the next heartbeat."""
        self.executions[token] = Execution(token, thread_id, self.connection, self.name)

    def fork(self, thread_id: str) -> int:
        """Fork a horse that runs the thread, and return its process id. The horse never returns."""
        self.fork_work_horse(ThreadJob(thread_id, self.connection), self.queues[0])
        return int(self.horse_pid)

    def renew(self, redis: Redis) -> None:
        """Renew the worker's record by this connection; for another Python thread."""
        if self.execution is not None:
            with self._lasting(redis), redis.pipeline() as writes:
                self.heartbeat(pipeline=writes)
                writes.execute()

    @contextmanager
    def _lasting(self, redis: Redis) -> Iterator[None]:
        """Keep the worker's records as they are where Redis has no memory left to write them anew."""
        try:
            yield
        except OutOfMemoryError:
            for key in (self.key, self.executions_key):
                redis.expire(key, self._lifetime)  # That needs no memory.

    def end(self) -> None:
        """Forget the execution, even an unwritten one. The next heartbeat writes that the worker is idle."""
        self.executions.clear()
        self._horse_pid = 0

    # For RQ, with its signatures.

    @property
    def dequeue_timeout(self) -> int:
        """How long the worker blocks when it waits for work, in seconds."""
        return _DEQUEUE_SECONDS

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002 (RQ's signature)
        """Write the worker's whole record, which expires soon after, where RQ keeps it for a minute.

        All of it: a worker that stood still was taken off the lists meanwhile, and Redis may have lost it.
        """
        with nullcontext(pipeline) if pipeline is not None else self.connection.pipeline() as writes:
            super().heartbeat(self._lifetime, writes)
            writes.hset(self.key, mapping={**self.serialize(), TROUBLE: self.trouble})
            self.set_state(WorkerStatus.BUSY if self.executions else WorkerStatus.IDLE, writes)
            worker_registration.register(self, writes)
            # Written anew each time: RQ adds and removes where it begins and ends a job, which our scripts do.
            writes.delete(self.executions_key)
            for execution in list(self.executions.values()):
                writes.sadd(self.executions_key, execution.composite_key)
                writes.expire(self.executions_key, self._lifetime)
            if pipeline is None:
                with self._lasting(self.connection):
                    writes.execute()

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Handle a command from Redis: our own, or one of RQ's."""
        if parse_payload(message).get("command") == CHECK:
            self._callbacks.check()
        else:
            super().handle_payload(message)  # type: ignore[no-untyped-call] # RQ's own

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signal the horse's process group, as one of RQ's commands asks.

        RQ's own would signal the group of process 0 once the horse is reaped, and so kill the worker itself.
        """
        self._callbacks.kill(sig)

    def setup_work_horse_signals(self) -> None:
        """Prepare the horse that was just forked."""
        self._callbacks.enter_horse()

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:  # noqa: ARG002 (RQ's signature)
        """Run the thread, in the horse."""
        self._callbacks.run()
        return True
