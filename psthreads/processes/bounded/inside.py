"""The child's side: it takes work from one pipe, and writes the answers into the other, in the same order."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Final, Protocol

from psthreads.authoring.children import confine_child
from psthreads.domain.access import Group
from psthreads.processes.bounded import frames
from psthreads.processes.bounded.files import AskedFiles, raise_refusal
from psthreads.processes.bounded.stage import StageBoard

OUT_OF_MEMORY: Final = 3
"""The exit status of a child that has reached its limit of memory."""

OUT_OF_HEAP: Final = 99
"""The same of a child in which Saxon ended it."""

COMPILE, CHECK = "compile", "check"  # what it is at

_SECONDS_KEPT: Final = 0.1  # for answers, until they are sent together
_BYTES_KEPT: Final = 32 * 1024
_LARGE: Final = 16 * 1024 * 1024
_BYTES_A_SECOND: Final = 1024 * 1024  # beyond those of a large document
_MOST_TEXT: Final = 1_000


class Unusable(Exception):
    """A schema or a stylesheet that the work needs cannot be used. The text says why, to end a sentence."""


class Work(Protocol):
    """The work of a child: made in it once, and asked for each piece."""

    def answer(self, fields: list[bytes]) -> Sequence[bytes]:
        """Return the answer to a piece of work. An exception is that piece's, and the next one follows."""


class Inside:
    """The child, as its work sees it: the group's files, and the naming of what it is at."""

    def __init__(self, group: Group, board: StageBoard, requests: int, responses: int, seconds: float) -> None:
        self.files = AskedFiles(group, self._ask)
        self.seconds = seconds
        self._board = board
        self._requests: BinaryIO = os.fdopen(requests, "rb", closefd=False)
        self._responses = responses
        self._waiting: deque[list[bytes]] = deque()
        self._answers: list[Sequence[bytes]] = []
        self._kept = 0
        self._sent = time.monotonic()

    def compiling(self, path: str) -> AbstractContextManager[None]:
        """Return a block that compiles what is at a path of the group, with as much time again as a check has."""
        return self._board.within(COMPILE, path, self.seconds)

    def applying(self, path: str) -> AbstractContextManager[None]:
        """Return a block that applies what is at a path of the group, within the time of the check."""
        return self._board.within(CHECK, path)

    def run(self, make: Callable[[Inside], Work], memory: int) -> int:
        """Work until the parent closes its end, and return the exit status."""
        try:
            _end_on_memory_error()
            keep = (self._requests.fileno(), self._responses)
            confinement = confine_child(memory, keep)
            self._serve(make, [name.encode() for name in sorted(confinement)])
        except MemoryError:
            return OUT_OF_MEMORY
        except EOFError:
            pass
        return 0

    def _serve(self, make: Callable[[Inside], Work], confinement: list[bytes]) -> None:
        try:
            with self.compiling(""):
                work = make(self)
        except Unusable as error:
            self._write(frames.pack(frames.UNUSABLE, [_short(error)]))
            return
        self._write(frames.pack(frames.READY, confinement))
        while True:
            while not self._waiting:
                self._waiting.append(self._read(frames.REQUESTS))
            for size, *fields in frames.taken_apart(self._waiting.popleft()):
                self._board.begin(CHECK, self.seconds + max(0, int(size) - _LARGE) / _BYTES_A_SECOND)
                self._keep(self._answer(work, fields))
            self._hand_over()

    def _answer(self, work: Work, fields: list[bytes]) -> Sequence[bytes]:
        try:
            answer = (frames.ANSWERED, *work.answer(fields))
        except (MemoryError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 (whatever a library raises, it is about this piece of work only)
            answer = (frames.FAILED, f"{type(error).__name__}: {_short(error).decode()}".encode())
        return answer

    def _keep(self, answer: Sequence[bytes]) -> None:
        self._answers.append(answer)
        self._kept += sum(map(len, answer))
        if self._kept > _BYTES_KEPT or time.monotonic() - self._sent > _SECONDS_KEPT:
            self._hand_over()

    def _hand_over(self) -> None:
        self._board.rest()
        self._flush()

    def _flush(self) -> None:
        if self._answers:
            self._write(frames.pack(frames.ANSWERS, frames.put_together(self._answers)))
            self._answers.clear()
        self._kept = 0
        self._sent = time.monotonic()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._responses, rest) :]

    def _read(self, *kinds: bytes) -> list[bytes]:
        """Return the fields of the next frame of these kinds; work that comes before is kept."""
        while True:
            kind, fields = frames.read(self._exactly)
            if kind == frames.REFUSAL:
                raise_refusal(*fields)
            if kind in kinds:
                return fields
            self._waiting.append(fields)

    def _exactly(self, size: int) -> bytes:
        data = self._requests.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _ask(self, question: Sequence[bytes]) -> list[bytes]:
        with self._board.waiting():
            self._flush()
            self._write(frames.pack(frames.ASK, question))
            return self._read(frames.REPLY)


def _short(error: Exception) -> bytes:
    return str(error)[:_MOST_TEXT].encode(errors="replace")


def _end_on_memory_error() -> None:
    """Exit on every MemoryError: libraries would go on without memory, and report that over and over."""
    faulthandler.disable()

    def end(kind: type[BaseException] | None) -> None:
        if kind is not None and issubclass(kind, MemoryError):
            os._exit(OUT_OF_MEMORY)

    def unraisable(raised: Any) -> None:
        end(raised.exc_type)

    sys.excepthook = lambda kind, *_: end(kind)
    sys.unraisablehook = unraisable
