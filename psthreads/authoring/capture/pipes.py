"""The pipes of one horse, and what its worker finds in them when it is dead."""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from select import PIPE_BUF
from typing import Final

from psthreads.authoring.capture.lines import OutputLines
from psthreads.domain.model import Level, Line, clean
from psthreads.system.output_pipe import OutputPipe

_LAST_LINES: Final = 2_000
_CLOCK: Final = struct.Struct("q")
_FATAL: Final = "Fatal Python error: "  # faulthandler's first words; a traceback follows


class OutputPipes:
    """The pipes of one horse: stdout, stderr, and the log records of its forks. Made before the fork."""

    def __init__(self) -> None:
        self.stdout, self.stderr, self.records = OutputPipe(), OutputPipe(), OutputPipe()
        self._clock = mmap.mmap(-1, _CLOCK.size)

    def __iter__(self) -> Iterator[OutputPipe]:
        return iter((self.stdout, self.stderr, self.records))

    def set_clock(self, base: int) -> None:
        """Note what the times of lines are ahead of the monotonic clock, in milliseconds."""
        _CLOCK.pack_into(self._clock, 0, base)

    def send_record(self, text: str, level: Level, detail: str) -> None:
        """Send a line of a fork to the process that runs the thread, which logs it."""
        data = _record(level, text, detail)
        while len(data) > PIPE_BUF:  # A longer one might be torn by another's.
            text, detail = f"{text[: len(text) // 2]}… [cut]", detail[len(detail) // 2 + 1 :]
            data = _record(level, text, detail)
        with suppress(OSError):
            os.write(self.records.writer, data)

    def last_lines(self) -> tuple[Line, ...]:
        """Return what a dead horse has written and not stored, the last 2,000 lines of it. For the worker."""
        base = _CLOCK.unpack_from(self._clock)[0] or (time.time_ns() - time.monotonic_ns()) // 1_000_000
        now = base + time.monotonic_ns() // 1_000_000
        lines: list[tuple[str, Level, str]] = []
        for pipe, level in ((self.records, None), (self.stdout, Level.INFO), (self.stderr, Level.WARN)):
            assembled = OutputLines()
            texts = assembled.feed(pipe.rest()) + assembled.end()
            fatal = next((place for place, text in enumerate(texts) if text.startswith(_FATAL)), None)
            if level is not None and fatal is not None:
                # A traceback is for administrators.
                texts, trace = texts[:fatal], texts[fatal:]
                lines += [*logged(texts, level), (trace[0], Level.ERROR, "\n".join(trace[1:]).strip("\n"))]
            else:
                lines += logged(texts, level)
        if (more := len(lines) - _LAST_LINES) > 0:
            lines[:more] = [(f"{more:,} lines of output are left out here", Level.WARN, "")]
        return tuple(Line(now, level, clean(text), clean(detail)) for text, level, detail in lines)

    def discard(self) -> None:
        """Forget what was written and not read."""
        for pipe in self:
            pipe.discard()

    def close_writers(self) -> None:
        """Close the writing ends. For the worker, after the fork."""
        for pipe in self:
            pipe.close_writer()

    def close(self) -> None:
        """Close the pipes."""
        for pipe in self:
            pipe.close()
        self._clock.close()


def logged(texts: Iterable[str], level: Level | None) -> Iterator[tuple[str, Level, str]]:
    """Yield lines of a log: with a level the texts, without one the records in them."""
    for text in texts:
        if level is not None:
            yield text, level, ""
            continue
        with suppress(ValueError):  # Another program may have written there.
            name, message, detail = json.loads(text)
            yield str(message), Level(name), str(detail)


def _record(level: Level, text: str, detail: str) -> bytes:
    return json.dumps([level, text, detail]).encode() + b"\n"
