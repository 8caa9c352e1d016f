"""Loading zones: a zone is a tree of documents like a group's own. What both backends do alike is done here."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, Protocol, Self

from psthreads.documents.group_documents import Document, GroupDocuments, Moves, OnSkip
from psthreads.documents.paths import printable
from psthreads.documents.side_by_side import InOrder
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, NotFound, TooLarge, UnsafePath

ABANDONED: Final = 24 * 3600
"""The seconds after which a file that is still being written is nobody's: no upload takes so long."""

_UPLOAD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ZoneTree(GroupDocuments, Protocol):
    """The documents of a group, or the files of a zone."""

    def beside(self, mark: str) -> Self:
        """Return a tree of the same group next to this one, whose name ends with a mark."""


class Arrival(ABC):
    """A file of at most `most` bytes that is arriving in a loading zone. `size` is the number of bytes so far."""

    def __init__(self, add: Callable[[bytes], object], most: int) -> None:
        self.size = 0
        self._add = add
        self._most = most

    def write(self, data: bytes) -> None:
        """Add to the file; raises TooLarge from the first byte above its limit."""
        self.size += len(data)
        if self.size > self._most:
            raise TooLarge(self._most)
        self._add(data)

    @abstractmethod
    def complete(self) -> None:
        """Say that there is no more to add, so that nothing of the file is kept in memory."""

    @abstractmethod
    def settle(self, sync: Callable[[int], None] = os.fsync) -> None:
        """Store the data; then only the file's name is missing."""


class StagedFiles(Protocol):
    """Files in a temporary folder of this machine, which nobody else knows."""

    def local_path(self, path: str) -> Path:
        """Return where a file is on this machine."""


class MemberZone(ABC):
    """One member's files for one group. Paths are relative to the zone, and errors as those of GroupDocuments.

    What is not there is NotFound. A backend adds what changes the files.
    """

    WIDTH: ClassVar[int]
    """The number of files moved side by side, 0 where a move takes no time."""

    def __init__(self, tree: ZoneTree, upload_id: str = "") -> None:
        self._tree = tree
        self.upload_id = upload_id

    def of_upload(self, upload_id: str) -> Self:
        """Return the member's loading zone for this upload alone, or this one for an empty id. Raises BadParameter."""
        if not upload_id:
            return self
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise BadParameter("uploadid", "An uploadid has 1 to 64 letters, digits and . _ -: choose another one.")
        return type(self)(self._tree.beside(upload_id), upload_id)

    @abstractmethod
    def walk(self, on_skip: OnSkip, after: str = "") -> Iterator[Document]:
        """Yield every file in the zone, or those that come after this path."""

    def count(self) -> int:
        """Count the files of a walk."""
        return self._tree.count()

    @abstractmethod
    def resolve(self, path: str) -> str:
        """Return the normal form of a file's path, such as "/books.zip"; raises NotFound for a folder, too."""

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it from any place."""
        with in_zone(path):
            return self._tree.open(path)

    def read(self, path: str, most: int) -> bytes:
        """Return a file's first `most` bytes."""
        with in_zone(path):
            return self._tree.read(path, most)

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Do as ReadableTree."""
        return self._tree.read_each(documents, most)

    def kind(self, path: str) -> str:
        """Return "document", "folder", or "" for nothing; raises Conflict if a folder in the path is a file."""
        return self._tree.kind(path)

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Yield each path with what `kind` returns or raises; faster than `kind`."""
        return self._tree.kind_each(paths)

    @abstractmethod
    def write(
        self, path: str, most: int, sync: Callable[[int], None] = os.fsync, *, waits: bool = False
    ) -> AbstractContextManager[Arrival]:
        """Write a file of at most `most` bytes; it appears, or replaces another, when the block ends.

        `waits` says that the file is complete before the block ends, and waits for others.
        Nothing is left of it if the block raises. `sync` writes a descriptor's data to the disk, where there is one.
        Raises UnsafePath if the path is not relative, and Conflict if it is a folder.
        """

    @abstractmethod
    def take(self, staged: StagedFiles, path: str, to: str) -> bool:
        """Bring a file, or a whole folder, from a temporary folder into the zone.

        A file replaces the one with that path. Returns False, and does nothing, for a folder that cannot come in one
        step. It is certain to be there after `sync`.
        """

    @abstractmethod
    def move_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Make a file of the zone a document of the group, which appears in one step.

        Raises Conflict if the document's path is a folder, or, without `overwrite`, if it exists. Raises OSError with
        the number EXDEV if the zone and the group are on different disks: `copy_out` works there. One that is stopped
        leaves the file in one place, or a whole copy in either; a further call then ends it.
        """

    def move_out_each(self, moves: Iterable[tuple[str, str]], documents: GroupDocuments, *, overwrite: bool) -> Moves:
        """Do as `move_out` with each file and the path of its document; faster than that."""
        return InOrder(lambda each: self.move_out(each[0], documents, each[1], overwrite=overwrite), moves, self.WIDTH)

    @abstractmethod
    def copy_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as `move_out` across disks: write a copy that appears in one step, then remove the file from the zone."""

    @abstractmethod
    def is_copy(self, path: str, documents: GroupDocuments, to: str) -> bool:
        """Tell whether the document at `to` is the copy that a stopped `move_out` of this file has left."""

    def sync(self) -> None:
        """Wait until everything written is stored, and would survive a power cut."""
        self._tree.sync()

    @abstractmethod
    def remove(self, path: str) -> bool:
        """Remove a file and the folders that are then empty; returns whether the file existed."""

    def clear(self) -> int:
        """Remove every file and folder, except a file that is still being written; returns the number of files."""
        return self.clear_measured()[0]

    @abstractmethod
    def clear_measured(self) -> tuple[int, int]:
        """Clear the zone; returns the number of files and their bytes."""

    @abstractmethod
    def remove_empty_folders(self) -> None:
        """Remove the folders that contain nothing."""

    def _check_new(self, path: str) -> None:
        """Raise UnsafePath or Conflict where no file can have this path."""
        if not path or path.startswith("/") or path.endswith("/"):
            reason = "it must be the path of a file in the loading zone, such as docs/a.xml"
            raise UnsafePath(printable(path), reason, "filename")
        if self.kind(path) == "folder":
            raise Conflict(f"'{printable(path)}' is a folder in the loading zone: choose another filename.")


@contextmanager
def in_zone(path: str) -> Iterator[None]:
    """Turn DocumentNotFound into a NotFound that names the loading zone."""
    try:
        yield
    except DocumentNotFound:
        raise absent(path) from None


def absent(path: str) -> NotFound:
    """Return the error for a file that is not there."""
    return NotFound(f"There is no file '{printable(path)}' in the loading zone: upload it first.")
