"""The work horse: the operating system process that is forked for one thread.

It runs the process's function, turns its result into one outcome, and writes that. The worker that forked it watches
from outside, and writes the outcome of a horse that could not.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.capture.records import logging_into
from psthreads.authoring.context import Context, ShutDown
from psthreads.authoring.ending import as_a_program
from psthreads.authoring.outcome import NOTHING, conclude, is_uncaught
from psthreads.authoring.parameter import Parameter
from psthreads.authoring.process import Process
from psthreads.authoring.registry import Registry
from psthreads.documents.installation import Installation
from psthreads.documents.layout import Documents
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable, WrongInstallation
from psthreads.domain.foreign import trace_of
from psthreads.domain.masking import Masker
from psthreads.domain.model import SERVER_WIDE, Level, Outcome, Ownership, Report, Status, clean
from psthreads.threads import jobs
from psthreads.threads.leases import CUT_OFF
from psthreads.threads.records import Claim
from psthreads.threads.store import ThreadStore
from psthreads.worker.execution_fence import ExecutionFence
from psthreads.worker.leftovers import end_leftovers
from psthreads.worker.shared_state import Execution, SharedState
from psthreads.worker.stop_request import StopRequest

T = TypeVar("T")

_AGAIN_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


class Horse:
    """Runs threads, one in each forked process."""

    def __init__(
        self, config: Config, store: ThreadStore, registry: Registry, installation: Installation, state: SharedState
    ) -> None:
        self._config = config
        self._store = store
        self._registry = registry
        self._state = state
        self._worker = os.getpid()
        self._installation = installation
        self._mask = Masker(config.mask)
        self.stop_request = StopRequest()

    def limits(self, claim: Claim) -> tuple[float, bool]:
        """Return how long the thread may run, in seconds, and whether it is killed when it does not stop in time."""
        call = jobs.read_call(claim.data)
        process = self._registry.find(call.process) if call else None
        if process is None:
            return self._config.time_limit, True
        return process.time_limit or self._config.time_limit, process.killable

    def run(self, claim: Claim, pipes: OutputPipes) -> None:
        """Run the thread to its end, and write how it ended. What it prints goes through the pipes."""
        thread_id, token = claim.thread.id, claim.token
        if self.stop_request.reason is ShutDown:
            # The worker is stopping, and the process has not begun: another worker can run the thread.
            persistently(lambda: self._store.abandon(thread_id, "Worker restarted", token, not_begun=True))
            return
        try:
            process, values = self._read(claim)
            context = self._context(claim)
        except (
            LookupError,
            WrongInstallation,
        ) as error:  # Its disk may have been unmounted since the thread was taken.
            refusal = Outcome(Status.FAILED, error.message if isinstance(error, WrongInstallation) else error.args[0])
            persistently(lambda: self._store.finish(thread_id, token, refusal))
            return
        outcome = self._perform(process, context, values, pipes)
        end_leftovers(context, self._worker)
        *earlier, last = context.close() or (None,)
        for report in filter(None, earlier):
            if persistently(partial(self._store.report_late, thread_id, token, report)) is Ownership.DISOWNED:
                return
        if outcome is None:
            why = CUT_OFF if self._state.is_cut_off else "Worker restarted"
            persistently(lambda: self._store.abandon(thread_id, why, token, report=last))
        else:
            persistently(lambda: self._store.finish(thread_id, token, outcome, report=last))

    @contextmanager
    def _captured(self, context: Context, pipes: OutputPipes) -> Iterator[None]:
        """Write what the process, and all that it starts, logs or prints to its thread's log."""

        def log(text: str, level: Level, detail: str = "") -> None:
            if context.is_own_process:
                context.log(text, level, detail=detail)
            else:
                pipes.send_record(text, level, detail)

        with (
            logging_into(log, self._config.log_level),
            context.captured(pipes, with_streams=self._config.capture_output),
        ):
            yield

    def _read(self, claim: Claim) -> tuple[Process, dict[str, Any]]:
        call = jobs.read_call(claim.data)
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

    def _context(self, claim: Claim) -> Context:
        thread = claim.thread
        group = Group(thread.group_id, thread.group_name) if thread.group_id != SERVER_WIDE else None
        fence = ExecutionFence(self._store, self._state, Execution(thread.id, claim.token))
        # The worker asks Redis, so that a Redis that hangs does not delay a process that rides it out.
        is_in_place = partial(self._installation.require, fresh=math.inf)
        documents = Documents(self._config.documents, is_in_place, fence)
        return Context(
            thread_id=thread.id,
            member=Member(thread.member_id, thread.username),
            group=group,
            folder=documents.group(group) if group else None,
            loading_zone=documents.loading_zone(group, thread.member_id) if group else None,
            results=documents.results(thread.group_id),
            scratch=documents.scratch,
            reporter=ToStore(self._store, thread.id, claim.token),
            redis_time=claim.redis_time,
            interval=self._config.report_interval,
            mask=self._mask,
            on_lost=self.stop_request.stop_here,
            guard=partial(fence.guard, self._worker),
            patience=self._config.grace / 2,
        )

    def _perform(
        self, process: Process, context: Context, values: dict[str, Any], pipes: OutputPipes
    ) -> Outcome | None:
        """Return how the process ended, None where the thread must be given back because its worker is stopping."""
        limit = process.time_limit or self._config.time_limit
        returned: Any = NOTHING
        error: BaseException | None = None
        try:
            with self._captured(context, pipes):
                try:
                    self.stop_request.listen(context)
                    context.start()
                    with as_a_program(context):
                        value = process.function(context, **values)
                    returned = value
                finally:
                    if not context.is_own_process:
                        _end_fork()
                    context.stop_interrupts()
                    context.clean_up()
                    sys.settrace(None)
                    sys.setprofile(None)
        except BaseException as raised:  # noqa: BLE001 (whatever a process raises, its thread must end)
            error = raised
        if error is not None and is_uncaught(error):
            _log.error("Thread %s: %s\n%s", context.thread_id, process.name, clean(trace_of(error)))
        return conclude(context, returned, error, limit)


def _end_fork() -> NoReturn:
    """End a child that the process forked and that came back, before anything of its parent's is put back."""
    error = sys.exception()
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            os.write(2, f"{clean(trace_of(error))}\n".encode(errors="replace"))
    finally:
        os._exit(code & 0xFF)


def _fits(parameter: Parameter, value: Any) -> bool:
    """Return whether a request could have had this value."""
    return type(value) is parameter.kind and not parameter.objection(value)


class ToStore:
    """A reporter that writes to the store, for one execution."""

    def __init__(self, store: ThreadStore, thread_id: str, token: str) -> None:
        self._store = store
        self._thread_id = thread_id
        self._token = token

    def report(self, report: Report) -> Ownership:
        """Write a report, and return whether the execution still owns the thread."""
        return self._store.report(self._thread_id, self._token, report)


def persistently(write: Callable[[], T]) -> T:
    """Call until Redis takes it, and return its result. Everything written so counts once, however often it is sent."""
    is_logged = False
    while True:
        try:
            return write()
        except Unavailable as error:
            if not is_logged:
                _log.warning("%s Trying again until it does.", error)
                is_logged = True
            time.sleep(_AGAIN_SECONDS)
