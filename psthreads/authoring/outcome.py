"""The outcome of a thread when its process's function ends: the same rules for a worker and for a test."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any, Final

from psthreads.authoring.context import Cancelled, Context, Interrupted, ShutDown, TimedOut
from psthreads.domain.errors import PsthreadsError
from psthreads.domain.model import Level, Outcome, Status

NOTHING: Final = object()
"""The value of `returned` for a function that has not returned."""


def conclude(context: Context, returned: Any, error: BaseException | None, limit: float) -> Outcome | None:
    """Decide how the thread ends, from what its function returned (or NOTHING) and raised (or None).

    Returns None if the thread must go back to the queue because its worker is stopping. `limit` is its time limit in
    seconds. Stops the context's interrupts, and logs an uncaught exception.
    """
    interrupt = context.stop_interrupts()
    if is_uncaught(error):
        trace = "".join(traceback.format_exception(error)).rstrip()
        context.log(f"Uncaught {type(error).__name__}: {error}", Level.ERROR, detail=trace)
    if isinstance(interrupt, TimedOut):
        return Outcome(Status.FAILED, f"Timed out after {limit:g} s")
    if isinstance(interrupt, ShutDown) and error is interrupt and returned is NOTHING:
        return None
    if isinstance(interrupt, Cancelled) and error is interrupt:
        return Outcome(Status.CANCELLED, "Cancelled")  # The store knows by whom.
    if isinstance(error, PsthreadsError) and returned is NOTHING:
        return Outcome(Status.FAILED, error.message)
    if error is not None and returned is NOTHING:
        return Outcome(Status.FAILED, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    return _judge(returned, context)


def is_uncaught(error: BaseException | None) -> bool:
    """Tell whether this is a fault of the process, and not an interrupt or an error with a message for people."""
    return error is not None and not isinstance(error, (Interrupted, PsthreadsError))


def _judge(returned: Any, context: Context) -> Outcome:
    if isinstance(returned, Outcome):
        # Only a request makes a thread `cancelled`.
        return replace(returned, status=Status.FAILED) if returned.status is Status.CANCELLED else returned
    if context.errors:
        default = f"Ended with {context.errors:,} error{'s' if context.errors > 1 else ''}"
        status = Status.FAILED
    elif context.warnings:
        default = f"Completed with {context.warnings:,} warning{'s' if context.warnings > 1 else ''}"
        status = Status.COMPLETED
    else:
        default = context.last_message or "Completed"
        status = Status.COMPLETED
    return Outcome(status, returned if isinstance(returned, str) and returned else default)
