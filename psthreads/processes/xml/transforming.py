"""Transforms documents in an operating system process of its own, which may take too long, too much, or crash.

libxslt runs in C, where nothing can interrupt it. So the documents are transformed in a forked child that is given
a limit of time for each and one of memory, and that is replaced when it dies. Paths go to it by one pipe, and
outputs come back by another, in the same order.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import struct
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from psthreads.authoring.children import fork_child
from psthreads.authoring.context import Context
from psthreads.documents.layout import Document, GroupFolder
from psthreads.domain.errors import PsthreadsError
from psthreads.processes.xml.includes import Unusable
from psthreads.processes.xml.stylesheet import NotTransformed, Output, Stylesheet

SECONDS: Final = 30.0
"""How long one document may take."""

MEMORY: Final = 1024 * 1024 * 1024
"""Bytes that the transformations may need, over what the process has at its start."""

_LARGEST: Final = 32 * 1024 * 1024  # bytes of one document
_BATCH: Final = 32  # documents asked for at once
_BATCH_BYTES: Final = 8 * 1024  # two batches fit into a pipe, so that asking never has to wait
_AHEAD: Final = 2  # batches
_OUT_OF_MEMORY: Final = 3  # exit status

_HEAD: Final = struct.Struct("<cI")  # what kind of answer, and how many bytes of it follow
_READY, _UNUSABLE, _MESSAGE, _ENDING, _CONTENT, _PROBLEM = b"R", b"U", b"M", b"E", b"C", b"P"


@dataclass(frozen=True, slots=True)
class Transformed:
    """A document and its output, or else the problem there was."""

    document: Document
    output: Output | None
    problem: str = ""


class Transformer:
    """Transforms documents by one stylesheet. Raises Unusable when the stylesheet cannot be used.

    The child ends with the process's function, however that is left.
    """

    def __init__(self, context: Context, stylesheet: str, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._context = context
        self._stylesheet = stylesheet
        self._seconds = seconds
        self._memory = memory
        self._pid = 0
        self._ask: BinaryIO
        self._answers: BinaryIO
        context.cleanup(self.stop)
        self._start()

    def transform(self, documents: Iterable[Document]) -> Iterator[Transformed]:
        """What becomes of each document, in their order."""
        batches = _batches(documents)
        asked: deque[deque[Document]] = deque()
        while True:
            while len(asked) < _AHEAD and (batch := next(batches, None)):
                self._send(batch)
                asked.append(batch)
            if not asked:
                return
            document = asked[0][0]
            try:
                answer = self._receive(document)
            except EOFError:
                answer = Transformed(document, None, self._died())
            asked[0].popleft()
            if not asked[0]:
                asked.popleft()
            if not self._pid:
                self._start()
                for batch in asked:
                    self._send(batch)
            yield answer

    def stop(self) -> None:
        """End the child at once, if there is one."""
        with self._context.shield():
            if self._pid:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                self._wait()

    # Inside.

    def _start(self) -> None:
        with self._context.shield():
            requests, ask = os.pipe()
            answers, answer = os.pipe()
            child = _Child(self, requests, answer)
            self._pid = fork_child(lambda: child.run((ask, answers)))
            os.close(requests)
            os.close(answer)
            self._ask, self._answers = os.fdopen(ask, "wb", 0), os.fdopen(answers, "rb")
        try:
            kind, text = _read(self._answers)
        except EOFError:
            raise Unusable(self._died()) from None
        if kind == _UNUSABLE:
            raise Unusable(text.decode())

    def _send(self, batch: Iterable[Document]) -> None:
        paths = "\0".join(f"{document.path}\0{document.size}" for document in batch).encode()
        # One that died is noticed when its answer does not come.
        with suppress(BrokenPipeError):
            self._ask.write(_HEAD.pack(_CONTENT, len(paths)) + paths)

    def _receive(self, document: Document) -> Transformed:
        messages: list[str] = []
        ending = ""
        while True:
            kind, data = _read(self._answers)
            if kind == _CONTENT:
                return Transformed(document, Output(data, ending, messages))
            if kind == _PROBLEM:
                return Transformed(document, None, data.decode())
            if kind == _MESSAGE:
                messages.append(data.decode())
            else:
                ending = data.decode()

    def _died(self) -> str:
        """Why the child is gone."""
        code = self._wait()
        if code == -signal.SIGALRM:
            return f"it took longer than {self._seconds:g} s"
        if code == _OUT_OF_MEMORY:
            return f"it needs more than {self._memory // 1024 // 1024:,} MiB of memory"
        if code < 0:
            return f"its transformation crashed by signal {-code} ({signal.strsignal(-code)})"
        return f"its transformation ended with exit code {code}"

    def _wait(self) -> int:
        with self._context.shield():
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            self._ask.close()
            self._answers.close()
        return os.waitstatus_to_exitcode(status)


class _Child:
    """The forked process. Nothing of its parent's but the group's folder is used in it."""

    def __init__(self, transformer: Transformer, requests: int, answers: int) -> None:
        self._folder: GroupFolder = transformer._context.folder  # noqa: SLF001 (its other half)
        self._path = transformer._stylesheet  # noqa: SLF001 (as above)
        self._seconds = transformer._seconds  # noqa: SLF001 (as above)
        self._memory = transformer._memory  # noqa: SLF001 (as above)
        self._requests = os.fdopen(requests, "rb", closefd=False)
        self._fd = answers

    def run(self, others: Iterable[int]) -> int:
        """Transform until there is nothing more to do, and return the exit status; `others` are the parent's ends."""
        try:
            for fd in others:
                os.close(fd)
            _say_nothing()
            self._limit()
            with self._folder.keeping_folder():
                self._serve()
        except MemoryError:
            return _OUT_OF_MEMORY
        return 0

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + self._memory
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))

    def _serve(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            stylesheet = Stylesheet(self._folder, self._path)
        except Unusable as error:
            self._answer((_UNUSABLE, str(error).encode()))
            return
        self._answer((_READY, b""))
        while True:
            try:
                _, data = _read(self._requests)
            except EOFError:
                return
            asked = data.decode().split("\0")
            for path, size in zip(asked[::2], asked[1::2], strict=True):
                signal.setitimer(signal.ITIMER_REAL, self._seconds)
                self._answer(*self._transform(stylesheet, path, int(size)))

    def _transform(self, stylesheet: Stylesheet, path: str, size: int) -> list[tuple[bytes, bytes]]:
        try:
            output = stylesheet.transform(self._read(path, size), path)
        except NotTransformed as error:
            return [(_PROBLEM, str(error).encode())]
        except (PsthreadsError, OSError):
            return [(_PROBLEM, b"it is gone, or can no longer be read")]
        parts = [(_MESSAGE, message.encode()) for message in output.messages]
        return [*parts, (_ENDING, output.ending.encode()), (_CONTENT, output.content)]

    def _read(self, path: str, size: int) -> bytes:
        data = self._folder.read(path, min(size, _LARGEST) + 1)
        if size < len(data) <= _LARGEST:  # It grew since it was found.
            data = self._folder.read(path, _LARGEST + 1)
        if len(data) > _LARGEST:
            raise NotTransformed(f"it is larger than {_LARGEST // 1024 // 1024} MiB")
        return data

    def _answer(self, *parts: tuple[bytes, bytes]) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)  # Whoever reads this may take their time.
        data = memoryview(b"".join(_HEAD.pack(kind, len(part)) + part for kind, part in parts))
        while data:
            data = data[os.write(self._fd, data) :]


def _say_nothing() -> None:
    """End at once where lxml would go on without memory and tell stderr so, over and over."""
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)

    def end(kind: type[BaseException] | None) -> None:
        if kind is not None and issubclass(kind, MemoryError):
            os._exit(_OUT_OF_MEMORY)

    sys.excepthook = lambda kind, *_: end(kind)
    sys.unraisablehook = lambda raised: end(raised.exc_type)


def _batches(documents: Iterable[Document]) -> Iterator[deque[Document]]:
    batch: deque[Document] = deque()
    size = 0
    for document in documents:
        size += len(document.path.encode()) + 16
        if batch and (len(batch) >= _BATCH or size > _BATCH_BYTES):
            yield batch
            batch = deque()
            size = len(document.path.encode()) + 16
        batch.append(document)
    if batch:
        yield batch


def _read(file: BinaryIO) -> tuple[bytes, bytes]:
    """The next part of what the other side says; raises EOFError when it is gone."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    kind, size = _HEAD.unpack(head)
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return kind, data
