"""The end of a thread whose horse could not write it, from what the worker saw of the horse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.authoring.interrupts import WAKE
from psthreads.domain.model import Outcome, Report, Status
from psthreads.threads.leases import CUT_OFF
from psthreads.threads.store import ThreadStore
from psthreads.worker.cause_of_death import cause_of_death
from psthreads.worker.deadline import Deadline

RESTARTED: Final = "Worker restarted"
"""Why a thread is given up whose worker is stopping."""

_REASONS: Final[dict[type[Interrupted], str]] = {Cancelled: "cancelled", TimedOut: "timeout", ShutDown: "shutdown"}
_LAST_REPORT: Final = 2**40  # of an execution: the horse, which counts its reports, is dead


def settle(
    store: ThreadStore, deadline: Deadline, code: int, shortage: str, pipes: OutputPipes
) -> Callable[[], object]:
    """Return the write that ends the thread of a horse that has ended with this code; without effect where it did so.

    It also gives back the thread that the horse may have claimed in the step that ended its own. It may be called
    again. `shortage` is the sentence about too much memory, or empty.
    """
    end = _end(store, deadline, code, shortage, pipes)
    token = deadline.execution.token

    def write() -> None:
        end()
        if deadline.execution.has_begun:
            store.give_back_next(token, RESTARTED)

    return write


def _end(store: ThreadStore, deadline: Deadline, code: int, shortage: str, pipes: OutputPipes) -> Callable[[], object]:
    execution = deadline.execution
    thread_id, token = execution.thread_id, execution.token
    if not execution.has_begun and code <= 0:
        return partial(_put_back, store, thread_id, token)
    lines = pipes.last_lines()
    report = Report(_LAST_REPORT, lines=lines) if lines else None
    # A process that gave our signal its default handler is ended by the request itself.
    was_ended = deadline.was_killed or (deadline.reason is not None and code == -WAKE)
    if deadline.reason is ShutDown and was_ended:
        why = CUT_OFF if deadline.is_cut_off else RESTARTED
        return partial(store.abandon, thread_id, why, token, report=report)
    detail = ""
    if deadline.was_killed:
        detail = "It was killed, as was asked" if deadline.is_forced else "It did not stop in time and was killed"
    is_late = deadline.reason is TimedOut and was_ended
    message = f"Timed out after {execution.limit:g} s" if is_late else shortage or cause_of_death(code)
    return partial(store.finish, thread_id, token, Outcome(Status.FAILED, message), detail, report)


def reason_of_death(deadline: Deadline, code: int, shortage: str) -> str:
    """Return in a word why a horse died at an execution, from a few words; empty where it did not."""
    if not deadline.execution.has_begun or code == 0:
        return ""
    if shortage:
        return "memory"
    if deadline.was_killed or (deadline.reason is not None and code == -WAKE):
        if deadline.is_forced:
            return "forced"
        if deadline.is_cut_off or deadline.reason is None:
            return "lease"
        return _REASONS[deadline.reason]
    return "exit" if code > 0 else "signal"


def _put_back(store: ThreadStore, thread_id: str, token: str) -> None:
    """Put a thread whose function was not called back at the head of the queue, whether it is claimed or only taken."""
    if not store.abandon(thread_id, RESTARTED, token, not_begun=True):
        store.recover(thread_id)
