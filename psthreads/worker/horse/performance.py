"""One execution in a horse: calls the process's function, turns its result into one outcome, and writes that."""

from __future__ import annotations

import contextvars
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

from redis import Redis

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.capture.records import logging_into
from psthreads.authoring.capture.streams import OutputCapture
from psthreads.authoring.context import Context
from psthreads.authoring.ending import as_a_program
from psthreads.authoring.outcome import NOTHING, conclude, is_uncaught
from psthreads.authoring.process import Process
from psthreads.authoring.reporting import ReportWriter
from psthreads.database.connection import descriptors
from psthreads.documents.installation import Installation
from psthreads.documents.layout import connections, open_storage
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable, WrongInstallation
from psthreads.domain.foreign import trace_of
from psthreads.domain.masking import Masker
from psthreads.domain.model import SERVER_WIDE, Level, Outcome, Ownership, Report, Status, clean
from psthreads.system.clock import steady
from psthreads.telemetry import spans, trace_context
from psthreads.threads.leases import CUT_OFF
from psthreads.threads.records import Claim
from psthreads.threads.store import ThreadStore
from psthreads.worker.horse.execution_fence import ExecutionFence
from psthreads.worker.horse.leftovers import end_leftovers
from psthreads.worker.horse.process_state import ProcessState, forget_event_loops
from psthreads.worker.shared_state import Execution, Phase, SharedState
from psthreads.worker.stop_request import StopRequest

T = TypeVar("T")

_AGAIN_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


class Performer:
    """Performs one execution after the other. It is made in the horse, and redirects its output and logging."""

    def __init__(
        self,
        redis: Redis,
        config: Config,
        store: ThreadStore,
        installation: Installation,
        state: SharedState,
        stop_request: StopRequest,
        pipes: OutputPipes,
    ) -> None:
        self._config = config
        self._store = store
        self._installation = installation
        self._state = state
        self._stop_request = stop_request
        self._pipes = pipes
        self._mask = Masker(config.mask)
        self._context_of_call: Context | None = None
        self._writer = ReportWriter(config.report_interval)
        self._output = OutputCapture(pipes)
        self._lasting = ExitStack()  # blocks that last as long as the process
        self._lasting.enter_context(logging_into(self._log_line, config.log_level))
        self._output.start(with_streams=config.capture_output)
        self._writer.serve(None)
        # The last: it knows what was made before.
        self._pristine = ProcessState(lambda: descriptors(redis) | connections(config))

    def perform(
        self,
        process: Process,
        claim: Claim,
        values: dict[str, Any],
        execution: Execution,
        may_go_on: Callable[[], bool],
    ) -> tuple[str, Claim | None]:
        """Run the thread to its end, and write how it ended; return what it left behind, empty for nothing.

        Where it left nothing and `may_go_on` returns True, claim the next thread in the same step, and return it.
        """
        finish = partial(self._store.finish, claim.thread.id, claim.token)
        try:
            context, documents = self._context(claim, execution)
        except WrongInstallation as error:  # Its disk was unmounted since the thread was taken.
            refusal = Outcome(Status.FAILED, error.message)
            persistently(lambda: finish(refusal))
            return "", None
        outcome = self._call(process, context, values, execution, documents)
        if end_leftovers(context):
            self._pipes.discard()  # What a program wrote after the function's end must not reach the next thread.
        context.stop_writing()
        self._state.note(replace(execution, phase=Phase.ENDING))
        left = "; ".join(self._pristine.left())
        if left:
            context.log(f"Left behind: {left}; its worker process is replaced")
        *reports, last = context.close() or (None,)
        for report in reports:
            if (
                persistently(partial(self._store.report_late, claim.thread.id, claim.token, report))
                is Ownership.DISOWNED
            ):
                return left, None
        if outcome is None:
            why = CUT_OFF if steady() >= self._state.cut_at(execution.number) else "Worker restarted"
            persistently(lambda: self._store.abandon(claim.thread.id, why, claim.token, report=last))
        elif not left and may_go_on():
            write = partial(self._store.finish_and_claim, claim.thread.id, claim.token, outcome, self._state.worker)
            return left, persistently(lambda: write(report=last))
        else:
            persistently(lambda: finish(outcome, report=last))
        return left, None

    def _context(self, claim: Claim, execution: Execution) -> tuple[Context, Storage]:
        thread = claim.thread
        group = Group(thread.group_id, thread.group_name) if thread.group_id != SERVER_WIDE else None
        fence = ExecutionFence(self._store, self._state, execution)
        guard = _PlaceCheck(self._installation)
        documents = open_storage(self._config, guard, fence)
        context = Context(
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
            on_lost=self._stop_request.stop_here,
            guard=fence.guard,
            patience=self._config.grace / 2,
            xml_endings=self._config.xml_endings,
            writer=self._writer,
            traceparent=spans.span_of(thread),
        )
        guard.is_open = False
        return context, documents

    def _call(
        self, process: Process, context: Context, values: dict[str, Any], execution: Execution, documents: Storage
    ) -> Outcome | None:
        """Return how the process ended, None where the thread must be given back because its worker is stopping."""
        returned: Any = NOTHING
        error: BaseException | None = None
        if context.traceparent:
            os.environ[trace_context.ENVIRONMENT] = context.traceparent
        try:
            self._pipes.set_clock(context.clock_base)
            with context.captured(self._output):
                try:
                    self._context_of_call = context
                    self._stop_request.listen(execution.number, context)
                    context.start()
                    with as_a_program(context, has_files=self._pristine.may_have_files):
                        value = contextvars.Context().run(process.function, context, **values)
                    documents.settle()
                    returned = value
                finally:
                    if not context.is_own_process:
                        _end_fork()
                    context.stop_interrupts()
                    self._stop_request.end()
                    documents.abandon()
                    context.clean_up()
                    os.environ.pop(trace_context.ENVIRONMENT, None)
                    self._context_of_call = None
                    sys.settrace(None)
                    sys.setprofile(None)
                    forget_event_loops()
        except BaseException as raised:  # noqa: BLE001 (whatever a process raises, its thread must end)
            error = raised
        if error is not None and is_uncaught(error):
            _log.error("Thread %s: %s\n%s", context.thread_id, process.name, clean(trace_of(error)))
        return conclude(context, returned, error, execution.limit)

    def _log_line(self, text: str, level: Level, detail: str = "") -> None:
        """Write a record of logging to the log of the thread whose function runs, if one does."""
        if (context := self._context_of_call) is None:
            return
        if context.is_own_process:
            context.log(text, level, detail=detail)
        else:
            self._pipes.send_record(text, level, detail)


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


class _PlaceCheck:
    """Raises WrongInstallation where the documents are not in place: looked up once while it is open, then each time.

    Redis is not asked, so that one that hangs does not delay a process that rides it out: the horse asks before it
    takes a thread.
    """

    def __init__(self, installation: Installation) -> None:
        self._require = partial(installation.require, fresh=math.inf)
        self._require()
        self.is_open = True

    def __call__(self) -> None:
        if not self.is_open:
            self._require()


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
