"""Archives as they are unpacked: a list of entries, none of which is trusted, and the content of each."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from psthreads.documents.paths import composed

MOST_ENTRIES: Final = 100_000
"""The files of an archive, and the folders that they need, at most."""

MOST_BYTES: Final = 10 * 1024 * 1024 * 1024
"""The unpacked size of an archive, at most."""

MOST_RATIO: Final = 200
"""The unpacked size by the packed one, of a file and of an archive, at most; XML rarely reaches 50."""

ALWAYS_FINE: Final = 16 * 1024 * 1024
"""The unpacked bytes that are accepted at any ratio."""

MOST_LISTED: Final = 16 * 1024 * 1024
"""The bytes of an archive's list of entries, at most; it is held in memory."""

_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:")
_EARLIEST: Final = 315_532_800  # seconds: 1980, before which there was neither a zip file nor XML
_CLOCKS_DIFFER: Final = 24 * 3600  # seconds


class Damaged(Exception):
    """An archive or an entry cannot be read. The text is the reason, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """An entry of an archive. `path` is its name in the form of a path, with a leading slash, and unchecked.

    `modified` is in seconds since the epoch; None without a credible time. `problem` is the reason against the entry
    by itself, as the end of a sentence; empty if there is none.
    """

    name: str
    path: str
    size: int
    modified: float | None
    is_folder: bool
    problem: str


class Archive(ABC):
    """An uploaded archive. `size` is its own in bytes, `entries` are in their order, without the clutter.

    `clutter` is the number of those that are left out, and `guess` says how names were read that do not say it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: Sequence[ArchiveEntry] = ()
        self.clutter = 0
        self.guess = ""

    @abstractmethod
    def content(self, entry: ArchiveEntry) -> Iterator[bytes]:
        """Yield an entry's content; raises Damaged if its size or its checksum is wrong."""

    @property
    def files(self) -> list[ArchiveEntry]:
        """The entries that are files."""
        return [entry for entry in self.entries if not entry.is_folder]

    @property
    def unpacked_size(self) -> int:
        """The unpacked size in bytes that the archive declares; unpacking never exceeds it."""
        return sum(entry.size for entry in self.entries)

    @property
    def most_unpacked(self) -> int:
        """The unpacked bytes that are credible for an archive of this size."""
        return max(ALWAYS_FINE, MOST_RATIO * self.size)

    def problems(self) -> Iterator[str]:
        """Yield the reasons not to unpack the archive as a whole, each as the end of a sentence."""
        total = self.unpacked_size
        if not self.files:
            yield "there is no file in it"
        if max(self.clutter, len(self._folders())) + len(self.entries) > MOST_ENTRIES:
            yield f"it has more than {MOST_ENTRIES:,} files and folders: pack them in several archives"
        if total > MOST_BYTES:
            yield f"it unpacks to {total:,} bytes, and {MOST_BYTES:,} are the most: pack it in several archives"
        if total > self.most_unpacked:
            yield f"it unpacks to more than {MOST_RATIO} times its size, as no documents do"

    def refused(self) -> Iterator[tuple[ArchiveEntry, str]]:
        """Yield the entries that are not unpacked, each once, with the reason as the end of a sentence."""
        paths: set[str] = set()
        folders = self._folders()
        for entry in self.entries:
            reason = entry.problem
            if not reason and not entry.is_folder:
                if entry.path in paths:
                    reason = "another entry has the same name"
                elif entry.path in folders:
                    reason = "other entries use it as a folder"
                paths.add(entry.path)
            if reason:
                yield entry, reason

    def _folders(self) -> set[str]:
        """Return the folders of the entries, up to just above the limit."""
        folders: set[str] = set()
        for entry in self.entries:
            path = f"{entry.path}/" if entry.is_folder else entry.path
            while (path := path.rpartition("/")[0]) and path not in folders and len(folders) <= MOST_ENTRIES:
                folders.add(path)
        return folders


def path_of(name: str) -> str:
    """Return an entry's name in the form of a path, its letters composed: macOS takes them apart."""
    return "/" + "/".join([part for part in composed(name).split("/") if part not in {"", "."}])


def credible(seconds: float) -> float | None:
    """Return a time of modification, or None for one that cannot be right."""
    return seconds if _EARLIEST <= seconds <= time.time() + _CLOCKS_DIFFER else None


def problem_of(name: str, path: str, size: int, *, is_folder: bool) -> str:
    """Return the reason against an entry that any archive's may have; empty if there is none."""
    if _ABSOLUTE.match(name):
        return "its name is absolute"
    if path == "/" and not is_folder:
        return "it has no name"
    return "it is a folder, and yet has content" if is_folder and size else ""
