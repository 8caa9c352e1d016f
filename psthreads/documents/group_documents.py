"""A group's documents: what every backend does with them. What holds in all says `psthreads.documents.storage`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from psthreads.domain.access import Group

OnSkip = Callable[[str, str], None]
"""Called with the path of a file or folder that a walk leaves out, and the reason as the end of a sentence."""


def ignore_skip(path: str, reason: str) -> None:
    """Do nothing with what a walk leaves out."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in a group's folder. `size` is in bytes, `modified` in milliseconds since the epoch."""

    path: str
    size: int
    modified: int


class Moves(Protocol):
    """Moves of documents, an iterator: each with its two paths, and None or the error that is about it, in order.

    A backend may be ahead of what was iterated over. Whoever does not iterate to the end calls `stop`, and goes on
    until there are no more: then what has moved is told.
    """

    def __next__(self) -> tuple[tuple[str, str], Exception | None]:
        """Return the next move that has ended."""

    def stop(self) -> None:
        """Begin with no further one: what is left to iterate over are those on their way."""


class ReadableTree(Protocol):
    """Documents below one folder, to find and to read. Every path may have a leading slash or none.

    Methods that take a path raise UnsafePath if it is invalid or could lead outside, and DocumentNotFound if nothing is
    there.
    """

    def normal(self, path: str) -> str:
        """Return the normal form of a path, which need not exist."""

    def resolve(self, path: str) -> str:
        """Return the normal form of the path of an existing document or folder, such as "/documents/a.psml"."""

    def placed(self, path: str) -> str:
        """Return the normal form of a path: what exists as it is stored, and the rest as it would be created."""

    def open(self, path: str) -> BinaryIO:
        """Open a document to read it from any place. All of it is of one version, or reading fails with OSError."""

    def read(self, path: str, most: int) -> bytes:
        """Return a document's first `most` bytes; faster than `open`."""

    def walk(self, path: str = "", on_skip: OnSkip = ignore_skip) -> Iterator[Document]:
        """Yield the document at the path, or every one below it. What vanishes meanwhile is passed to `on_skip`."""

    def contents(
        self, path: str, most: int, where: Callable[[str], bool], on_skip: OnSkip = ignore_skip
    ) -> Iterator[tuple[Document, bytes | None]]:
        """Walk, and yield each document whose name `where` accepts with its bytes, or None for more than `most`."""

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Yield the documents with their bytes, None for more than `most`, or the error that reading raised."""

    def count(self, path: str = "", where: Callable[[str], bool] | None = None) -> int:
        """Count the documents of a walk, or those of them whose name `where` accepts."""

    def is_folder(self, path: str) -> bool:
        """Tell whether the path is a folder, and not a document."""

    def entries(self, path: str, on_skip: OnSkip = ignore_skip, most: int | None = None) -> list[tuple[str, bool]]:
        """Return the names of a folder's documents and folders, sorted in reverse, each with whether it is a folder.

        With `most`, return some of them where the folder has more.
        """


class GroupDocuments(ReadableTree, Protocol):
    """The documents of one group."""

    group: Group

    def create(self) -> None:
        """Create the group's own folder where the backend needs one."""

    def kind(self, path: str) -> str:
        """Return "document", "folder", or "" for nothing; raises Conflict if a folder in the path is a document."""

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Yield each path with what `kind` returns or raises; faster than `kind`."""

    def write(self, path: str, content: bytes) -> None:
        """Write a document in one step, or replace it, and create missing folders. Raises Conflict for a folder.

        A backend may do that a little later. Whoever reads finds what was written. What fails then is raised by the
        next write, by `sync`, before a result appears, or at the end of the process's function.
        """

    def make_folder(self, path: str) -> bool:
        """Create a folder in an existing one; returns False if it exists. Raises Conflict if the path is a document."""

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder; returns False if it is not empty. Raises OSError if it cannot be removed."""

    def move(self, path: str, to: str) -> None:
        """Move a document into an existing folder; nothing is replaced. Raises Conflict if the new path exists.

        A move that is stopped leaves the document in one place, or a whole copy in either. A further call then ends it.
        """

    def move_each(self, moves: Iterable[tuple[str, str]]) -> Moves:
        """Move each document to the path beside it, as `move`; faster than that."""

    def is_copy(self, path: str, to: str) -> bool:
        """Tell whether the document at `to` is the copy that a stopped move of the one at `path` has left."""

    def sync(self) -> None:
        """Wait until everything written is stored, and would survive a power cut."""
