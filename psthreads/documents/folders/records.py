"""Records of the storage as small files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from psthreads.documents.folders.folder import Folder
from psthreads.documents.records import LONGEST, OWN


class FolderRecords:
    """The records below a folder; see `Records`."""

    believed_seconds = 0.0

    def __init__(self, root: Path) -> None:
        self._root = str(root.absolute())
        self.place = f"folder {self._root}"

    def prepare(self) -> None:
        """Do as Records."""
        Path(self._root, OWN).mkdir(mode=0o750, parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        """Do as Records, without the cost of a file object and of a path: each thread looks twice."""
        fd = os.open(f"{self._root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, LONGEST)
        finally:
            os.close(fd)

    def write(self, path: str, text: str, *, create: bool = False, sync: bool = True) -> None:
        """Do as Records: a file that is made aside and then named, so that nobody reads half of one."""
        file = Path(self._root, path)
        if file.parent.name != OWN:  # That one is missing where a disk is not mounted, and is not made here.
            file.parent.mkdir(mode=0o750, exist_ok=True)
        folder = Folder.at(file.parent)
        hidden = f".{secrets.token_hex(8)}"
        fd = folder.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                os.write(fd, text.encode())
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
            name = os.link if create else os.replace
            name(hidden, file.name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
            if sync:
                os.fsync(folder.fd)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(hidden, dir_fd=folder.fd)

    def remove(self, paths: Collection[str]) -> None:
        """Do as Records."""
        for path in paths:
            Path(self._root, path).unlink(missing_ok=True)

    def names(self, path: str) -> Iterator[str]:
        """Do as Records."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(f"{self._root}/{path}") as scan:
            for entry in scan:
                yield entry.name
