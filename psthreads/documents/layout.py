"""The documents on disk: a folder for each group, its results, its members' loading zones, and what is temporary.

Nothing else in psthreads touches these folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from psthreads.documents.document_tree import Document
from psthreads.documents.folder import ResultFile
from psthreads.documents.group_folder import GroupFolder
from psthreads.documents.loading_zone import LoadingZone
from psthreads.documents.results import ResultFolder
from psthreads.documents.sweeping import Ask, Sweep
from psthreads.domain.access import Group
from psthreads.domain.model import SERVER_WIDE

__all__ = ["Document", "Documents", "GroupFolder", "ResultFile"]


class Documents:
    """The folder that holds every group's documents and results."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def group(self, group: Group) -> GroupFolder:
        """The folder of a group's documents; it need not exist yet."""
        return GroupFolder(group, self._root / "groups" / str(group.id))

    def results(self, group_id: int) -> ResultFolder:
        """The folder of the files that threads of this group made; -1 for those of no group."""
        return ResultFolder(self._root / "results" / ("server" if group_id == SERVER_WIDE else str(group_id)))

    def loading_zone(self, group: Group, member_id: int) -> LoadingZone:
        """The files of a member that wait to be put among the group's documents; it need not exist yet."""
        return LoadingZone(GroupFolder(group, self._root / "loading" / str(group.id) / str(member_id)))

    def sweep(self, existing: Ask, unfinished: Ask, longest: float) -> Iterator[int]:
        """Remove what threads left behind and nobody can ask for any more, step by step; see `Sweep`."""
        return Sweep(self._root, existing, unfinished, longest).steps()

    @property
    def scratch(self) -> Path:
        """A folder for temporary files on the same disk, created when it is asked for."""
        folder = self._root / "tmp"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder
