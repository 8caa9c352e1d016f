"""RQ's worker: registration, heartbeats, commands, taking a job, the fork of a horse. No other module knows it.

What is ours stands in worker.py, which `RQWorker` calls back through `Callbacks`.
tests/system/worker/test_rq_contract.py holds what both rely on; ARCHITECTURE.md says what is replaced, and why.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final, Protocol, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import OutOfMemoryError, RedisError
from rq import Queue, Worker, worker_registration
from rq.command import parse_payload
from rq.exceptions import DequeueTimeout
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus

from psthreads.domain.config import Config
from psthreads.threads import crew
from psthreads.threads.jobs import CHECK, TROUBLE, ThreadJob

_DEQUEUE_SECONDS: Final = 2  # a worker that waits for work notices a stop within this time


class UnreadableJob(Exception):
    """A job was taken from the queue that RQ cannot read. `job_id` may be empty."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The job {job_id or 'without an id'} cannot be read")
        self.job_id = job_id


class Callbacks(Protocol):
    """What the adapter needs of the worker."""

    def enter_horse(self) -> None:
        """Prepare a horse that was just forked; called in the horse."""

    def run(self, job: ThreadJob, token: str) -> None:
        """Run a thread; called in the horse."""

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

    def take(self) -> ThreadJob | None:
        """Return the next job of the queue, None where none comes within two seconds. Raises UnreadableJob."""
        try:
            result = Queue.dequeue_any(
                self.queues, _DEQUEUE_SECONDS, self.connection, job_class=ThreadJob, serializer=JSONSerializer
            )
        except DequeueTimeout:
            return None
        except RedisError:
            raise
        except Exception as error:
            raise UnreadableJob(getattr(error, "job_id", "")) from error
        return cast("ThreadJob", result[0]) if result else None

    def begin(self, job: ThreadJob) -> str:
        """Record an execution of the job, and return the execution's id."""
        return self.prepare_execution(job).id

    def withdraw(self, job: ThreadJob) -> None:
        """Remove the record of an execution that is not to run."""
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline, self.execution)
            pipeline.execute()

    def fork(self, job: ThreadJob) -> int:
        """Fork a horse that runs the job, and return its process id. The horse never returns."""
        self.fork_work_horse(job, self.queues[0])
        return int(self.horse_pid)

    def renew(self, job: ThreadJob, redis: Redis) -> None:
        """Renew the records of the worker and of its execution, by this connection; for another Python thread."""
        execution = self.execution
        if execution is not None:
            with self._lasting(redis), redis.pipeline() as writes:
                self.heartbeat(pipeline=writes)
                execution.heartbeat(job.started_job_registry, self.get_heartbeat_ttl(job), writes)
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
            if not self.executions:
                # RQ removes an execution where it ends the job, which our store does: each would stay in this set.
                writes.delete(self.executions_key)
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
        self._callbacks.run(cast("ThreadJob", job), execution.id)
        return True
