"""The result files of threads in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.folder import Folder
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.result_files import ResultFile
from psthreads.documents.results import PendingResult, Results, StoredResult


class ResultFolder(Results):
    """The results of one group's threads in a folder, which is created with the first one."""

    def __init__(self, root: Path, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE) -> None:
        super().__init__(guard, fence)
        self._root = root

    def _pending(self, filename: str) -> PendingResult:
        return _PendingFile(self._root, filename, self._fence)

    def _find(self, filename: str) -> StoredResult:
        file = os.fdopen(Folder.at(self._root).open_regular(filename, filename), "rb")
        status = os.fstat(file.fileno())
        etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
        return StoredResult(file, status.st_size, status.st_mtime, etag)


class _PendingFile(PendingResult):
    """A hidden file beside the results, which is renamed."""

    def __init__(self, root: Path, filename: str, fence: Fence) -> None:
        super().__init__(filename, fence)
        self._root = root
        self._hidden = f"{TEMPORARY}{self._temporary}"
        self._folder: Folder | None = None

    def _open(self) -> FileIO:
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._folder = Folder.at(self._root)
        return FileIO(self._folder.open(self._hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL), "w+b")

    def _complete(self, file: ResultFile) -> None:
        os.fsync(file.fileno())
        file.close()
        if (folder := self._folder) is None:
            return
        self._fence.require_ownership()
        try:
            # Whatever happens between the answer and this, the file of another execution is not replaced.
            folder.move(self._hidden, folder, self._filename)
        except FileExistsError:
            # It is of an execution that was given up, or this one writes it again.
            self._fence.require_ownership()
            os.replace(self._hidden, self._filename, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        os.fsync(folder.fd)

    def _remove(self) -> None:
        if self._folder is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._hidden, dir_fd=self._folder.fd)
            self._folder = None
