"""The result files of threads, as far as both backends agree: how one is written, named, found and opened."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from types import TracebackType
from typing import BinaryIO

from psthreads.documents.fence import Fence
from psthreads.documents.result_files import ResultFile, check_filename, owner
from psthreads.domain.errors import DocumentNotFound, NotFound


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A complete result, open to read from any place. `modified` is in seconds since the epoch, `etag` a version."""

    file: BinaryIO
    size: int
    modified: float
    etag: str


class PendingResult(ABC):
    """A result that is being written: a context manager with the file as its value.

    It belongs to the operating system process that entered the block. Where a fork leaves it, nothing happens.
    """

    def __init__(self, filename: str, fence: Fence) -> None:
        self._filename = filename
        self._fence = fence
        # The name contains the thread's id, so that a sweep can remove the file once the thread has ended.
        self._temporary = f"{owner(filename) or 'result'}-{secrets.token_hex(8)}"
        self._file: ResultFile | None = None

    def __enter__(self) -> ResultFile:
        """Open the file."""
        try:
            self._file = ResultFile(self._open())
            self._file.filename = self._filename
        except BaseException:
            self.discard()
            raise
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name where the block raised nothing; else nothing is left of it."""
        try:
            if kind is None and self._file is not None and not self._file.is_forked:
                self._file.flush()
                self._complete(self._file)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove an incomplete file; a complete one stays."""
        if self._file is not None:
            with suppress(OSError, ValueError):  # On a full disk closing fails, too, and the file is removed anyway.
                self._file.close()
            if self._file.is_forked:
                return
        self._remove()

    @abstractmethod
    def _open(self) -> FileIO:
        """Open the temporary file, which is new."""

    @abstractmethod
    def _complete(self, file: ResultFile) -> None:
        """Have the file appear with its name, if the fence lets it; asks that again where it replaces another."""

    @abstractmethod
    def _remove(self) -> None:
        """Remove the temporary file, if there is one."""


class Results(ABC):
    """The results of one group's threads, or of the threads on the whole server.

    `guard` is called before a result is written, and raises where the storage is not the right one.
    """

    def __init__(self, guard: Callable[[], None], fence: Fence) -> None:
        self._guard = guard
        self._fence = fence

    def write(self, filename: str) -> PendingResult:
        """Return a block that writes a file: it appears with this name if the block ends without an exception.

        What a lost execution writes replaces nothing. Raises UnsafePath for a name with a slash, a backslash, a leading
        dot or a control character, or of more than 200 bytes.
        """
        check_filename(filename)
        self._guard()
        return self._pending(filename)

    def open(self, filename: str) -> BinaryIO:
        """Open a complete file to read it. Raises UnsafePath for an invalid name, and NotFound."""
        return self.find(filename).file

    def find(self, filename: str) -> StoredResult:
        """Open a complete file for a download; raises as `open`."""
        check_filename(filename)
        try:
            return self._find(filename)
        except (FileNotFoundError, DocumentNotFound):
            raise NotFound(f"There is no file '{filename}' here: list the threads to see their results.") from None

    def link(self, filename: str, seconds: float) -> str:  # noqa: ARG002 (for backends that have addresses)
        """Return an address at which whoever has it gets the file for so many seconds; empty where there is none."""
        return ""

    @abstractmethod
    def _pending(self, filename: str) -> PendingResult: ...

    @abstractmethod
    def _find(self, filename: str) -> StoredResult: ...
