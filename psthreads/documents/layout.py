"""The layout of the documents on disk: each group's documents, results and loading zones, and temporary files.

Nothing else in psthreads knows these paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from psthreads.documents.document_tree import Document
from psthreads.documents.folder import ResultFile
from psthreads.documents.group_folder import GroupFolder
from psthreads.documents.loading_zone import LoadingZone
from psthreads.documents.results import ResultFolder
from psthreads.documents.sweeping import IdFilter, Sweep
from psthreads.domain.access import Group
from psthreads.domain.model import SERVER_WIDE

__all__ = ["Document", "Documents", "GroupFolder", "ResultFile"]


class Documents:
    """The folder of all groups' documents and results."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def group(self, group: Group) -> GroupFolder:
        """Return the folder of a group's documents; it need not exist yet."""
        return GroupFolder(group, self._root / "groups" / str(group.id))

    def results(self, group_id: int) -> ResultFolder:
        """Return the folder of the files that threads of a group made, or of -1, threads on the whole server."""
        return ResultFolder(self._root / "results" / ("server" if group_id == SERVER_WIDE else str(group_id)))

    def loading_zone(self, group: Group, member_id: int) -> LoadingZone:
        """Return a member's loading zone for a group; it need not exist yet."""
        return LoadingZone(GroupFolder(group, self._root / "loading" / str(group.id) / str(member_id)))

    def sweep(self, existing: IdFilter, unfinished: IdFilter, longest: float) -> Iterator[int]:
        """Remove the results and temporary files of threads that are gone, in steps; see `Sweep`."""
        return Sweep(self._root, existing, unfinished, longest).steps()

    @property
    def scratch(self) -> Path:
        """The folder for temporary files, on the same disk; created on demand."""
        folder = self._root / "tmp"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder
