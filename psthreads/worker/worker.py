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
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.context import Interrupted, ShutDown, TimedOut
from psthreads.authoring.interrupts import WAKE
from psthreads.authoring.plugins import load_all
from psthreads.database.connection import connect
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable, WrongInstallation
from psthreads.domain.model import Outcome, Ownership, Report, Status
from psthreads.system.child_processes import adopt_orphans, end_children
from psthreads.system.clock import steady
from psthreads.system.memory import confine
from psthreads.system.parent_death import die_with_parent
from psthreads.system.process_room import NO_THREAD, ProcessRoom, can_start_thread
from psthreads.system.wakeup import Wakeup
from psthreads.threads.leases import CUT_OFF
from psthreads.threads.records import Claim
from psthreads.threads.store import ThreadStore
from psthreads.worker import memory_limit
from psthreads.worker.cause_of_death import cause_of_death
from psthreads.worker.deadline import Deadline
from psthreads.worker.heartbeat import HeartbeatThread
from psthreads.worker.horse import Horse
from psthreads.worker.rq_adapter import RQWorker
from psthreads.worker.shared_state import Execution, SharedState

LEAVE_SECONDS: Final = 3.0
"""How long a worker that is told to stop may wait for Redis, beyond the time in which its thread may clean up."""

_AGAIN_SECONDS: Final = 0.5
_FRESH_SECONDS: Final = 1.0
_LEAST_PATIENCE: Final = 1.0  # seconds for the answer to a heartbeat
_LAST_REPORT: Final = 2**50  # of an execution: the horse, which counts its reports, is dead
_TAKE_SECONDS: Final = 2.0  # a worker that waits for work notices a stop within this time
_TROUBLED_SECONDS: Final = 2.0  # between two heartbeats of a worker that cannot start processes
_log = logging.getLogger(__name__)


