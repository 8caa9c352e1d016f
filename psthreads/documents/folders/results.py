"""The result files of threads in a folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.folder import Folder
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.result_files import ResultFile, check_filename, owner
from psthreads.documents.storage import StoredResult
from psthreads.domain.errors import DocumentNotFound, NotFound


class ResultFolder:
    """The results of one group's threads, or of the threads on the whole server.

    `guard` is called before the folder is created, and raises where its disk is not mounted.
    """

    def __init__(self, root: Path, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE) -> None:
        self._root = root
        self._guard = guard
        self._fence = fence

    def write(self, filename: str) -> PendingResult:
        """Return a block that writes a file: it gets this name if the block ends without an exception.

        Raises UnsafePath for a name with a slash, a backslash, a leading dot or a control character, or of more than
        200 bytes.
        """
        check_filename(filename)
        self._guard()
        return PendingResult(self._root, filename, self._fence)

    def open(self, filename: str) -> BinaryIO:
        """Open a complete file to read it. Raises UnsafePath for an invalid name, and NotFound."""
        check_filename(filename)
        try:
            return os.fdopen(Folder.at(self._root).open_regular(filename, filename), "rb")
        except (FileNotFoundError, DocumentNotFound):
            raise NotFound(f"There is no file '{filename}' here: list the threads to see their results.") from None

    def find(self, filename: str) -> StoredResult:
        """Open a complete file for a download; raises as `open`."""
        file = self.open(filename)
        status = os.fstat(file.fileno())
        etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
        return StoredResult(file, status.st_size, status.st_mtime, etag)

    def link(self, filename: str, seconds: float) -> str:  # noqa: ARG002 (as Results has it)
        """Return nothing: a folder has no addresses."""
        return ""


class PendingResult:
    """A result that is being written: a context manager with the file as its value.

    It belongs to the operating system process that entered the block. Where a fork leaves it, nothing happens.
    """

    def __init__(self, root: Path, filename: str, fence: Fence) -> None:
        self._root = root
        self._filename = filename
        self._fence = fence
        # The name contains the thread's id, so that a sweep can remove the file once the thread has ended.
        self._hidden = f"{TEMPORARY}{owner(filename) or ''}-{secrets.token_hex(8)}"
        self._folder: Folder | None = None
        self._file: ResultFile | None = None

    def __enter__(self) -> ResultFile:
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            self._folder = Folder.at(self._root)
            fd = self._folder.open(self._hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            self._file = ResultFile(FileIO(fd, "w+b"))
            self._file.filename = self._filename
        except BaseException:
            self.discard()
            raise
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._file is not None and self._folder is not None and not self._file.is_forked:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._put_in_place(self._folder)
                os.fsync(self._folder.fd)
        finally:
            self.discard()

    def _put_in_place(self, folder: Folder) -> None:
        self._fence.require_ownership()
        try:
            # Whatever happens between the answer and this, the file of another execution is not replaced.
            folder.move(self._hidden, folder, self._filename)
        except FileExistsError:
            # It is of an execution that was given up, or this one writes it again.
            self._fence.require_ownership()
            os.replace(self._hidden, self._filename, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)

    def discard(self) -> None:
        """Remove an incomplete file; a complete one stays."""
        if self._file is not None:
            with suppress(OSError, ValueError):  # On a full disk closing fails, too, and the file is removed anyway.
                self._file.close()
            if self._file.is_forked:
                return
        if self._folder is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._hidden, dir_fd=self._folder.fd)
            self._folder = None
