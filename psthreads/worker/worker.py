"""The worker: keeps one horse that runs threads, watches it, and ends it when it must.

It never waits for Redis while there is a horse. RQ's part stands in rq_adapter.py.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from redis import Redis
from redis.exceptions import RedisError

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.context import Interrupted
from psthreads.authoring.interrupts import WAKE
from psthreads.authoring.plugins import load_all
from psthreads.authoring.registry import Registry
from psthreads.database.connection import connect
from psthreads.documents.installation import Installation
from psthreads.documents.layout import open_marker, scratch_of
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable, WrongInstallation
from psthreads.system.child_processes import adopt_orphans, end_children
from psthreads.system.clock import steady
from psthreads.system.memory import confine
from psthreads.system.parent_death import die_with_parent
from psthreads.system.process_room import NO_THREAD, ProcessRoom, can_start_thread
from psthreads.system.wakeup import Wakeup
from psthreads.telemetry import logs, spans
from psthreads.threads.store import ThreadStore
from psthreads.worker import memory_limit
from psthreads.worker.deadline import Deadline
from psthreads.worker.heartbeat import HeartbeatThread
from psthreads.worker.horse.horse import Horse
from psthreads.worker.rq_adapter import RQWorker
from psthreads.worker.scratch_limit import ScratchLimit
from psthreads.worker.settlement import reason_of_death, settle
from psthreads.worker.shared_state import Phase, SharedState
from psthreads.worker.stop_request import StopRequest

LEAVE_SECONDS: Final = 2.0
"""How long a worker that is told to stop may wait for Redis, beyond the time in which its thread may clean up."""

_AGAIN_SECONDS: Final = 0.5
_FRESH_SECONDS: Final = 1.0
_LEAST_PATIENCE: Final = 1.0  # seconds for the answer to a heartbeat
_TROUBLED_SECONDS: Final = 2.0  # between two looks of a worker that cannot start processes
_STOPPED_SECONDS: Final = 0.5  # for a horse to stop that the kernel holds
_POLL_SECONDS: Final = 0.000_5
_log = logging.getLogger(__name__)


class ThreadWorker:
    """A worker process for one queue. Its horse runs one thread at a time."""

    def __init__(
        self, redis: Redis, config: Config, registry: Registry, installation: Installation, state: SharedState
    ) -> None:
        self._redis = redis
        self._config = config
        self._registry = registry
        self._store = ThreadStore(redis, config, installation=installation)
        self._installation = installation
        self._wakeup = Wakeup()
        self._rq = RQWorker(redis, config, self)
        self._state = state
        self._stop_request = StopRequest()
        self._impatient = connect(
            config.redis_url, connections=1, answer_seconds=max(config.heartbeat, _LEAST_PATIENCE)
        )
        beats = ThreadStore(self._impatient, config, installation=installation)
        self._heartbeat = HeartbeatThread(self._impatient, beats, self._rq, config.heartbeat, self._wakeup, state)
        self._pid = os.getpid()
        self._memory = memory_limit.MemoryLimit(config.memory)
        self._scratch = ScratchLimit(scratch_of(config), config.scratch_bytes, spares_disk=bool(config.store_url))
        self._room = ProcessRoom()
        self._horse_pid = 0  # also 0 where there is no horse
        self._stops = False
        self._to_kill = 0  # the number of an execution
        self._pipes = OutputPipes()

    def serve(self) -> None:
        """Keep a horse that runs threads until a signal stops the process. While Redis does not answer, try again.

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
        logs.note(_log, f"psthreads {logs.release()}: worker ready", worker=self._rq.name, queue=self._config.queue)
        gc.collect()
        gc.freeze()  # What is loaded by now need not be copied when a horse's collector runs.
        while not self._stops:
            try:
                self._installation.require(_FRESH_SECONDS)
                self._keep_horse()
            except WrongInstallation:
                break
            except (RedisError, Unavailable) as error:
                _log.warning("Redis does not answer: %s", error)
                self._wakeup.wait(_AGAIN_SECONDS)
            except Exception:  # noqa: BLE001 (the next horse may do better)
                _log.exception("The horse could not be watched")
                self._wakeup.wait(_AGAIN_SECONDS)
        if self._state.execution.phase is Phase.PASSED_ON:  # There is no other horse to come.
            self._settle(None, 0)
        logs.note(_log, "Worker stopping", worker=self._rq.name)
        self._heartbeat.stop()
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

    def _keep_horse(self) -> None:
        """Fork a horse, watch it until it is gone, and end its thread where it could not."""
        if pause := self._room.wait():
            self._be_in_trouble()
            self._wakeup.wait(min(pause, _TROUBLED_SECONDS))  # A healthy machine takes the threads meanwhile.
            return
        self._be_in_trouble()
        began = steady()
        try:
            self._fork()
        except OSError as error:
            self._room.fail(error.strerror or str(error))
            self._be_in_trouble()
            if self._state.execution.phase is Phase.PASSED_ON:
                self._settle(None, 0)
            return
        try:
            deadline, code = self._watch()
        finally:
            self._state.rest()
            if self._horse_pid:  # Nobody watches it any more.
                os.killpg(self._horse_pid, signal.SIGKILL)
                end_children()
                self._horse_pid = 0
        if self._state.is_short_of_threads:
            self._state.forget_shortage()
            self._room.fail(NO_THREAD)
            self._be_in_trouble()
        if self._state.execution.phase not in {Phase.IDLE, Phase.PASSED_ON}:
            self._settle(deadline, code)
        elif code and steady() < began + _AGAIN_SECONDS:
            self._wakeup.wait(_AGAIN_SECONDS)  # One that cannot even begin must not keep the machine busy.
        self._pipes.close()

    def _be_in_trouble(self) -> None:
        """Have the record of the worker say why it takes no threads, if anything keeps it from that."""
        if self._rq.trouble != self._room.trouble:
            self._rq.trouble = self._room.trouble
            self._heartbeat.hurry()
            if self._room.trouble:
                _log.error("This machine %s. It takes no threads", self._room.trouble)

    # In the horse.

    def _be_horse(self) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)
            self._wakeup.leave_to_parent()
            for redis in (self._redis, self._impatient):
                redis.connection_pool.reset()
            self._rq.leave_to_parent()
            die_with_parent(self._pid)
            adopt_orphans()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            confine(self._config.memory)
            random.seed()
            self._stop_request.prepare()
            if can_start_thread():
                self._horse().live()
            else:
                self._state.note_shortage()
            code = 0
        except WrongInstallation:
            code = 0  # The worker sees it, too.
        except BaseException:  # noqa: BLE001 (the process ends without a word; the worker then ends its thread)
            _log.exception("The horse failed")
        finally:
            os._exit(code)

    def _horse(self) -> Horse:
        self._installation.marker = open_marker(self._config)
        return Horse(
            self._redis,
            self._config,
            self._store,
            self._registry,
            self._installation,
            self._state,
            self._stop_request,
            self._wakeup,
            self._pipes,
        )

    # In the worker.

    def _fork(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._pipes = OutputPipes()
        self._installation.saw(claims=self._state.claims)
        # The horse inherits the mask, and takes the signal when it is ready for it: until then it would be killed.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {WAKE})
        try:
            self._horse_pid = os.fork()
            if not self._horse_pid:
                self._be_horse()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with contextlib.suppress(OSError):  # The horse does the same; whoever comes first wins.
            os.setpgid(self._horse_pid, self._horse_pid)
        self._pipes.close_writers()

    def _watch(self) -> tuple[Deadline | None, int]:
        """Wait until the horse is gone; interrupt, then kill, what must end. Return its last deadline and exit code."""
        deadline: Deadline | None = None
        while (code := self._reap()) is None:
            self._state.tick()
            execution = self._state.execution
            if execution.phase in {Phase.IDLE, Phase.PASSED_ON}:
                deadline = None
            elif deadline is None or deadline.execution.number != execution.number:
                deadline = Deadline(execution, self._config, self._state)
                self._memory.begin()
                self._scratch.begin(execution.thread_id)
            else:
                deadline.execution = execution
            pause = memory_limit.SECONDS
            if deadline is not None:
                pause = min(pause, self._enforce(deadline))
            self._wakeup.wait(pause)
        return deadline, code

    def _enforce(self, deadline: Deadline) -> float:
        """Interrupt or kill the execution if it is time; return in how many seconds to look again."""
        number = deadline.execution.number
        if (answer := self._heartbeat.latest(number)) is not None:
            deadline.heed(answer)
        now = steady()
        reason = deadline.due(now, stopping=self._stops)
        if reason is not None:
            self._interrupt(number, reason)
        if not deadline.execution.has_begun:
            return deadline.next - now if deadline.next > now else _AGAIN_SECONDS
        if now >= deadline.kill_at and self._kill(number):
            deadline.was_killed = True
        is_large = self._memory.is_exceeded(self._horse_pid, now) or self._scratch.is_exceeded(now)
        if number == self._to_kill or is_large:
            self._kill(number)
        return _AGAIN_SECONDS if deadline.was_killed else deadline.next - now

    def _reap(self) -> int | None:
        """Return the exit code of a horse that has ended, None while it runs; end all that it left."""
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == self._horse_pid:
                break
            os.waitpid(ended.si_pid, 0)  # An orphan that this process has adopted.
        else:
            return None
        # As long as the horse is not reaped, no other process group can have its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._horse_pid, signal.SIGKILL)
        _, status = os.waitpid(self._horse_pid, 0)
        self._horse_pid = 0
        end_children()
        return os.waitstatus_to_exitcode(status)

    def _settle(self, deadline: Deadline | None, code: int) -> None:
        """End the thread for a horse that could not; without effect where it did."""
        execution = self._state.execution
        if deadline is None or deadline.execution.number != execution.number:
            deadline = Deadline(execution, self._config, self._state)
        deadline.execution = execution
        if reason := reason_of_death(deadline, code, self._memory.sentence):
            self._store.note_kill(execution.thread_id, reason)
        settlement = settle(self._store, deadline, code, self._memory.sentence or self._scratch.sentence, self._pipes)
        self._scratch.remove(execution.thread_id)
        if self._persist(settlement):
            self._state.settle()

    def _persist(self, write: Callable[[], object]) -> bool:
        """Call until Redis takes it; return whether it did before the worker had to stop."""
        while True:
            try:
                write()
            except Unavailable as error:
                _log.warning("The end of a thread is not written yet: %s", error)
                if self._stops:
                    return False  # The supervisor gives it up, or its lease runs out, and the janitor ends it.
                self._wakeup.wait(_AGAIN_SECONDS)
            else:
                return True

    def _kill(self, number: int) -> bool:
        """Kill the horse, and its process group, where it is at this execution still; return whether it is.

        It might go on to the next one at any moment, and so has to stand still while this is looked up.
        """
        if not self._horse_pid:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._horse_pid, signal.SIGSTOP)
            until = steady() + _STOPPED_SECONDS
            what = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
            while os.waitid(os.P_PID, self._horse_pid, what) is None and steady() < until:
                time.sleep(_POLL_SECONDS)
            execution = self._state.execution
            if execution.number == number and execution.has_begun:
                os.killpg(self._horse_pid, signal.SIGKILL)
                return True
            os.kill(self._horse_pid, signal.SIGCONT)
        return False

    def _interrupt(self, number: int, reason: type[Interrupted]) -> None:
        if self._horse_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._stop_request.send(self._horse_pid, number, reason)

    # Signals and commands.

    def check(self) -> None:
        """Have the running thread's state checked now, not only at the next heartbeat."""
        self._heartbeat.hurry()

    def kill(self, thread_id: str = "") -> None:
        """Have what runs killed; with an id, only where it is this thread."""
        execution = self._state.execution
        if execution.thread_id and thread_id in {"", execution.thread_id}:
            self._to_kill = execution.number
            self._wakeup.wake()

    def _stop(self, *_: Any) -> None:
        """Take no new thread, and give the running one back or end it."""
        self._stops = True
        self._state.stop()
        # Whatever Redis does, the process is gone in time: the janitor finds what is not written by then.
        signal.signal(signal.SIGALRM, self._leave)
        is_at_work = self._state.execution.has_begun
        signal.setitimer(signal.ITIMER_REAL, LEAVE_SECONDS + (self._config.shutdown if is_at_work else 0))

    def _leave(self, *_: Any) -> None:
        end_children()
        os._exit(0)


def main(config: Config, parent: int, page: int = -1) -> None:
    """Run as a worker process until a signal stops it, or until its parent dies.

    `page` is the descriptor of the page that it shares with its supervisor, where it has one.
    """
    adopt_orphans()
    die_with_parent(parent, end_children)
    logs.install(config, libraries=False)
    spans.install(config, background=False)
    redis = connect(config.redis_url)
    # Its horses use the storage, and this process must not: the client of an object store does not survive a fork.
    installation = Installation(redis, config, "worker", open_marker(config, forks=True))
    state = SharedState(page)
    ThreadWorker(redis, config, load_all(config.processes), installation, state).serve()