class ThreadWorker:
    """A worker process for one queue. It runs one thread at a time."""

    def __init__(
        self,
        redis: Redis,
        config: Config,
        horse: Horse,
        store: ThreadStore,
        installation: Installation,
        state: SharedState,
    ) -> None:
        self._config = config
        self._horse = horse
        self._store = store
        self._installation = installation
        self._wakeup = Wakeup()
        self._rq = RQWorker(redis, config, self)
        self._state = state
        impatient = connect(config.redis_url, connections=1, answer_seconds=max(config.heartbeat, _LEAST_PATIENCE))
        beats = ThreadStore(impatient, config, installation=installation)
        self._heartbeat = HeartbeatThread(impatient, beats, self._rq, config.heartbeat, self._wakeup, state)
        self._pid = os.getpid()
        self._memory = memory_limit.MemoryLimit(config.memory)
        self._room = ProcessRoom()
        self._horse_pid = 0  # also 0 where there is no horse
        self._stops = False
        self._claimed: Claim | None = None
        self._pipes: OutputPipes | None = None

    def serve(self) -> None:
        """Run threads until a signal stops the process. While Redis does not answer, try again.

        End, too, where Redis and the documents do not belong together any more: what this process knows is then of
        another Redis, and a new process waits until they do.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it ends a wait
        self._wakeup.wake_on_signals()
        if not self._enter():
            return
        self._heartbeat.start()
        gc.collect()
        gc.freeze()  # What is loaded by now need not be copied when a horse's collector runs.
        while not self._stops:
            try:
                self._installation.require(_FRESH_SECONDS)
                self._serve_one()
            except WrongInstallation:
                break
            except (RedisError, Unavailable) as error:
                _log.warning("Redis does not answer: %s", error)
                self._wakeup.wait(_AGAIN_SECONDS)
            except Exception:  # noqa: BLE001 (the next thread may be better)
                _log.exception("A thread could not be run")
        with contextlib.suppress(RedisError):
            self._rq.unregister()

    def _enter(self) -> bool:
        """Register once Redis and the documents belong together; return False where a signal ends the wait."""
        while not self._stops:
            try:
                self._installation.require(_FRESH_SECONDS)
                self._state.introduce(self._rq.name)
                self._rq.register()
            except WrongInstallation:
                self._wakeup.wait(2 * _AGAIN_SECONDS)  # The installation says so in the log, and to Redis.
            except (RedisError, Unavailable) as error:
                _log.warning("Redis does not answer: %s", error)
                self._wakeup.wait(_AGAIN_SECONDS)
            else:
                return True
        return False

    def _serve_one(self) -> None:
        self._rq.heartbeat()
        if pause := self._room.wait():
            self._wakeup.wait(min(pause, _TROUBLED_SECONDS))  # A healthy machine takes the thread meanwhile.
            self._rq.trouble = self._room.trouble
            return
        self._rq.trouble = ""
        thread_id = self._store.take(_TAKE_SECONDS)
        if thread_id is None:
            return
        if self._stops:
            self._store.recover(thread_id)
            return
        token = uuid4().hex
        try:
            self._state.begin(Execution(thread_id, token))
            self._claimed = self._claim(thread_id, token)
            if self._claimed is None:
                return
            self._rq.begin(thread_id, token)
            try:
                self._fork(thread_id)
            except OSError as error:
                self._give_back(self._claimed, error.strerror or str(error))
            else:
                self._watch(self._claimed)
        finally:
            self._state.end()
            if self._pipes is not None:
                self._pipes.close()
                self._pipes = None
            self._rq.end()

    def _claim(self, thread_id: str, token: str) -> Claim | None:
        """Return the claim whose lease begins now, None where the thread must not run."""
        while True:
            sent = steady()
            try:
                claim = self._store.claim(thread_id, token, self._rq.name)
            except WrongInstallation:
                raise
            except Unavailable:
                # Redis may have carried it out, and then nobody else may have the thread before its lease runs out.
                if self._stops:
                    raise
                self._wakeup.wait(_AGAIN_SECONDS)
            else:
                if claim is not None:
                    self._state.renew(sent, claim.lease)
                return claim

    def _give_back(self, claim: Claim, reason: str) -> None:
        """Put a thread whose code has not begun back at the head of the queue, since no process can be started here."""
        self._room.fail(reason)
        self._rq.trouble = self._room.trouble
        _log.error("This machine %s. Thread %s goes back into the queue", self._room.trouble, claim.thread.id)
        self._persist(lambda: self._store.abandon(claim.thread.id, "Worker restarted", claim.token, not_begun=True))

    # In the horse.

    def enter_horse(self) -> None:
        """Leave the worker's signals behind, and die when the worker dies."""
        self._wakeup.close()
        die_with_parent(self._pid)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        confine(self._config.memory)

    def run(self) -> None:
        """Run the claimed thread."""
        if not can_start_thread():
            self._state.note_shortage()
            return
        try:
            if self._claimed is not None and self._pipes is not None:  # They were made before the fork.
                self._horse.run(self._claimed, self._pipes)
        except BaseException:
            # The process ends without a word; the worker then ends the thread.
            _log.exception("The horse of thread %s failed", self._claimed and self._claimed.thread.id)
            raise

    # In the worker.

    def _fork(self, thread_id: str) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._horse.stop_request.begin()
        self._pipes = OutputPipes()
        # The horse inherits the mask, and takes the signal when it is ready for it: until then it would be killed.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {WAKE})
        try:
            self._horse_pid = self._rq.fork(thread_id)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(OSError):  # The horse does the same; whoever comes first wins.
            os.setpgid(self._horse_pid, self._horse_pid)
        self._pipes.close_writers()

    def _watch(self, run: Claim) -> None:
        """Wait until the horse is gone; interrupt it, then kill it, where it must end. Then end its thread."""
        deadline = Deadline(*self._horse.limits(run), self._config, self._state)
        self._heartbeat.begin(run)
        self._memory.begin()
        try:
            while (status := self._reap()) is None:
                self._state.tick()
                self._heed(deadline)
                now = steady()
                reason = deadline.due(now, stopping=self._stops)
                if reason is not None:
                    self._interrupt(reason)
                if now >= deadline.kill_at:
                    self.kill()
                    deadline.was_killed = True
                if self._memory.is_exceeded(self._horse_pid, now):
                    self.kill()
                pause = _AGAIN_SECONDS if deadline.was_killed else deadline.next - now
                self._wakeup.wait(min(pause, memory_limit.SECONDS))
        finally:
            self._heartbeat.end()
            self._state.rest()
        self._settle(run, deadline, status)

    def _heed(self, deadline: Deadline) -> None:
        """Take in the answer to the latest heartbeat."""
        answer = self._heartbeat.latest()
        if answer is None:
            return
        if answer.ownership is Ownership.DISOWNED:
            deadline.disown()
        elif answer.ownership is Ownership.CANCELLING:
            deadline.cancel(answer.since, forced=answer.forced)

    def _reap(self) -> int | None:
        """Return the exit code of a horse that has ended, None while it runs; end all that it left."""
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == self._horse_pid:
                break
            os.waitpid(ended.si_pid, 0)  # An orphan that this process has adopted.
        else:
            return None
        # As long as the horse is not reaped, no other process group can have its number.
        self.kill()
        _, status = os.waitpid(self._horse_pid, 0)
        self._horse_pid = 0
        end_children()
        return os.waitstatus_to_exitcode(status)

    def _settle(self, run: Claim, deadline: Deadline, code: int) -> None:
        """End the thread for a horse that could not; without effect where it did."""
        if self._state.is_short_of_threads:
            self._give_back(run, NO_THREAD)
            return
        lines = self._pipes.last_lines() if self._pipes is not None else ()
        report = Report(_LAST_REPORT, lines=lines) if lines else None
        detail = ""
        if deadline.was_killed:
            detail = "It was killed, as was asked" if deadline.is_forced else "It did not stop in time and was killed"
        # A process that gave our signal its default handler is ended by the request itself.
        was_ended = deadline.was_killed or (deadline.reason is not None and code == -WAKE)
        if deadline.reason is ShutDown and was_ended:
            why = CUT_OFF if deadline.is_cut_off else "Worker restarted"
            self._persist(lambda: self._store.abandon(run.thread.id, why, run.token, report=report))
            return
        is_late = deadline.reason is TimedOut and was_ended
        message = f"Timed out after {deadline.limit:g} s" if is_late else self._memory.sentence or cause_of_death(code)
        outcome = Outcome(Status.FAILED, message)
        self._persist(lambda: self._store.finish(run.thread.id, run.token, outcome, detail, report))

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
        self._signal(lambda horse: os.killpg(horse, number))

    def _interrupt(self, reason: type[Interrupted]) -> None:
        self._signal(lambda horse: self._horse.stop_request.send(horse, reason))

    def _signal(self, send: Callable[[int], None]) -> None:
        if self._horse_pid:  # Process 0 would mean the worker itself.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self._horse_pid)

    def check(self) -> None:
        """Have the running thread's state checked now, not only at the next heartbeat."""
        self._heartbeat.hurry()

    def _stop(self, *_: Any) -> None:
        """Take no new thread, and give the running one back or end it."""
        self._stops = True
        # Whatever Redis does, the process is gone in time: the janitor finds what is not written by then.
        signal.signal(signal.SIGALRM, self._leave)
        signal.setitimer(signal.ITIMER_REAL, LEAVE_SECONDS + (self._config.shutdown if self._horse_pid else 0))

    def _leave(self, *_: Any) -> None:
        end_children()
        os._exit(0)


def main(config: Config, parent: int, page: int = -1) -> None:
    """Run as a worker process until a signal stops it, or until its parent dies.

    `page` is the descriptor of the page that it shares with its supervisor, where it has one.
    """
    adopt_orphans()
    die_with_parent(parent, end_children)
    redis = connect(config.redis_url)
    installation = Installation(redis, config, "worker")
    store = ThreadStore(redis, config, installation=installation)
    state = SharedState(page)
    horse = Horse(config, store, load_all(config.processes), installation, state)
    ThreadWorker(redis, config, horse, store, installation, state).serve()
