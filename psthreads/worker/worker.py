"""The RQ worker: takes threads from the queue, forks a horse for each, watches it, and ends it when it must.

RQ's own loop, queue, intermediate list, executions, registration and fork are used as they are. Replaced is
what would break a promise: the way a job ends, the way it is stopped, and how an outage of Redis is met;
ARCHITECTURE.md gives the reasons.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, Final, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, Worker, worker_registration
from rq.command import parse_payload
from rq.exceptions import DequeueTimeout
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus

from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.authoring.plugins import load_all
from psthreads.database.connection import connect
from psthreads.domain.config import Config
from psthreads.domain.errors import PsthreadsError, Unavailable
from psthreads.domain.model import Outcome, Ownership, Status
from psthreads.system.parent_death import die_with_parent
from psthreads.system.wakeup import Wakeup
from psthreads.threads import crew
from psthreads.threads.engine import LOOK
from psthreads.threads.jobs import ThreadJob
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse import SIGNALS, Horse, persistently

_DEQUEUE_SECONDS: Final = 2  # a stop is noticed within this time by a worker that waits for work
_AGAIN_SECONDS: Final = 0.5
_LAST_WORDS: Final = 0.1  # a horse that is killed by force may still write what it had to say
_log = logging.getLogger(__name__)


class ThreadWorker(Worker):
    """A worker process for one queue. It runs one thread at a time."""

    job_class = ThreadJob

    def __init__(self, redis: Redis, config: Config, horse: Horse, store: ThreadStore) -> None:
        super().__init__(
            [Queue(config.queue, connection=redis, job_class=ThreadJob, serializer=JSONSerializer)],
            connection=redis,
            job_class=ThreadJob,
            serializer=JSONSerializer,
            worker_ttl=max(1, int(config.lost_after)),
            job_monitoring_interval=max(1, int(config.heartbeat)),
            log_job_description=False,
        )
        self._config = config
        self._horse = horse
        self._store = store
        self._wakeup = Wakeup()
        self._look_now = False
        self._was_away = False
        self._exit_status = 0

    @property
    def dequeue_timeout(self) -> int:
        """How long the worker blocks when it asks for work, in seconds."""
        return _DEQUEUE_SECONDS

    # The loop. RQ's ends the process at the first lost connection outside its dequeue.

    def serve(self) -> None:
        """Run threads until the process is told to stop. An outage of Redis is waited out."""
        persistently(self._register)
        self._install_signal_handlers()
        self._wakeup.ring_on_signals()
        gc.collect()
        gc.freeze()  # What is loaded by now need not be copied when a horse's collector runs.
        while not self._stop_requested:
            try:
                self._serve_one()
            except DequeueTimeout:
                continue
            except (RedisError, Unavailable) as error:
                _log.warning("Redis does not answer: %s", error)
                self._was_away = True
                self._wakeup.wait(_AGAIN_SECONDS)
            except Exception as error:  # noqa: BLE001 (a record that cannot be read must not stop the worker)
                # RQ names the job that it could not read; no other worker could read it either.
                _log.exception("A job could not be taken")
                if job_id := getattr(error, "job_id", None):
                    self._refuse(job_id)
        with contextlib.suppress(RedisError):
            self.teardown()  # type: ignore[no-untyped-call] # RQ's own

    def _register(self) -> None:
        try:
            self.bootstrap("WARNING")
        except RedisError as error:
            raise Unavailable from error

    def _serve_one(self) -> None:
        if self._was_away:
            self._register_again()
        self.heartbeat()
        taken = Queue.dequeue_any(
            self.queues, _DEQUEUE_SECONDS, self.connection, job_class=ThreadJob, serializer=JSONSerializer
        )
        if taken is not None:
            self.execute_job(*taken)

    def _register_again(self) -> None:
        # The worker's record has expired by now if Redis was away for long, or has lost it.
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipeline)
            pipeline.execute()
        self._was_away = False

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:  # noqa: ARG002 (RQ's signature)
        """Show that the worker lives. Its record expires soon after, where RQ keeps it for a minute.

        All of it is written each time: a worker that stood still was taken off the lists meanwhile.
        """
        with contextlib.nullcontext(pipeline) if pipeline is not None else self.connection.pipeline() as written:
            super().heartbeat(crew.lifetime(self._config), written)
            written.hset(self.key, mapping={**self.serialize(), "state": self.get_state()})
            worker_registration.register(self, written)
            if pipeline is None:
                written.execute()

    def _refuse(self, job_id: str) -> None:
        token = f"refused-{self.name}"
        with contextlib.suppress(PsthreadsError):
            if self._store.claim(job_id, token, self.name):
                outcome = Outcome(Status.FAILED, "Its job's data cannot be read")
                self._store.finish(job_id, token, outcome)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one thread in a forked process, unless it is not to be run any more."""
        if self._stop_requested:
            self._store.recover(job.id)
            return
        # RQ notes an execution before it is written: one that could not be, Redis being away, would stay, and the
        # next horse would take it for its own.
        self.executions.clear()
        execution = self.prepare_execution(job)
        try:
            if not self._store.claim(job.id, execution.id, self.name):
                with self.connection.pipeline() as pipeline:
                    self.cleanup_execution(job, pipeline, execution)
                    pipeline.execute()
                return
            self.fork_work_horse(job, queue)
            self.monitor_work_horse(job, queue, execution)
        finally:
            self.executions.pop(execution.id, None)
            self.set_state(WorkerStatus.IDLE)

    # The horse's side of the fork.

    def setup_work_horse_signals(self) -> None:
        """Leave the worker's own bell and signals behind, and die when the worker dies."""
        self._wakeup.drop()
        die_with_parent(self.pid or os.getppid())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:  # noqa: ARG002 (RQ's signature)
        """Run the thread, in the horse."""
        try:
            self._horse.run(cast("ThreadJob", job), execution.id)
        except BaseException:
            # RQ ends the process without a word; the worker then ends the thread.
            _log.exception("The horse of thread %s failed", job.id)
            raise
        return True

    # The worker's side.

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Fork the horse, as the leader of a process group of its own."""
        sys.stdout.flush()
        sys.stderr.flush()
        # The horse inherits the mask, and takes the signals when it is ready for them: until then one would kill it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS.values())
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(OSError):  # The horse does the same; whoever comes first wins.
            os.setpgid(self.horse_pid, self.horse_pid)

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:  # noqa: ARG002 (RQ's signature)
        """Watch the horse until it is gone; interrupt it, then kill it, where it must end."""
        watch = _Watch(*self._horse.limits(cast("ThreadJob", job)), self._config)
        next_beat = time.monotonic()
        while not self._is_gone():
            now = time.monotonic()
            if now >= next_beat or self._look_now:
                self._look_now = False
                next_beat = now + self._config.heartbeat
                self._beat(job, execution, watch)
            reason = watch.due(now, stopping=self._stop_requested)
            if reason is not None:
                self._signal_horse(SIGNALS[reason])
            if now >= watch.kill_at:
                self.kill_horse()
                watch.was_killed = True
                watch.kill_at = float("inf")
            self._wakeup.wait(min(next_beat, watch.kill_at, watch.limit_at) - time.monotonic())
        self._settle(job, execution.id, watch)

    def _beat(self, job: Job, execution: Execution, watch: _Watch) -> None:
        try:
            heartbeat_answer = self._store.beat(job.id, execution.id)
            self.maintain_heartbeats(job, execution)
        except (Unavailable, RedisError) as error:
            _log.warning("No heartbeat for thread %s: %s", job.id, error or error.__cause__)
            return
        if heartbeat_answer.ownership is Ownership.DISOWNED:
            watch.kill_at = 0.0
        elif heartbeat_answer.ownership is Ownership.CANCELLING:
            watch.cancel(heartbeat_answer.since, forced=heartbeat_answer.forced)

    def _is_gone(self) -> bool:
        """Whether the horse has ended; what it left in its process group is ended with it."""
        found = os.waitid(os.P_PID, self.horse_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return False
        # As long as the horse is not reaped, no other process group can have its number.
        self.kill_horse()
        _, status = os.waitpid(self.horse_pid, 0)
        self._exit_status = status
        self._horse_pid = 0
        return True

    def _settle(self, job: Job, token: str, watch: _Watch) -> None:
        """End the thread for a horse that could not; without effect where it did."""
        code = os.waitstatus_to_exitcode(self._exit_status)
        detail = ""
        if watch.was_killed:
            detail = "It was killed, as was asked" if watch.is_forced else "It did not stop in time and was killed"
        if watch.reason is ShutDown and watch.was_killed:
            write = lambda: bool(self._store.abandon(job.id, "Worker restarted", token))  # noqa: E731
        else:
            if watch.reason is TimedOut and watch.was_killed:
                message = f"Timed out after {watch.limit:g} s"
            elif code < 0:
                message = f"Killed by signal {-code}"
            else:
                message = f"Its process ended by itself, with exit code {code}"
            outcome = Outcome(Status.FAILED, message)
            write = lambda: self._store.finish(job.id, token, outcome, detail) is not None  # noqa: E731
        self._persist(write)

    def _persist(self, write: Any) -> None:
        while True:
            try:
                write()
            except Unavailable as error:
                _log.warning("The end of a thread is not written yet: %s", error)
                if self._stop_requested:
                    return  # Its lease runs out, and the janitor ends it.
                self._wakeup.wait(_AGAIN_SECONDS)
            else:
                return

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signal the horse's process group; without effect when there is no horse.

        RQ asks for the group of process 0 after the horse is reaped, and so kills the worker itself.
        """
        self._signal_horse(sig, group=True)

    def _signal_horse(self, sig: signal.Signals, *, group: bool = False) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(self.horse_pid, sig)

    # What others tell the worker.

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler)
        """Take no new thread, and give the one that runs back or end it."""
        self._stop_requested = True

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call] # RQ's own
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it rings the bell

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Handle a command from Redis: our own, or one of RQ's."""
        if parse_payload(message).get("command") == LOOK:
            self._look_now = True
            self._wakeup.ring()
        else:
            super().handle_payload(message)  # type: ignore[no-untyped-call] # RQ's own


