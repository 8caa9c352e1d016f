"""Transforms documents in a child process, which may take too long, need too much memory, or crash.

libxslt runs in C, where nothing can interrupt it. So a forked child transforms the documents, with a time limit for
each and a memory limit, and is replaced when it dies. It gets paths through one pipe and returns outputs through
another, in the same order.
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
"""The time limit of one document."""

MEMORY: Final = 1024 * 1024 * 1024
"""The bytes that the child may need in addition to those it starts with."""

_LARGEST: Final = 32 * 1024 * 1024  # bytes of one document
_BATCH: Final = 32  # documents in one request
_BATCH_BYTES: Final = 8 * 1024  # two batches fit into a pipe, so that sending them never blocks
_AHEAD: Final = 2  # batches
_OUT_OF_MEMORY: Final = 3  # exit status

_HEAD: Final = struct.Struct("<cI")  # the kind of a message, and the number of bytes that follow
_READY, _UNUSABLE, _MESSAGE, _ENDING, _CONTENT, _PROBLEM = b"R", b"U", b"M", b"E", b"C", b"P"


@dataclass(frozen=True, slots=True)
class Transformed:
    """A document with its output, or None and the problem."""

    document: Document
    output: Output | None
    problem: str = ""


class Transformer:
    """Transforms documents by one stylesheet; raises Unusable if the stylesheet cannot be used.

    The child ends when the process's function does, in whatever way.
    """

    def __init__(self, context: Context, stylesheet: str, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._context = context
        self._stylesheet = stylesheet
        self._seconds = seconds
        self._memory = memory
        self._pid = 0
        self._requests: BinaryIO
        self._responses: BinaryIO
        context.cleanup(self.stop)
        self._start()

    def transform(self, documents: Iterable[Document]) -> Iterator[Transformed]:
        """Yield the result for each document, in order."""
        batches = _batches(documents)
        pending: deque[deque[Document]] = deque()
        while True:
            while len(pending) < _AHEAD and (batch := next(batches, None)):
                self._send(batch)
                pending.append(batch)
            if not pending:
                return
            document = pending[0][0]
            try:
                transformed = self._receive(document)
            except EOFError:
                transformed = Transformed(document, None, self._cause_of_death())
            pending[0].popleft()
            if not pending[0]:
                pending.popleft()
            if not self._pid:
                self._start()
                for batch in pending:
                    self._send(batch)
            yield transformed

    def stop(self) -> None:
        """Kill the child, if there is one."""
        with self._context.shield():
            if self._pid:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                self._wait()

    def _start(self) -> None:
        with self._context.shield():
            child_requests, requests = os.pipe()
            responses, child_responses = os.pipe()
            child = _Child(self, child_requests, child_responses)
            self._pid = fork_child(lambda: child.run((requests, responses)))
            os.close(child_requests)
            os.close(child_responses)
            self._requests, self._responses = os.fdopen(requests, "wb", 0), os.fdopen(responses, "rb")
        try:
            kind, text = _read(self._responses)
        except EOFError:
            raise Unusable(self._cause_of_death()) from None
        if kind == _UNUSABLE:
            raise Unusable(text.decode())

    def _send(self, batch: Iterable[Document]) -> None:
        paths = "\0".join(f"{document.path}\0{document.size}" for document in batch).encode()
        # A dead child is noticed when its response is missing.
        with suppress(BrokenPipeError):
            self._requests.write(_HEAD.pack(_CONTENT, len(paths)) + paths)

    def _receive(self, document: Document) -> Transformed:
        messages: list[str] = []
        ending = ""
        while True:
            kind, data = _read(self._responses)
            if kind == _CONTENT:
                return Transformed(document, Output(data, ending, messages))
            if kind == _PROBLEM:
                return Transformed(document, None, data.decode())
            if kind == _MESSAGE:
                messages.append(data.decode())
            else:
                ending = data.decode()

    def _cause_of_death(self) -> str:
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
            self._requests.close()
            self._responses.close()
        return os.waitstatus_to_exitcode(status)


class _Child:
    """The forked process. Of its parent's objects it only uses the group's folder."""

    def __init__(self, transformer: Transformer, requests: int, responses: int) -> None:
        self._folder: GroupFolder = transformer._context.folder  # noqa: SLF001 (its other half)
        self._path = transformer._stylesheet  # noqa: SLF001 (as above)
        self._seconds = transformer._seconds  # noqa: SLF001 (as above)
        self._memory = transformer._memory  # noqa: SLF001 (as above)
        self._requests = os.fdopen(requests, "rb", closefd=False)
        self._responses = responses

    def run(self, parent_ends: Iterable[int]) -> int:
        """Transform until the parent closes its end, and return the exit status."""
        try:
            for fd in parent_ends:
                os.close(fd)
            _silence()
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
            self._respond((_UNUSABLE, str(error).encode()))
            return
        self._respond((_READY, b""))
        while True:
            try:
                _, data = _read(self._requests)
            except EOFError:
                return
            fields = data.decode().split("\0")
            for path, size in zip(fields[::2], fields[1::2], strict=True):
                signal.setitimer(signal.ITIMER_REAL, self._seconds)
                self._respond(*self._transform(stylesheet, path, int(size)))

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
        if size < len(data) <= _LARGEST:  # It has grown.
            data = self._folder.read(path, _LARGEST + 1)
        if len(data) > _LARGEST:
            raise NotTransformed(f"it is larger than {_LARGEST // 1024 // 1024} MiB")
        return data

    def _respond(self, *parts: tuple[bytes, bytes]) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)  # The parent may be slow to read.
        data = memoryview(b"".join(_HEAD.pack(kind, len(part)) + part for kind, part in parts))
        while data:
            data = data[os.write(self._responses, data) :]


def _silence() -> None:
    """Discard output, and exit on MemoryError: lxml would go on without memory, and report that over and over."""
    faulthandler.disable()
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(devnull, stream)

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
    """Read the next message; raises EOFError if the other side is gone."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    kind, size = _HEAD.unpack(head)
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return kind, data
