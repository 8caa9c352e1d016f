"""Records of the storage's own, below `.psthreads`: what a backend provides, so that what they mean is written once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Protocol

OWN: Final = ".psthreads"
"""The folder of all records."""

KINDS: Final = ("groups", "loading", "results")
"""The folders of what is counted: documents, loading zones and results."""

LONGEST: Final = 1_000
"""The bytes of the longest record."""


class Records(Protocol):
    """Records with paths such as ".psthreads/ticks": each is whole or absent, for all machines that share the storage.

    Methods raise OSError where the storage cannot be read or written.
    """

    place: str
    """The kind of the storage and its address, for messages: "folder /srv/documents"."""

    believed_seconds: float
    """For how long a record that was read counts as read: 0 where the storage may be unmounted at any moment."""

    def prepare(self) -> None:
        """Create the folder of all records where the backend needs one. Without it, nothing is written."""

    def read(self, path: str) -> bytes:
        """Return a record. Raises FileNotFoundError."""

    def write(self, path: str, text: str, *, create: bool = False, sync: bool = True) -> None:
        """Write a record in one step. With `create` it must not exist: of two at once, one gets FileExistsError.

        Without `sync`, it may be an older one after a power failure.
        """

    def remove(self, paths: Collection[str]) -> None:
        """Remove records; those that do not exist are no error."""

    def names(self, path: str) -> Iterator[str]:
        """Yield the names of what is in any folder of the storage, of folders too; none where there is no folder."""
