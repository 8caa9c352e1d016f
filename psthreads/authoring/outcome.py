"""The outcome of a thread when its process's function ends: the same rules for a worker and for a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from psthreads.authoring import returned as values
from psthreads.authoring.context import Cancelled, Context, Interrupted, ShutDown, TimedOut
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.foreign import error_text, is_a, text_of, trace_of
from psthreads.domain.model import Level, Outcome, Status
from psthreads.system.memory import shortage

NOTHING: Final = object()
"""The value of `returned` for a function that has not returned."""


def conclude(context: Context, returned: Any, error: BaseException | None, limit: float) -> Outcome | None:
    """Decide how the thread ends, from what its function returned (or NOTHING) and raised (or None).

    Returns None if the thread must go back to the queue because its worker is stopping. `limit` is its time limit in
    seconds. Stops the context's interrupts, and logs an uncaught exception.
    """
    interrupt = context.stop_interrupts()
    if error is not None and returned is NOTHING and not isinstance(interrupt, TimedOut):
        return _failure(error, interrupt)
    if error is not None and is_uncaught(error):
        context.log(f"Uncaught {error_text(error)}", Level.ERROR, detail=trace_of(error))
    if isinstance(interrupt, TimedOut):
        return Outcome(Status.FAILED, f"Timed out after {limit:g} s")
    if isinstance(interrupt, Cancelled) and error is interrupt:
        return Outcome(Status.CANCELLED, "Cancelled")  # The store knows by whom.
    return _judge(returned, context)


def is_uncaught(error: BaseException | None) -> bool:
    """Tell whether this is a fault of the process, and not an interrupt or an error with a message for people."""
    return error is not None and not is_a(error, Interrupted) and not is_a(error, PsthreadsError)


def _failure(error: BaseException, interrupt: Interrupted | None) -> Outcome | None:
    if interrupt is not None and _is_only(error, interrupt):
        # The store knows by whom.
        return None if isinstance(interrupt, ShutDown) else Outcome(Status.CANCELLED, "Cancelled")
    if is_uncaught(error):
        message = shortage() if is_a(error, MemoryError) else error_text(error)
        return Outcome(Status.FAILED, message, trace=trace_of(error))
    return Outcome(Status.FAILED, text_of(error) or type(error).__name__)


def _is_only(error: BaseException, interrupt: Interrupted) -> bool:
    """Return whether the error is the interrupt, or a group of nothing else, as a task group makes one."""
    try:
        return error is interrupt or (
            isinstance(error, BaseExceptionGroup) and error.split(lambda leaf: leaf is interrupt)[1] is None
        )
    except BaseException:  # noqa: BLE001 (the group may be of a class of the process's own)
        return False


def _judge(returned: Any, context: Context) -> Outcome:
    if sentence := values.undone(returned):
        return Outcome(Status.FAILED, sentence)
    if is_a(returned, Outcome):
        # Only a request makes a thread `cancelled`.
        status = Status.FAILED if returned.status is Status.CANCELLED else returned.status
        return replace(returned, status=status, result=_kept(returned.result, context))
    text = text_of(returned) if is_a(returned, str) else ""
    result = None if is_a(returned, str) else _kept(returned, context)
    if context.errors:
        default = f"Ended with {context.errors:,} error{'s' if context.errors > 1 else ''}"
        status = Status.FAILED
    elif context.warnings:
        default = f"Completed with {context.warnings:,} warning{'s' if context.warnings > 1 else ''}"
        status = Status.COMPLETED
    else:
        default = context.last_message or "Completed"
        status = Status.COMPLETED
    return Outcome(status, text or default, result)


def _kept(value: Any, context: Context) -> Any:
    """Return the value as it is stored; None, after a warning, for one that cannot be."""
    try:
        return values.plain(value, context.mask)
    except ValueError as error:
        # The work is done: a failed thread would be started again for nothing.
        context.warning(f"What the function returned is not kept as the thread's result: {error}.")
        return None
