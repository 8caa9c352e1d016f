"""Captures the stdout and stderr of the process that runs a thread, and of all that it starts, for the thread's log.

Whatever is written goes into pipes, which a Python thread of that process reads. The worker holds the pipes, too: when
the process is dead, it finds what was written last.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from select import select
from typing import Any, Final, Protocol

from psthreads.authoring.capture.lines import PARTIAL_SECONDS, OutputLines
from psthreads.authoring.capture.pipes import OutputPipes, logged
from psthreads.authoring.capture.records import handlers_on, is_handling
from psthreads.domain.model import Level, Line
from psthreads.system.output_pipe import OutputPipe

_READS: Final = 4  # in a row, of one pipe: a flood does not hold up the reports
_LAST_READS: Final = 16  # at the end; a program that outlives the process may go on writing
_FULL_SECONDS: Final = 0.05
_SPACE_SECONDS: Final = 0.005
_MANY_LINES: Final = 2_000
_MOST_LINES: Final = 20_000


class Sink(Protocol):
    """The receiver of the lines: the outbox of a thread."""

    lines: list[Line]

    @property
    def position(self) -> int:
        """The number of lines that were ever added."""

    @property
    def stored(self) -> int:
        """The number of them that the store has taken."""

    def log(self, text: str, level: Level, detail: str = "") -> None:
        """Add a line."""

    def flush_soon(self) -> None:
        """Have the lines written soon."""

    def make_space(self, is_ending: Callable[[], bool]) -> None:
        """Have the lines written; waits while there are too many."""


class OutputCapture:
    """Reads the pipes in the process that runs a thread.

    `sync` puts what was written before a line of the log before it. Within `deferral` no interrupt is raised.
    """

    def __init__(self, pipes: OutputPipes, sink: Sink, deferral: AbstractContextManager[None]) -> None:
        self._pipes = pipes
        self._sink = sink
        self._deferral = deferral
        self._records = _PipeSource(pipes.records, None)
        self._sources = (self._records, _PipeSource(pipes.stdout, Level.INFO), _PipeSource(pipes.stderr, Level.WARN))
        # Reentrant, since a finaliser may log while the lock is held; then `_is_draining`.
        self._lock = threading.RLock()
        self._is_draining = self._is_over = False
        self._wake_reader, self._wake_writer = os.pipe()
        self._synced = 0
        self.last_writer = 0
        """The descriptor that Python code has written to since the last reading, 0 for none."""

    def sync(self) -> None:
        """Log what was written before now."""
        now = time.monotonic_ns() // 1_000_000
        # What other programs write does not say so: once in a millisecond is often enough, as they take longer to end.
        if (self.last_writer or now != self._synced) and not self._is_over:
            self._synced = now
            with self._deferral:
                self._drain(_MOST_LINES)

    def _drain(self, most: int) -> None:
        with self._lock:
            if self._is_draining:
                return
            self._is_draining = True
            try:
                self.last_writer = 0
                for source in self._sources:
                    source.drain(self._sink, most)
            finally:
                self._is_draining = False

    def _read(self) -> None:
        while not self._is_over:
            readable = [source.pipe.reader for source in self._sources if source.is_readable(self._sink)]
            is_full = len(readable) < len(self._sources)
            if is_full:
                self._sink.flush_soon()
            select([*readable, self._wake_reader], [], [], _FULL_SECONDS if is_full else PARTIAL_SECONDS)
            self._drain(_MANY_LINES)
            if len(self._sink.lines) >= _MANY_LINES:
                # The pipes fill meanwhile, and whoever writes waits, too.
                self._sink.make_space(lambda: self._is_over)
                select([self._wake_reader], [], [], _SPACE_SECONDS)

    @contextmanager
    def captured(self, *, with_streams: bool) -> Iterator[None]:
        """Within the block, what is written into the pipes is logged, up to its end; stdout and stderr on request."""
        thread = threading.Thread(target=self._read, name="output", daemon=True)
        with ExitStack() as stack:
            stack.callback(self._finish, thread, os.getpid())
            if with_streams:
                for number, pipe in ((1, self._pipes.stdout), (2, self._pipes.stderr)):
                    stack.enter_context(self._redirected(number, pipe))
                faulthandler.enable(2)
            thread.start()
            yield

    def _finish(self, thread: threading.Thread, pid: int) -> None:
        if os.getpid() != pid:
            return  # A fork of the process came back here: the pipes' reader is its parent.
        self._is_over = True
        os.write(self._wake_writer, b".")
        thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        for source in self._sources:
            source.end(self._sink)

    @contextmanager
    def _redirected(self, number: int, pipe: OutputPipe) -> Iterator[None]:
        name = "stdout" if number == 1 else "stderr"
        flush()
        original = os.dup(number)
        os.dup2(pipe.writer, number)
        before = getattr(sys, name), getattr(sys, f"__{name}__")
        descriptor = _Descriptor(number, original, self)
        stream = io.TextIOWrapper(descriptor, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        try:
            # Handlers that log to the worker's own stderr go on to do so.
            with handlers_on(original, before):
                yield
        finally:
            flush()
            for attribute, value in zip((name, f"__{name}__"), before, strict=True):
                setattr(sys, attribute, value)
            os.dup2(original, number)
            descriptor.original = -1  # Whoever kept the stream must not write to what has this number next.
            os.close(original)


def flush() -> None:
    """Flush Python's stdout and stderr, which the process may have closed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, OSError, AttributeError):
            stream.flush()


