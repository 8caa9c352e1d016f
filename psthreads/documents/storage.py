"""What every backend of documents, loading zones and results does, and what its callers may rely on.

docs/storage.md has a table of what each operation means in a folder and in an object store.

Nothing outside this package knows which backend is in use; `psthreads.documents.layout.open_storage` chooses.

What holds in every one:

- A document, a file of a zone or a result is whole or absent, never a part of one, whatever dies meanwhile.
- Nothing is replaced but where the method says so.
- A change is refused with GivenUp once the lease of the execution that makes it has run out.
- A path is checked before anything is done: it leads nowhere but below its own folder.
- Walks come in an order that is the same each time, and hold no more in memory than one folder's names.
- StorageFailed is raised where the backend does not answer or refuses; a document that is merely absent is
  DocumentNotFound. What one document cannot be read for is an OSError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from psthreads.documents.records import Records
from psthreads.documents.results import Results
from psthreads.documents.sweeping import DiskUsage, SweepRules
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


class Arrival(Protocol):
    """A file that is arriving in a loading zone. `size` is the number of bytes so far."""

    size: int

    def write(self, data: bytes) -> None:
        """Add to the file; raises TooLarge from the first byte above its limit."""

    def complete(self) -> None:
        """Say that there is no more to add, so that nothing of the file is kept in memory."""

    def settle(self, sync: Callable[[int], None] = os.fsync) -> None:
        """Store the data; then only the file's name is missing."""


class MemberZone(Protocol):
    """One member's files for one group. Paths are relative to the zone, and errors as those of GroupDocuments.

    What is not there is NotFound.
    """

    upload_id: str

    def of_upload(self, upload_id: str) -> MemberZone:
        """Return the member's loading zone for this upload alone, or this one for an empty id. Raises BadParameter."""

    def walk(self, on_skip: OnSkip, after: str = "") -> Iterator[Document]:
        """Yield every file in the zone, or those that come after this path."""

    def count(self) -> int:
        """Count the files of a walk."""

    def resolve(self, path: str) -> str:
        """Return the normal form of a file's path, such as "/books.zip"; raises NotFound for a folder, too."""

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it from any place."""

    def read(self, path: str, most: int) -> bytes:
        """Return a file's first `most` bytes."""

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Do as ReadableTree."""

    def kind(self, path: str) -> str:
        """Return "document", "folder", or "" for nothing; raises Conflict if a folder in the path is a file."""

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Yield each path with what `kind` returns or raises; faster than `kind`."""

    def write(
        self, path: str, most: int, sync: Callable[[int], None] = os.fsync, *, waits: bool = False
    ) -> AbstractContextManager[Arrival]:
        """Write a file of at most `most` bytes; it appears, or replaces another, when the block ends.

        `waits` says that the file is complete before the block ends, and waits for others.
        Nothing is left of it if the block raises. `sync` writes a descriptor's data to the disk, where there is one.
        Raises UnsafePath if the path is not relative, and Conflict if it is a folder.
        """

    def take(self, staged: StagedFiles, path: str, to: str) -> bool:
        """Bring a file, or a whole folder, from a temporary folder into the zone.

        A file replaces the one with that path. Returns False, and does nothing, for a folder that cannot come in one
        step. It is certain to be there after `sync`.
        """

    def move_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Make a file of the zone a document of the group, which appears in one step.

        Raises Conflict if the document's path is a folder, or, without `overwrite`, if it exists. Raises OSError with
        the number EXDEV if the zone and the group are on different disks: `copy_out` works there. One that is stopped
        leaves the file in one place, or a whole copy in either; a further call then ends it.
        """

    def move_out_each(self, moves: Iterable[tuple[str, str]], documents: GroupDocuments, *, overwrite: bool) -> Moves:
        """Do as `move_out` with each file and the path of its document; faster than that."""

    def copy_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as `move_out` across disks: write a copy that appears in one step, then remove the file from the zone."""

    def is_copy(self, path: str, documents: GroupDocuments, to: str) -> bool:
        """Tell whether the document at `to` is the copy that a stopped `move_out` of this file has left."""

    def sync(self) -> None:
        """Wait until everything written is stored, and would survive a power cut."""

    def remove(self, path: str) -> bool:
        """Remove a file and the folders that are then empty; returns whether the file existed."""

    def clear(self) -> int:
        """Remove every file and folder, except a file that is still being written; returns the number of files."""

    def clear_measured(self) -> tuple[int, int]:
        """Clear the zone; returns the number of files and their bytes."""

    def remove_empty_folders(self) -> None:
        """Remove the folders that contain nothing."""


class StagedFiles(Protocol):
    """Files in a temporary folder of this machine, which nobody else knows."""

    def local_path(self, path: str) -> Path:
        """Return where a file is on this machine."""


class Storage(Protocol):
    """All groups' documents, loading zones and results."""

    records: Records
    """The storage's own records."""

    def group(self, group: Group) -> GroupDocuments:
        """Return a group's documents, which need not exist yet."""

    def results(self, group_id: int) -> Results:
        """Return the files that threads of a group made, or of -1, threads on the whole server."""

    def loading_zone(self, group: Group, member_id: int) -> MemberZone:
        """Return a member's loading zone for a group; it need not exist yet."""

    def sweep(self, rules: SweepRules) -> Iterator[int]:
        """Remove results of threads that are gone, and temporary files of those that ended, in small steps.

        Yields the number of removed files after each.
        """

    def measure(self) -> Iterator[DiskUsage | None]:
        """Yield the use of each group and kind, and None after each small step."""

    def settle(self) -> None:
        """Wait for what is written a little later, and raise what failed."""

    def abandon(self) -> None:
        """Drop what is still to be written: each document is then the old or the new one, and none is on its way."""

    @property
    def scratch(self) -> Path:
        """A folder of this machine for temporary files; created on demand."""
