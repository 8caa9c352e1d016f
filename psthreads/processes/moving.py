"""Moves of many documents, each reported together with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from psthreads.authoring.context import Context
from psthreads.documents.group_documents import Moves
from psthreads.domain.errors import StorageFailed


def report_each(context: Context, moves: Moves, report: Callable[[str, str, Exception | None], None]) -> None:
    """Report each move with its two paths, and the error that is about it; no interrupt comes between the two.

    After an interrupt or a failure of the store, those that were on their way are reported, too.
    """
    try:
        while _report_next(context, moves, report):
            pass
    finally:
        moves.stop()
        with suppress(StorageFailed):  # It is the same one again.
            while _report_next(context, moves, report):
                pass


def _report_next(context: Context, moves: Moves, report: Callable[[str, str, Exception | None], None]) -> bool:
    with context.shield():
        if (moved := next(moves, None)) is None:
            return False
        (path, to), error = moved
        report(path, to, error)
    return True
