"""The work horse: the forked process that takes threads from the queue and runs them, one after the other.

The worker that forked it watches from outside, and writes the outcome of a thread whose horse could not. The horse ends
itself when it is not as clean as at its beginning; then the worker forks another.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import uuid4

from redis import Redis

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.parameter import Parameter
from psthreads.authoring.process import Process
from psthreads.authoring.registry import Registry
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable, WrongInstallation
from psthreads.domain.model import Outcome, Status
from psthreads.system.clock import steady
from psthreads.system.process_room import can_start_thread
from psthreads.system.process_tree import resident
from psthreads.system.wakeup import Wakeup
from psthreads.telemetry import logs
from psthreads.threads.jobs import read_call
from psthreads.threads.leases import INTERRUPTED
from psthreads.threads.records import Claim
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.performance import Performer, persistently
from psthreads.worker.shared_state import Execution, Phase, SharedState
from psthreads.worker.stop_request import StopRequest

SHORT_SECONDS: Final = 2.0
"""A time limit for which the worker has to be woken: without that it looks once a second."""

_TAKE_SECONDS: Final = 1.0  # a horse that waits for work notices a stop within this time
_AGAIN_SECONDS: Final = 0.25
_FRESH_SECONDS: Final = 1.0
_ROOM_SECONDS: Final = 0.02  # a Python thread takes a tenth of the time of a thread that does nothing
_KIB: Final = 1024
_log = logging.getLogger(__name__)


class Horse:
    """Runs threads until it has to make room for another horse. It is made in the forked process."""

    def __init__(
        self,
        redis: Redis,
        config: Config,
        store: ThreadStore,
        registry: Registry,
        installation: Installation,
        state: SharedState,
        stop_request: StopRequest,
        wakeup: Wakeup,
        pipes: OutputPipes,
    ) -> None:
        self._config = config
        self._store = store
        self._registry = registry
        self._installation = installation
        self._state = state
        self._wakeup = wakeup
        self._performer = Performer(redis, config, store, installation, state, stop_request, pipes)
        # A thread is killed for what it uses itself, and not for what others have left.
        growth = min(config.horse_growth, config.memory // 10 or config.horse_growth)
        self._most_memory = resident([os.getpid()]) + growth
        self._runs = 0
        self._room_at = 0.0
        self._next: tuple[Execution, Claim] | None = None  # claimed in the step that ended the last thread
        self._sent = 0.0

    def live(self) -> None:
        """Take threads and run them, while the process is as clean as now."""
        execution = self._state.execution
        goes_on = execution.phase is not Phase.PASSED_ON or self._run(replace(execution, phase=Phase.TAKEN))
        while goes_on:
            if self._next is not None:
                following, self._next = self._next, None
                goes_on = self._begin(*following)
            elif self._state.stops:
                return
            elif (thread_id := self._take()) is not None:
                number = self._state.execution.number + 1
                goes_on = self._run(Execution(thread_id, uuid4().hex, number, Phase.TAKEN, sent=steady()))

    def _take(self) -> str | None:
        """Return the id of the next thread, None where there is none yet. Raises WrongInstallation."""
        try:
            logs.bind()
            self._installation.require(_FRESH_SECONDS)
            return self._store.take(_TAKE_SECONDS)
        except WrongInstallation:
            raise
        except Unavailable as error:
            _log.warning("%s", error)
            time.sleep(_AGAIN_SECONDS)
            return None

    def _run(self, execution: Execution) -> bool:
        """Run the thread that was taken; return whether this horse may run another.

        The worker puts back a thread that is left here.
        """
        self._state.note(execution)
        logs.bind(thread=execution.thread_id)
        if not self._has_room():
            self._state.note_shortage()
        elif not self._state.stops:
            try:
                claim = self._claim(execution)
            except Unavailable:
                return False
            self._state.note_claims(self._installation.claims)
            if claim is not None:
                return self._begin(replace(execution, lease=claim.lease), claim)
            self._state.settle()
            return True
        return False

    def _begin(self, execution: Execution, claim: Claim) -> bool:
        try:
            process, values = self._read(claim)
        except LookupError as error:
            refusal = Outcome(Status.FAILED, str(error.args[0]))
            persistently(lambda: self._store.finish(claim.thread.id, claim.token, refusal))
            self._state.settle()
            return True
        is_alone = process.isolated or self._config.isolated
        if is_alone and self._runs:
            self._state.note(replace(execution, phase=Phase.PASSED_ON))
            return False
        if self._state.stops or steady() >= execution.sent + INTERRUPTED * claim.lease:
            return False
        limit = process.time_limit or self._config.time_limit
        execution = replace(execution, phase=Phase.BEGUN, began=steady(), limit=limit, killable=process.killable)
        self._state.note(execution)
        if limit < SHORT_SECONDS:
            self._wakeup.wake()
        self._runs += 1
        may_go_on = partial(self._may_go_on, is_alone)
        left, following = self._performer.perform(process, claim, values, execution, may_go_on)
        if following is not None:
            self._go_on(following, execution.number + 1)
        else:
            self._state.settle()
        if self._runs == 1:
            gc.collect()
            gc.freeze()  # What the first thread has loaded need not be looked through at the end of each.
        if left:
            _log.warning("Thread %s: %s left behind %s. Another horse takes over.", claim.thread.id, process.name, left)
        return following is not None or not (left or is_alone or self._is_used_up())

    def _may_go_on(self, is_alone: bool) -> bool:  # noqa: FBT001 (the one parameter)
        """Return whether to claim the next thread in the step that ends the last one, and note when that is sent."""
        self._sent = steady()
        if is_alone or self._state.stops or self._is_used_up() or not self._has_room():
            return False
        try:
            self._installation.require(_FRESH_SECONDS)
        except Unavailable:  # `_take` says so.
            return False
        return True

    def _go_on(self, claim: Claim, number: int) -> None:
        """Note that this horse has the next thread, which it begins in a moment."""
        execution = Execution(claim.thread.id, claim.token, number, Phase.TAKEN, sent=self._sent, lease=claim.lease)
        self._state.note(execution)
        self._state.note_claims(self._installation.claims)
        logs.bind(thread=execution.thread_id)
        self._next = execution, claim

    def _is_used_up(self) -> bool:
        return self._runs >= self._config.threads_per_horse or self._has_grown()

    def _has_room(self) -> bool:
        """Return whether the machine has room for the Python threads of a process; look now and then."""
        if (now := steady()) >= self._room_at:
            self._room_at = now + _ROOM_SECONDS
            return can_start_thread()
        return True

    def _claim(self, execution: Execution) -> Claim | None:
        """Return what the execution needs, None where it must not run; raise Unavailable once the worker stops."""
        is_logged = False
        while True:
            try:
                return self._store.claim(execution.thread_id, execution.token, self._state.worker)
            except Unavailable as error:
                # Redis may have carried it out, and then nobody else may have the thread before its lease runs out.
                if self._state.stops:
                    raise
                if not is_logged:
                    _log.warning("%s", error)
                    is_logged = True
                time.sleep(_AGAIN_SECONDS)

    def _read(self, claim: Claim) -> tuple[Process, dict[str, Any]]:
        """Return what to run. Raises LookupError with the reason why nothing can be."""
        call = read_call(claim.data)
        if call is None:
            raise LookupError("Its job's data cannot be read")
        process = self._registry.find(call.process)
        if process is None:
            raise LookupError(f"This worker knows no process named '{call.process}'")
        parameters = {parameter.name: parameter for parameter in process.parameters}
        # What is in Redis was read from a request once, but may have been changed there since.
        if not call.is_plain or not all(
            name in parameters and _fits(parameters[name], value) for name, value in call.values.items()
        ):
            raise LookupError(f"The job's data does not fit the process '{process.name}'")
        if claim.thread.is_damaged:  # Folders are named after the group and the member in it.
            raise LookupError(claim.thread.message)
        return process, call.values

    def _has_grown(self) -> bool:
        # The most that it ever used costs a thirtieth of the present use to ask for.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (_KIB if sys.platform == "linux" else 1)
        return most > self._most_memory and resident([os.getpid()]) > self._most_memory


def _fits(parameter: Parameter, value: Any) -> bool:
    """Return whether a request could have had this value."""
    return type(value) is parameter.kind and not parameter.objection(value)
