"""The lines about threads: one for each start, end, kill and requeue, with the same fields in each."""

from __future__ import annotations

import logging
from typing import Final

from psthreads.domain.model import Thread
from psthreads.telemetry import logs

_log: Final = logging.getLogger(__name__)


def are_read() -> bool:
    """Return whether somebody reads the lines: whether it is worth to look up what stands in them."""
    return _log.isEnabledFor(logging.INFO)


def accepted(thread: Thread) -> None:
    """Log that a thread was stored and waits for a worker."""
    _note(thread, "accepted")


def started(thread: Thread) -> None:
    """Log that an execution has begun."""
    _note(thread, "started", worker=thread.worker, **({"restart": thread.restarts} if thread.restarts else {}))


def ended(thread: Thread, status: str, seconds: float) -> None:
    """Log that a thread has ended. The seconds are those of its last execution, 0 where it never began."""
    _note(thread, "ended", status=status, seconds=seconds)


def killed(thread: Thread, reason: str, seconds: float) -> None:
    """Log that the process of an execution was killed, or died."""
    _note(thread, "killed", logging.WARNING, reason=reason, seconds=seconds)


def requeued(thread: Thread, why: str) -> None:
    """Log that a thread was put back into the queue."""
    _note(thread, "requeued", logging.WARNING, reason=why)


def _note(thread: Thread, event: str, level: int = logging.INFO, **more: object) -> None:
    if not _log.isEnabledFor(level):
        return
    logs.note(
        _log,
        f"Thread {event}",
        level,
        thread=thread.id,
        process=thread.process,
        group=thread.group_name,
        member=thread.username,
        **more,
    )
