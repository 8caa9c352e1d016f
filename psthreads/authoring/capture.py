"""Captures a process's other output for the thread's log: Python's logging and warnings, stdout and stderr.

For the operating system process that runs one thread: the handlers and descriptors serve that thread alone.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from select import select
from typing import Final

from psthreads.domain.foreign import error_text, text_of, trace_of
from psthreads.domain.model import MAX_TEXT, Level

_PARTIAL_SECONDS: Final = 0.5  # an incomplete line is logged after this time
_CHUNK: Final = 64 * 1024
_LAST_READS: Final = 100  # a program that outlives the process and keeps writing is not read for ever


class LogHandler(logging.Handler):
    """Passes the records of all loggers to the thread's log.

    The thread does not count warnings and errors that are logged this way. A traceback is for administrators only.
    """

    def __init__(self, log: Callable[[str, Level, str], None], level: str) -> None:
        super().__init__(level)
        self._log = log

    def createLock(self) -> None:  # noqa: N802 (the library's name)
        """Do without a lock: none is needed, and an interrupt could leave it locked."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        try:
            text = text_of(record.getMessage())
        except Exception as error:  # noqa: BLE001 (whatever the arguments do, the line is there)
            text = f"{text_of(record.msg)} [its arguments cannot be shown: {error_text(error)}]"
        raised = record.exc_info[1] if record.exc_info else None
        detail = trace_of(raised) if raised is not None else ""
        self._log(f"{text_of(record.name)}: {text}", level_of(record.levelno), detail)


def level_of(number: int) -> Level:
    """Convert a level of Python's logging."""
    if number >= logging.ERROR:
        return Level.ERROR
    if number >= logging.WARNING:
        return Level.WARN
    return Level.INFO if number >= logging.INFO else Level.DEBUG


@contextmanager
def logging_into(log: Callable[[str, Level, str], None], level: str) -> Iterator[None]:
    """Within the block, send the records of all loggers from this level on, and Python's warnings, to `log`."""
    root = logging.getLogger()
    handler = LogHandler(log, level)
    before = root.level
    root.addHandler(handler)
    root.setLevel(min(before or logging.WARNING, handler.level))
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(before)
        root.removeHandler(handler)


@contextmanager
def output_into(log: Callable[[str, Level], None]) -> Iterator[None]:
    """Within the block, send the lines of stdout (INFO) and stderr (WARN) to `log`.

    The output of programs that the process starts is included. A line that is incomplete after half a second is sent
    as it is; one that is too long for a line of the log is sent in pieces.
    """
    streams = [_Stream(1, Level.INFO), _Stream(2, Level.WARN)]
    # Handlers that log to stderr go on to do so: logging has its own way into the thread's log.
    stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    handlers = [
        handler
        for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values())
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in {sys.stdout, sys.stderr}
    ]
    before = [(handler, handler.setStream(stderr)) for handler in handlers]
    stop_read, stop_write = os.pipe()
    for stream in streams:
        stream.redirect()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # Python would keep what is printed until some kilobytes are full.
    reader = threading.Thread(target=_read, args=(streams, stop_read, log), name="output", daemon=True)
    reader.start()
    try:
        yield
    finally:
        for stream in streams:
            stream.restore()
        os.write(stop_write, b".")  # Closing it is not enough: a program that outlives the process may have it, too.
        reader.join()
        os.close(stop_write)
        os.close(stop_read)
        for handler, original in before:
            handler.setStream(original)
        stderr.close()


class _Stream:
    """A descriptor whose output goes into a pipe for a while."""

    def __init__(self, number: int, level: Level) -> None:
        self.level = level
        self.rest = b""
        self.fd = -1
        self._number = number
        self._original = -1

    def redirect(self) -> None:
        _flush()
        self._original = os.dup(self._number)
        self.fd, write = os.pipe()
        os.set_blocking(self.fd, False)
        os.dup2(write, self._number)
        os.close(write)

    def restore(self) -> None:
        _flush()
        os.dup2(self._original, self._number)
        os.close(self._original)

    def read(self) -> bool:
        """Read a chunk if there is one; False at the end."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return True
        self.rest += chunk
        return bool(chunk)

    def lines(self, *, incomplete: bool) -> Iterator[str]:
        """Yield the complete lines, and on request an incomplete one at the end."""
        *lines, self.rest = self.rest.split(b"\n")
        while len(self.rest) > MAX_TEXT or (incomplete and self.rest):
            lines.append(self.rest[:MAX_TEXT])
            self.rest = self.rest[MAX_TEXT:]
        for line in lines:
            yield line.rstrip(b"\r").decode(errors="replace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, OSError):  # The process may have closed it.
            stream.flush()


def _read(streams: list[_Stream], stop: int, log: Callable[[str, Level], None]) -> None:
    open_streams = list(streams)
    reads_left = _LAST_READS
    while open_streams and reads_left:
        ready = select([*(stream.fd for stream in open_streams), stop], [], [], _PARTIAL_SECONDS)[0]
        # A program that outlives the process may keep a pipe open: its end is not waited for.
        is_over = stop in ready
        reads_left -= is_over
        for stream in list(open_streams):
            if stream.fd in ready and not stream.read():
                open_streams.remove(stream)
            for line in stream.lines(incomplete=not ready or stream not in open_streams):
                log(line, stream.level)
        if is_over and not any(stream.fd in ready for stream in open_streams):
            break
    for stream in streams:
        for line in stream.lines(incomplete=True):
            log(line, stream.level)
        os.close(stream.fd)
