"""The layout of a folder: each group's documents, results and loading zones, and temporary files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.group_folder import GroupFolder
from psthreads.documents.folders.loading_zone import LoadingZone
from psthreads.documents.folders.records import FolderRecords
from psthreads.documents.folders.results import ResultFolder
from psthreads.documents.folders.sweeping import Sweep, sizes
from psthreads.documents.records import Records
from psthreads.documents.sweeping import DiskUsage, SweepRules, measure
from psthreads.domain.access import Group
from psthreads.domain.model import SERVER_WIDE

SCRATCH: Final = "tmp"
"""The folder for temporary files, on the same disk."""


class Documents:
    """All groups' documents, loading zones and results in a folder; see `Storage`.

    `guard` is called before anything in it is reached, and before a folder is created. It raises where the folder is
    not the right one. `fence` belongs to the execution that changes anything.
    """

    def __init__(self, root: Path, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE) -> None:
        self._root = root
        self.records: Records = FolderRecords(root)
        self._guard = guard
        self._fence = fence

    def group(self, group: Group) -> GroupFolder:
        """Do as Storage."""
        return self._folder(group, self._root / "groups" / str(group.id))

    def results(self, group_id: int) -> ResultFolder:
        """Do as Storage."""
        self._guard()
        name = "server" if group_id == SERVER_WIDE else str(group_id)
        return ResultFolder(self._root / "results" / name, self._guard, self._fence)

    def loading_zone(self, group: Group, member_id: int) -> LoadingZone:
        """Do as Storage."""
        return LoadingZone(self._folder(group, self._root / "loading" / str(group.id) / str(member_id)))

    def sweep(self, rules: SweepRules) -> Iterator[int]:
        """Do as Storage."""
        return Sweep(self._root, rules).steps()

    def measure(self) -> Iterator[DiskUsage | None]:
        """Do as Storage."""
        return measure(self.records, lambda path: sizes(self._root / path))

    def settle(self) -> None:
        """Do as Storage: nothing is written late."""

    abandon = settle

    @property
    def scratch(self) -> Path:
        """The folder for temporary files, on the same disk; created on demand."""
        self._guard()
        folder = self._root / SCRATCH
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder

    def _folder(self, group: Group, path: Path) -> GroupFolder:
        self._guard()
        return GroupFolder(group, path, self._guard, self._fence)
