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

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.records import Records
from psthreads.documents.results import Results
from psthreads.documents.sweeping import DiskUsage, SweepRules
from psthreads.documents.zones import MemberZone
from psthreads.domain.access import Group


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
