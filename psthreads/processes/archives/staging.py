"""Files on their way: written into a temporary folder at the paths that they will have in another one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from psthreads.documents.folders.document_tree import DocumentTree
from psthreads.documents.folders.folder import Folder


class Staging(DocumentTree):
    """A temporary folder, which nobody else knows."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._current = self._first = Folder.at(root)

    def local_path(self, path: str) -> Path:
        """Return where a file is on this machine."""
        return self._root / path.lstrip("/")

    def write(self, path: str, chunks: Iterable[bytes], modified: float | None = None) -> None:
        """Write a new file that was modified then, in seconds since the epoch, and create missing folders.

        The path has a leading slash and is in its normal form. Files of one folder in a row open it once. Raises
        OSError.
        """
        above, _, name = path.rpartition("/")
        if above != self._current.path:
            self._current = self._create(above)
        file = self._current.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            for chunk in chunks:
                done = os.write(file, chunk)
                while done < len(chunk):  # A nearly full disk takes a part, and then nothing.
                    done += os.write(file, memoryview(chunk)[done:])
            if modified is not None:
                os.utime(file, (modified, modified))
        finally:
            os.close(file)

    def _create(self, path: str) -> Folder:
        folder = self._first
        for name in path.split("/")[1:]:
            with suppress(FileExistsError):
                os.mkdir(name, mode=0o750, dir_fd=folder.fd)
            folder = folder.enter(name)
        return folder
