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
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from select import select
from typing import Any, Final, Protocol

from psthreads.authoring.capture.lines import PARTIAL_SECONDS, OutputLines
from psthreads.authoring.capture.pipes import OutputPipes, logged
from psthreads.authoring.capture.records import is_handling, redirect_handlers
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

    on_stored: Callable[[], None]
    """Called once the store has taken lines."""

    def log(self, text: str, level: Level, detail: str = "") -> None:
        """Add a line."""

    def flush_soon(self) -> None:
        """Have the lines written soon."""

    def make_space(self, is_ending: Callable[[], bool]) -> None:
        """Have the lines written; waits while there are too many."""


class OutputCapture:
    """Reads the pipes in the process that runs threads, for one sink after the other.

    `sync` puts what was written before a line of the log before it. Within the `deferral` no interrupt is raised.
    """

    def __init__(self, pipes: OutputPipes) -> None:
        self._pipes = pipes
        self._sink: Sink | None = None
        self._deferral: AbstractContextManager[None] = nullcontext()
        self._sources: tuple[_PipeSource, ...] = ()
        # Reentrant, since a finaliser may log while the lock is held; then `_is_draining`.
        self._lock = threading.RLock()
        self._is_draining = False
        self._synced = 0
        self._streams: tuple[Any, ...] = ()
        self.last_writer = 0
        """The descriptor that Python code has written to since the last reading, 0 for none."""

    def start(self, *, with_streams: bool) -> None:
        """Read from now on, as long as the process lives: its forks' records; stdout and stderr on request."""
        if with_streams:
            self._streams = tuple(
                self._redirect(number, pipe) for number, pipe in ((1, self._pipes.stdout), (2, self._pipes.stderr))
            )
            faulthandler.enable(2)
        threading.Thread(target=self._read, name="output", daemon=True).start()

    @contextmanager
    def captured(self, sink: Sink, deferral: AbstractContextManager[None]) -> Iterator[None]:
        """Within the block, what is written is logged to this sink, up to its end."""
        pid = os.getpid()
        sources = (
            _PipeSource(self._pipes.records, None),
            _PipeSource(self._pipes.stdout, Level.INFO),
            _PipeSource(self._pipes.stderr, Level.WARN),
        )
        with self._lock:
            self._sources, self._sink, self._deferral = sources, sink, deferral
        # At once: what the store has and the pipes have is logged twice where the process is killed.
        sink.on_stored = self._release
        try:
            yield
        finally:
            if os.getpid() == pid:  # Else a fork of the process came back here: the pipes' reader is its parent.
                flush(*self._streams, sys.stdout, sys.stderr)
                with self._lock:
                    self._sources, self._sink, self._deferral = (), None, nullcontext()
                    for source in sources:
                        source.end(sink)

    def sync(self) -> None:
        """Log what was written before now."""
        now = time.monotonic_ns() // 1_000_000
        # What other programs write does not say so: once in a millisecond is often enough, as they take longer to end.
        if self.last_writer or now != self._synced:
            self._synced = now
            with self._deferral:
                self._drain(_MOST_LINES)

    def _release(self) -> None:
        """Let go of what is stored."""
        with self._lock:
            if (sink := self._sink) is not None:
                for source in self._sources:
                    source.release(sink.stored)

    def _drain(self, most: int) -> None:
        with self._lock:
            if self._is_draining or (sink := self._sink) is None:
                return
            self._is_draining = True
            try:
                self.last_writer = 0
                for source in self._sources:
                    source.drain(sink, most)
            finally:
                self._is_draining = False

    def _read(self) -> None:
        pipes = [pipe.reader for pipe in self._pipes]
        while True:
            sink, sources = self._sink, self._sources
            if sink is None:  # What is written between two threads is for neither.
                select(pipes, [], [], PARTIAL_SECONDS)
                if self._sink is None:
                    time.sleep(_SPACE_SECONDS)
                    continue
                sink, sources = self._sink, self._sources
            with self._lock:
                readable = [source.pipe.reader for source in sources if source.is_readable(sink)]
            is_full = len(readable) < len(sources)
            if is_full:
                sink.flush_soon()
            select(readable, [], [], _FULL_SECONDS if is_full else PARTIAL_SECONDS)
            self._drain(_MANY_LINES)
            if len(sink.lines) >= _MANY_LINES:
                # The pipes fill meanwhile, and whoever writes waits, too.
                sink.make_space(lambda: self._sink is not sink)  # noqa: B023 (called at once)
                time.sleep(_SPACE_SECONDS)

    def _redirect(self, number: int, pipe: OutputPipe) -> io.TextIOWrapper:
        name = "stdout" if number == 1 else "stderr"
        flush(sys.stdout, sys.stderr)
        original = os.dup(number)
        os.dup2(pipe.writer, number)
        before = getattr(sys, name), getattr(sys, f"__{name}__")
        stream = io.TextIOWrapper(
            _Descriptor(number, original, self), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        # Handlers that log to the worker's own stderr go on to do so.
        redirect_handlers(original, before)
        return stream


def flush(*streams: Any) -> None:
    """Flush streams, which the process may have closed."""
    for stream in streams:
        with suppress(ValueError, OSError, AttributeError):
            stream.flush()


class _Descriptor(io.FileIO):
    """The target of sys.stdout and sys.stderr: a pipe, or the worker's own output for the handlers of logging."""

    def __init__(self, number: int, original: int, output: OutputCapture) -> None:
        super().__init__(number, "w", closefd=False)
        self._number = number
        self._original = original
        self._output = output
        self._pid = os.getpid()

    def write(self, data: Any) -> int:
        """Write all of the data; an interrupt ends the wait for a pipe that is full."""
        view = memoryview(data).cast("B")
        if is_handling():
            with suppress(OSError):
                os.write(self._original, view)
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
        self.release(sink.stored)
        return not self.pipe.is_full

    def drain(self, sink: Sink, most: int) -> None:
        """Log the lines that are there, while fewer than `most` wait to be stored: those delay the thread's end."""
        self.release(sink.stored)
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

    def release(self, stored: int) -> None:
        """Let go of what the lines up to this position in the sink were made of."""
        position = -1
        while self._marks and self._marks[0][0] <= stored:
            position = self._marks.popleft()[1]
        if position >= 0:
            self.pipe.release(position)
