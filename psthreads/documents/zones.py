"""Loading zones, as far as both backends agree: a zone is a tree of documents like a group's own."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, ClassVar, Final, Generic, Protocol, Self, TypeVar

from psthreads.documents.paths import printable
from psthreads.documents.side_by_side import InOrder
from psthreads.documents.storage import Document, GroupDocuments, Moves
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, NotFound, UnsafePath

ABANDONED: Final = 24 * 3600
"""The seconds after which a file that is still being written is nobody's: no upload takes so long."""

_UPLOAD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ZoneTree(GroupDocuments, Protocol):
    """The documents of a group, or the files of a zone."""

    def beside(self, mark: str) -> Self:
        """Return a tree of the same group next to this one, whose name ends with a mark."""


Tree = TypeVar("Tree", bound=ZoneTree)


class Zone(ABC, Generic[Tree]):
    """One member's files for one group; see `MemberZone`. A backend adds what changes them."""

    WIDTH: ClassVar[int]
    """The number of files moved side by side, 0 where a move takes no time."""

    def __init__(self, tree: Tree, upload_id: str = "") -> None:
        self._tree = tree
        self.upload_id = upload_id

    def of_upload(self, upload_id: str) -> Self:
        """Do as MemberZone."""
        if not upload_id:
            return self
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise BadParameter("uploadid", "An uploadid has 1 to 64 letters, digits and . _ -: choose another one.")
        return type(self)(self._tree.beside(upload_id), upload_id)

    def count(self) -> int:
        """Do as MemberZone."""
        return self._tree.count()

    def open(self, path: str) -> BinaryIO:
        """Do as MemberZone."""
        with in_zone(path):
            return self._tree.open(path)

    def read(self, path: str, most: int) -> bytes:
        """Do as MemberZone."""
        with in_zone(path):
            return self._tree.read(path, most)

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Do as MemberZone."""
        return self._tree.read_each(documents, most)

    def kind(self, path: str) -> str:
        """Do as MemberZone."""
        return self._tree.kind(path)

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Do as MemberZone."""
        return self._tree.kind_each(paths)

    @abstractmethod
    def move_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as MemberZone."""

    def move_out_each(self, moves: Iterable[tuple[str, str]], documents: GroupDocuments, *, overwrite: bool) -> Moves:
        """Do as MemberZone."""
        return InOrder(lambda each: self.move_out(each[0], documents, each[1], overwrite=overwrite), moves, self.WIDTH)

    def sync(self) -> None:
        """Do as MemberZone."""
        self._tree.sync()

    def clear(self) -> int:
        """Do as MemberZone."""
        return self.clear_measured()[0]

    @abstractmethod
    def clear_measured(self) -> tuple[int, int]:
        """Do as MemberZone."""

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