class _Watch:
    """Why and when a horse must end. Times are on the monotonic clock, in seconds."""

    def __init__(self, limit: float, killable: bool, config: Config) -> None:  # noqa: FBT001 (both are the process's limits)
        self.limit = limit
        self.limit_at = time.monotonic() + limit
        self.kill_at = float("inf")
        self.reason: type[Interrupted] | None = None
        self.was_killed = False
        self.is_forced = False
        # What must not be killed has as long as it needs; only force, and the worker's own end, cut it short.
        self._grace = config.grace if killable else float("inf")
        self._shutdown = config.shutdown
        self._is_cancelling = False

    def cancel(self, since: float, *, forced: bool) -> None:
        """Somebody asked that many seconds ago that the thread be cancelled."""
        self._is_cancelling = True
        self.is_forced = self.is_forced or forced
        grace = _LAST_WORDS if forced else max(0.0, self._grace - since)
        self.kill_at = min(self.kill_at, time.monotonic() + grace)

    def due(self, now: float, *, stopping: bool) -> type[Interrupted] | None:
        """The reason to interrupt the horse, once; the horse is killed some time after."""
        if self.reason is None:
            if self._is_cancelling:
                self.reason = Cancelled
            elif now >= self.limit_at:
                self.reason = TimedOut
                self.limit_at = float("inf")
                self.kill_at = min(self.kill_at, now + self._grace)
            elif stopping:
                self.reason = ShutDown
                self.kill_at = min(self.kill_at, now + self._shutdown)
            return self.reason
        return None


def main(config: Config, parent: int) -> None:
    """Be a worker process until told to stop, or until the parent process is gone."""
    die_with_parent(parent)
    redis = connect(config.redis_url)
    store = ThreadStore(redis, config)
    horse = Horse(config, store, load_all(config.processes))
    ThreadWorker(redis, config, horse, store).serve()