class _Descriptor(io.FileIO):
    """The target of sys.stdout and sys.stderr: a pipe, or the worker's own output for the handlers of logging."""

    def __init__(self, number: int, original: int, output: OutputCapture) -> None:
        super().__init__(number, "w", closefd=False)
        self._number = number
        self.original = original
        self._output = output
        self._pid = os.getpid()

    def write(self, data: Any) -> int:
        """Write all of the data; an interrupt ends the wait for a pipe that is full."""
        view = memoryview(data).cast("B")
        if is_handling():
            with suppress(OSError):
                os.write(self.original, view)
            return len(view)
        if os.getpid() == self._pid:
            if self._output.last_writer not in {0, self._number}:
                self._output.sync()  # The other stream's lines come first.
            self._output.last_writer = self._number
        rest = view
        while rest:
            rest = rest[os.write(self._number, rest) :]
        return len(view)


class _PipeSource:
    """One pipe, and the lines that come of it. Records have their own level."""

    def __init__(self, pipe: OutputPipe, level: Level | None) -> None:
        self.pipe = pipe
        self._level = level
        self._lines = OutputLines()
        self._marks: deque[tuple[int, int]] = deque()  # positions in the sink and in the pipe

    def is_readable(self, sink: Sink) -> bool:
        """Return whether there is room to read more, after letting go of what is stored."""
        self._release(sink.stored)
        return not self.pipe.is_full

    def drain(self, sink: Sink, most: int) -> None:
        """Log the lines that are there, while fewer than `most` wait to be stored: those delay the thread's end."""
        self._release(sink.stored)
        for _ in range(_READS):
            if len(sink.lines) >= most or not (data := self.pipe.read()):
                break
            self._log(self._lines.feed(data), sink)
        self._log(self._lines.partial(), sink)
        self._marks.append((sink.position, self.pipe.position - self._lines.kept))

    def end(self, sink: Sink) -> None:
        """Log all that is left."""
        for _ in range(_LAST_READS):
            if self.pipe.is_full:
                self.pipe.release(self.pipe.position - self._lines.kept)
            if not (data := self.pipe.read()):
                break
            self._log(self._lines.feed(data), sink)
        self._log(self._lines.end(), sink)
        self.pipe.release(self.pipe.position)  # The process lives on, and writes its last reports.

    def _log(self, texts: Iterable[str], sink: Sink) -> None:
        for line in logged(texts, self._level):
            sink.log(*line)

    def _release(self, stored: int) -> None:
        position = -1
        while self._marks and self._marks[0][0] <= stored:
            position = self._marks.popleft()[1]
        if position >= 0:
            self.pipe.release(position)
