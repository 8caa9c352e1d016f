"""The files that threads make: their names, where they are, and what may be removed.

A result's name holds the id of its thread, so that whoever wants it can be asked whether the thread is
there for them, and so that it can be removed when the thread is gone.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from psthreads.documents.folder import Folder, ResultFile
from psthreads.documents.paths import NEVER, TEMPORARY, shown
from psthreads.domain.errors import DocumentNotFound, NotFound, UnsafePath

MAX_FILENAME: Final = 200
"""The longest name of a result file, in bytes of UTF-8, with the thread's id in it."""

_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def owner(filename: str) -> str | None:
    """The id of the thread that a file belongs to by its name; None where the name holds none."""
    found = _ID.findall(filename)
    return found[-1] if found else None


def public_name(filename: str, thread_id: str) -> str:
    """A file's name with the id of its thread in it: report.html becomes report-<id>.html.

    A name that shows already whose it is stays as it is.
    """
    if owner(filename) == thread_id:
        return filename
    stem, dot, ending = filename.rpartition(".")
    named = f"{stem}-{thread_id}.{ending}" if dot else f"{filename}-{thread_id}"
    return named if owner(named) == thread_id else f"{filename}-{thread_id}"


class ResultFolder:
    """The files that threads of one group made, or those of no group."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, filename: str) -> PendingResult:
        """A file to write, which has this name once the block ends well and is gone when it does not.

        Raises UnsafePath for a name with a slash, a leading dot or a control character, or of more
        than 200 bytes.
        """
        return PendingResult(self._root, _checked(filename))

    def open(self, filename: str) -> BinaryIO:
        """A file that is whole, opened to be read. Raises UnsafePath for no name, NotFound for no file."""
        name = _checked(filename)
        try:
            return os.fdopen(Folder.at(self._root).regular(name, name), "rb")
        except (FileNotFoundError, DocumentNotFound):
            raise NotFound(f"There is no file '{name}' here: list the threads to see what they made.") from None


class PendingResult:
    """A result on its way: a context manager that gives the file to write."""

    def __init__(self, root: Path, filename: str) -> None:
        self._root = root
        self._filename = filename
        # Whose it is stands in its name, so that it can be removed once the thread has ended.
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
            if kind is None and self._file is not None and self._folder is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                os.replace(self._hidden, self._filename, src_dir_fd=self._folder.fd, dst_dir_fd=self._folder.fd)
                os.fsync(self._folder.fd)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what is there of a file that has no name yet. Nothing happens to one that is whole."""
        if self._file is not None:
            with suppress(OSError, ValueError):  # A full disk fails once more, and the file goes anyway.
                self._file.close()
        if self._folder is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._hidden, dir_fd=self._folder.fd)
            self._folder = None


def _checked(filename: str) -> str:
    if not filename or "/" in filename or filename.startswith(".") or NEVER.search(filename):
        reason = "a file's name has no slash, backslash, control character or leading dot"
        raise UnsafePath(shown(filename), reason, name="filename")
    if len(filename.encode()) > MAX_FILENAME:
        raise UnsafePath(shown(filename), f"it is longer than {MAX_FILENAME} bytes", name="filename")
    return filename
