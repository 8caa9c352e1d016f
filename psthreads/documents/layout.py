"""The layout of the documents on disk: each group's documents, results and loading zones, and temporary files.

Nothing else in psthreads knows these paths, nor which backend is in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.group_folder import GroupFolder
from psthreads.documents.folders.loading_zone import LoadingZone
from psthreads.documents.folders.records import FolderRecords
from psthreads.documents.folders.results import ResultFolder
from psthreads.documents.folders.sweeping import Sweep, sizes
from psthreads.documents.group_documents import Document
from psthreads.documents.marker import Marker
from psthreads.documents.objects.apart import MarkerApart
from psthreads.documents.objects.buckets import Bucket
from psthreads.documents.objects.client import ObjectStore, require_client
from psthreads.documents.objects.records import ObjectRecords
from psthreads.documents.records import Records
from psthreads.documents.result_files import ResultFile
from psthreads.documents.storage import Storage
from psthreads.documents.sweeping import DiskUsage, SweepRules, measure
from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.domain.model import SERVER_WIDE

__all__ = [
    "Document",
    "Documents",
    "GroupFolder",
    "ResultFile",
    "check_storage",
    "connections",
    "open_marker",
    "open_storage",
    "scratch_of",
]


_SCRATCH: Final = "tmp"


class Documents:
    """The folder of all groups' documents and results.

    `guard` is called before anything in it is reached, and before a folder is created. It raises where the folder is
    not the right one. `fence` belongs to the execution that changes anything.
    """

    def __init__(self, root: Path, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE) -> None:
        self._root = root
        self.records: Records = FolderRecords(root)
        self._guard = guard
        self._fence = fence

    def group(self, group: Group) -> GroupFolder:
        """Return the folder of a group's documents; it need not exist yet."""
        return self._folder(group, self._root / "groups" / str(group.id))

    def results(self, group_id: int) -> ResultFolder:
        """Return the folder of the files that threads of a group made, or of -1, threads on the whole server."""
        self._guard()
        name = "server" if group_id == SERVER_WIDE else str(group_id)
        return ResultFolder(self._root / "results" / name, self._guard, self._fence)

    def loading_zone(self, group: Group, member_id: int) -> LoadingZone:
        """Return a member's loading zone for a group; it need not exist yet."""
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
        folder = self._root / _SCRATCH
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder

    def _folder(self, group: Group, path: Path) -> GroupFolder:
        self._guard()
        return GroupFolder(group, path, self._guard, self._fence)


def open_storage(config: Config, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE) -> Storage:
    """Return the storage of these settings; see `Documents` for the other parameters."""
    if config.store_url:
        return Bucket(_object_store(config.store_url, config.endpoint), config.scratch, guard, fence)
    return Documents(config.documents, guard, fence)


def open_marker(config: Config, *, forks: bool = False) -> Marker:
    """Return what the storage of these settings knows of the installation.

    `forks` is for a process that forks others which use the storage, as it does not itself.
    """
    if not config.store_url:
        return Marker(FolderRecords(config.documents))
    if forks:
        return MarkerApart(config.store_url, config.endpoint)
    return Marker(ObjectRecords(_object_store(config.store_url, config.endpoint)))


def scratch_of(config: Config) -> Path:
    """Return the folder for temporary files with these settings, which need not exist."""
    return config.scratch if config.store_url else config.documents / _SCRATCH


def check_storage(config: Config) -> None:
    """Raise ConfigError where these settings need a client that is not installed."""
    if config.store_url:
        require_client()


def connections(config: Config) -> set[int]:
    """Return the descriptors by which this process reaches the storage, and begin to where it does not yet."""
    return _object_store(config.store_url, config.endpoint).descriptors() if config.store_url else set()


@lru_cache(maxsize=8)
def _object_store(url: str, endpoint: str) -> ObjectStore:
    """Return the process's client of a store: its connections are shared."""
    return ObjectStore(url, endpoint)
