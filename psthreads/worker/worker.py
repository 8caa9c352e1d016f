"""The worker: takes threads from the queue, forks a horse for each, watches it, and ends it when it must.

RQ's part stands in rq_adapter.py.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.authoring.plugins import load_all
from psthreads.database.connection import connect
from psthreads.domain.config import Config
from psthreads.domain.errors import PsthreadsError, Unavailable
from psthreads.domain.model import Outcome, Ownership, Status
from psthreads.system.parent_death import die_with_parent
from psthreads.system.wakeup import Wakeup
from psthreads.threads.jobs import ThreadJob
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse import SIGNALS, Horse, persistently
from psthreads.worker.rq_adapter import RQWorker, UnreadableJob

_AGAIN_SECONDS: Final = 0.5
_LAST_WORDS_SECONDS: Final = 0.1  # in which a horse that is killed by force may still write its last report
_log = logging.getLogger(__name__)


class ThreadWorker:
    """A worker process for one queue. It runs one thread at a time."""

    def __init__(self, redis: Redis, config: Config, horse: Horse, store: ThreadStore) -> None:
        self._config = config
        self._horse = horse
        self._store = store
        self._wakeup = Wakeup()
        self._rq = RQWorker(redis, config, self)
        self._pid = os.getpid()
        self._horse_pid = 0  # also 0 where there is no horse
        self._stops = False
        self._checks_now = False

    def serve(self) -> None:
        """Run threads until a signal stops the process. While Redis does not answer, try again."""
        persistently(self._register)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it ends a wait
        self._wakeup.wake_on_signals()
        gc.collect()
        gc.freeze()  # What is loaded by now need not be copied when a horse's collector runs.
        while not self._stops:
            try:
                self._serve_one()
            except (RedisError, Unavailable) as error:
                _log.warning("Redis does not answer: %s", error)
                self._wakeup.wait(_AGAIN_SECONDS)
            except UnreadableJob as error:
                _log.exception("A job could not be taken")
                self._refuse(error.job_id)  # No other worker could read it either.
            except Exception:  # noqa: BLE001 (the next thread may be better)
                _log.exception("A thread could not be run")
        with contextlib.suppress(RedisError):
            self._rq.unregister()

    def _register(self) -> None:
        try:
            self._rq.register()
        except RedisError as error:
            raise Unavailable from error

    def _serve_one(self) -> None:
        self._rq.heartbeat()
        job = self._rq.take()
        if job is None:
            return
        if self._stops:
            self._store.recover(job.id)
            return
        try:
            token = self._rq.begin(job)
            if self._store.claim(job.id, token, self._rq.name):
                self._fork(job)
                self._watch(job, token)
            else:
                self._rq.withdraw(job)
        finally:
            self._rq.end()

    def _refuse(self, job_id: str) -> None:
        token = f"refused-{self._rq.name}"
        with contextlib.suppress(PsthreadsError):
            if self._store.claim(job_id, token, self._rq.name):
                outcome = Outcome(Status.FAILED, "Its job's data cannot be read")
                self._store.finish(job_id, token, outcome)

    # In the horse.

    def enter_horse(self) -> None:
        """Leave the worker's signals behind, and die when the worker dies."""
        self._wakeup.close()
        die_with_parent(self._pid)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def run(self, job: ThreadJob, token: str) -> None:
        """Run the thread."""
        try:
            self._horse.run(job, token)
        except BaseException:
            # The process ends without a word; the worker then ends the thread.
            _log.exception("The horse of thread %s failed", job.id)
            raise

    # In the worker.

    def _fork(self, job: ThreadJob) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # The horse inherits the mask, and takes the signals when it is ready for them: until then one would kill it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS.values())
        try:
            self._horse_pid = self._rq.fork(job)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(OSError):  # The horse does the same; whoever comes first wins.
            os.setpgid(self._horse_pid, self._horse_pid)

    def _watch(self, job: ThreadJob, token: str) -> None:
        """Wait until the horse is gone; interrupt it, then kill it, where it must end. Then end its thread."""
        deadline = _Deadline(*self._horse.limits(job), self._config)
        next_beat = time.monotonic()
        while (status := self._reap()) is None:
            now = time.monotonic()
            if now >= next_beat or self._checks_now:
                self._checks_now = False
                next_beat = now + self._config.heartbeat
                self._beat(job, token, deadline)
            reason = deadline.due(now, stopping=self._stops)
            if reason is not None:
                self._signal(SIGNALS[reason], os.kill)
            if now >= deadline.kill_at:
                self.kill()
                deadline.was_killed = True
                deadline.kill_at = float("inf")
            self._wakeup.wait(min(next_beat, deadline.kill_at, deadline.limit_at) - time.monotonic())
        self._settle(job, token, deadline, status)

    def _beat(self, job: ThreadJob, token: str, deadline: _Deadline) -> None:
        try:
            heartbeat = self._store.beat(job.id, token)
            if heartbeat.ownership is not Ownership.DISOWNED:
                # RQ would write the record of an execution again that has just ended.
                self._rq.renew(job)
        except (Unavailable, RedisError) as error:
            _log.warning("No heartbeat for thread %s: %s", job.id, error)
            return
        if heartbeat.ownership is Ownership.DISOWNED:
            deadline.kill_at = 0.0
        elif heartbeat.ownership is Ownership.CANCELLING:
            deadline.cancel(heartbeat.since, forced=heartbeat.forced)

    def _reap(self) -> int | None:
        """Return the exit code of a horse that has ended, None while it runs; end what it left in its process group."""
        if os.waitid(os.P_PID, self._horse_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        # As long as the horse is not reaped, no other process group can have its number.
        self.kill()
        _, status = os.waitpid(self._horse_pid, 0)
        self._horse_pid = 0
        return os.waitstatus_to_exitcode(status)

    def _settle(self, job: ThreadJob, token: str, deadline: _Deadline, code: int) -> None:
        """End the thread for a horse that could not; without effect where it did."""
        detail = ""
        if deadline.was_killed:
            detail = "It was killed, as was asked" if deadline.is_forced else "It did not stop in time and was killed"
        if deadline.reason is ShutDown and deadline.was_killed:
            self._persist(lambda: self._store.abandon(job.id, "Worker restarted", token))
            return
        if deadline.reason is TimedOut and deadline.was_killed:
            message = f"Timed out after {deadline.limit:g} s"
        elif code < 0:
            message = f"Killed by signal {-code}"
        else:
            message = f"Its process ended by itself, with exit code {code}"
        outcome = Outcome(Status.FAILED, message)
        self._persist(lambda: self._store.finish(job.id, token, outcome, detail))

    def _persist(self, write: Callable[[], object]) -> None:
        while True:
            try:
                write()
            except Unavailable as error:
                _log.warning("The end of a thread is not written yet: %s", error)
                if self._stops:
                    return  # Its lease runs out, and the janitor ends it.
                self._wakeup.wait(_AGAIN_SECONDS)
            else:
                return

    # Signals and commands.

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the horse's process group; without effect where there is no horse."""
        self._signal(number, os.killpg)

    def _signal(self, number: signal.Signals, send: Callable[[int, int], None]) -> None:
        if self._horse_pid:  # Process 0 would mean the worker itself.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self._horse_pid, number)

    def check(self) -> None:
        """Have the running thread's state checked now, not only at the next heartbeat."""
        self._checks_now = True
        self._wakeup.wake()

    def _stop(self, *_: Any) -> None:
        """Take no new thread, and give the running one back or end it."""
        self._stops = True


class _Deadline:
    """Why and when a horse must end. Times are seconds on the monotonic clock."""

    def __init__(self, limit: float, killable: bool, config: Config) -> None:  # noqa: FBT001 (both are the process's limits)
        self.limit = limit
        self.limit_at = time.monotonic() + limit
        self.kill_at = float("inf")
        self.reason: type[Interrupted] | None = None
        self.was_killed = False
        self.is_forced = False
        # A process that must not be killed has as long as it needs, but for a forced cancel and the worker's own end.
        self._grace = config.grace if killable else float("inf")
        self._shutdown = config.shutdown
        self._is_cancelling = False

    def cancel(self, since: float, *, forced: bool) -> None:
        """Note a request to cancel that was made `since` seconds ago."""
        self._is_cancelling = True
        self.is_forced = self.is_forced or forced
        grace = _LAST_WORDS_SECONDS if forced else max(0.0, self._grace - since)
        self.kill_at = min(self.kill_at, time.monotonic() + grace)

    def due(self, now: float, *, stopping: bool) -> type[Interrupted] | None:
        """Return once the reason to interrupt the horse, which is killed at `kill_at` if it goes on."""
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
    """Run as a worker process until a signal stops it, or until its parent dies."""
    die_with_parent(parent)
    redis = connect(config.redis_url)
    store = ThreadStore(redis, config)
    horse = Horse(config, store, load_all(config.processes))
    ThreadWorker(redis, config, horse, store).serve()
