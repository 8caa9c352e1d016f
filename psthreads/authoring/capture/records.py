"""Captures Python's logging and warnings for the log of a thread.

Every record that a logger accepts is taken where the logger passes it to its handlers, whatever handlers there are: a
process may configure logging as it likes. What a handler then writes to stdout or stderr is no second line of the log.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from psthreads.domain.foreign import error_text, text_of, trace_of
from psthreads.domain.model import Level

_state: Final = threading.local()


def is_handling() -> bool:
    """Return whether a handler of logging is at work in this Python thread."""
    return bool(getattr(_state, "depth", 0))


@contextmanager
def logging_into(log: Callable[[str, Level, str], None], level: str) -> Iterator[None]:
    """Within the block, send the records of all loggers from this level on, and Python's warnings, to `log`.

    The thread does not count warnings and errors that are logged this way. A traceback is for administrators only.
    """
    root, lowest = logging.getLogger(), logging.getLevelNamesMapping()[level]
    pass_on, handle = logging.Logger.callHandlers, logging.Handler.handle

    def take(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= lowest:
            log(*_line(record))
        if logger.hasHandlers():  # Otherwise logging would write to stderr.
            pass_on(logger, record)

    def handle_aside(handler: logging.Handler, record: logging.LogRecord) -> object:
        stream = getattr(handler, "stream", None)
        if stream is not None and (stream is sys.stdout or stream is sys.stderr):
            stream.flush()  # What was printed without a line's end is no part of the record.
        depth = getattr(_state, "depth", 0)
        try:
            _state.depth = depth + 1
            return handle(handler, record)
        finally:
            _state.depth = depth

    before = root.level
    root.setLevel(min(before or logging.WARNING, lowest))
    logging.captureWarnings(True)
    logging.Logger.callHandlers = take  # type: ignore[method-assign,assignment]
    logging.Handler.handle = handle_aside  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        logging.Handler.handle = handle  # type: ignore[method-assign]
        logging.Logger.callHandlers = pass_on  # type: ignore[method-assign]
        logging.captureWarnings(False)
        root.setLevel(before)


def redirect_handlers(descriptor: int, streams: Collection[object]) -> None:
    """Have handlers that log to one of the streams log to the descriptor, as long as the process lives."""
    target = os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace")
    for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values()):
        for handler in logger.handlers if isinstance(logger, logging.Logger) else ():
            if isinstance(handler, logging.StreamHandler) and any(handler.stream is stream for stream in streams):
                handler.setStream(target)


def _line(record: logging.LogRecord) -> tuple[str, Level, str]:
    try:
        text = text_of(record.getMessage())
    except Exception as error:  # noqa: BLE001 (whatever the arguments do, the line is there)
        text = f"{text_of(record.msg)} [its arguments cannot be shown: {error_text(error)}]"
    raised = record.exc_info[1] if record.exc_info else None
    return f"{text_of(record.name)}: {text}", _level_of(record.levelno), "" if raised is None else trace_of(raised)


def _level_of(number: int) -> Level:
    if number >= logging.ERROR:
        return Level.ERROR
    if number >= logging.WARNING:
        return Level.WARN
    return Level.INFO if number >= logging.INFO else Level.DEBUG
