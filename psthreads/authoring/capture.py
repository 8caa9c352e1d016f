"""Takes what a process says in other ways than by its context: Python's logging and warnings, stdout and stderr.

For the operating system process that runs one thread: what is installed here is its alone.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from select import select
from typing import Final

from psthreads.domain.model import MAX_TEXT, Level

_PARTIAL_SECONDS: Final = 0.5  # a line without an end is taken for one after this time
_CHUNK: Final = 64 * 1024
_LAST_READS: Final = 100  # a program that was left behind and writes on is not read for ever


class LogHandler(logging.Handler):
    """Hands what any logger of the process is told to the thread's log.

    A warning or an error that is logged so is a line of the log, and not one that the thread counts. A
    traceback is for administrators only.
    """

    def __init__(self, log: Callable[[str, Level, str], None], level: str) -> None:
        super().__init__(level)
        self._log = log

    def createLock(self) -> None:  # noqa: N802 (the library's name)
        """No lock: an interrupt that came while one is held would leave it so, and none is needed here."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        try:
            text = f"{record.name}: {record.getMessage()}"
            detail = ""
            if record.exc_info and record.exc_info[0] is not None:
                detail = logging.Formatter().formatException(record.exc_info)
        except Exception:  # noqa: BLE001 (a record that cannot be formatted must not end the process)
            self.handleError(record)
            return
        self._log(text, level_of(record.levelno), detail)


def level_of(number: int) -> Level:
    """The level of a log's line for one of Python's logging."""
    if number >= logging.ERROR:
        return Level.ERROR
    if number >= logging.WARNING:
        return Level.WARN
    return Level.INFO if number >= logging.INFO else Level.DEBUG


@contextmanager
def logging_into(log: Callable[[str, Level, str], None], level: str) -> Iterator[None]:
    """Within the block, what any logger is told at this level or above goes to `log`, and warnings do, too."""
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
    """Within the block, what is written to stdout (INFO) and stderr (WARN) goes to `log`, line by line.

    Also what other programs write that the process starts. A line that has no end within half a second is
    taken as it is; one that is longer than a line of the log can be is taken in pieces.
    """
    streams = [_Stream(1, Level.INFO), _Stream(2, Level.WARN)]
    # What logs to stderr goes on to do so: it has its own way into the thread's log.
    kept = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    handlers = [
        handler
        for logger in (logging.getLogger(), *logging.Logger.manager.loggerDict.values())
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in {sys.stdout, sys.stderr}
    ]
    before = [(handler, handler.setStream(kept)) for handler in handlers]
    stop_read, stop_write = os.pipe()
    for stream in streams:
        stream.turn()
    reader = threading.Thread(target=_read, args=(streams, stop_read, log), name="output", daemon=True)
    reader.start()
    try:
        yield
    finally:
        for stream in streams:
            stream.turn_back()
        os.write(stop_write, b".")  # To close it would not do: a program that was left behind may have it, too.
        reader.join()
        os.close(stop_write)
        os.close(stop_read)
        for handler, old in before:
            handler.setStream(old)
        kept.close()


class _Stream:
    """A descriptor whose output is read by us for a while."""

    def __init__(self, fd: int, level: Level) -> None:
        self.level = level
        self.rest = b""
        self.fd = -1
        self._number = fd
        self._old = -1

    def turn(self) -> None:
        _flush()
        self._old = os.dup(self._number)
        self.fd, write = os.pipe()
        os.set_blocking(self.fd, False)
        os.dup2(write, self._number)
        os.close(write)

    def turn_back(self) -> None:
        _flush()
        os.dup2(self._old, self._number)
        os.close(self._old)

    def read(self) -> bool:
        """Take what is there; False at the end."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return True
        self.rest += chunk
        return bool(chunk)

    def lines(self, *, to_the_end: bool) -> Iterator[str]:
        """The lines that are whole, and with `to_the_end` also one that is not."""
        *whole, self.rest = self.rest.split(b"\n")
        while len(self.rest) > MAX_TEXT or (to_the_end and self.rest):
            whole.append(self.rest[:MAX_TEXT])
            self.rest = self.rest[MAX_TEXT:]
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, OSError):  # The process may have closed it.
            stream.flush()


def _read(streams: list[_Stream], stop: int, log: Callable[[str, Level], None]) -> None:
    living = list(streams)
    patience = _LAST_READS
    while living and patience:
        ready = select([*(stream.fd for stream in living), stop], [], [], _PARTIAL_SECONDS)[0]
        # What a program still holds open that outlives the process is not waited for.
        is_over = stop in ready
        patience -= is_over
        for stream in list(living):
            if stream.fd in ready and not stream.read():
                living.remove(stream)
            for line in stream.lines(to_the_end=not ready or stream not in living):
                log(line, stream.level)
        if is_over and not any(stream.fd in ready for stream in living):
            break
    for stream in streams:
        for line in stream.lines(to_the_end=True):
            log(line, stream.level)
        os.close(stream.fd)
