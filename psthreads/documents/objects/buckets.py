"""The layout of an object store: each group's documents, results and loading zones below one prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.sweeping import Sweep
from psthreads.documents.objects import sweeping
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.group_objects import GroupObjects
from psthreads.documents.objects.late import LateWrites
from psthreads.documents.objects.records import ObjectRecords
from psthreads.documents.objects.results import ResultObjects
from psthreads.documents.objects.zone import ObjectZone
from psthreads.documents.records import Records
from psthreads.documents.sweeping import DiskUsage, SweepRules, measure
from psthreads.domain.access import Group
from psthreads.domain.model import SERVER_WIDE


class Bucket:
    """All groups' documents, loading zones and results in an object store; see `Storage`.

    `scratch` is a folder of this machine. `guard` and `fence` are as those of `Documents`. An execution, which has a
    fence, writes behind.
    """

    def __init__(
        self,
        store: ObjectStore,
        scratch: Path,
        guard: Callable[[], None] = lambda: None,
        fence: Fence = NO_FENCE,
    ) -> None:
        self._store = store
        self.records: Records = ObjectRecords(store)
        self._scratch = scratch
        self._guard = guard
        self._fence = fence
        self._late = LateWrites() if fence is not NO_FENCE else None

    def group(self, group: Group) -> GroupObjects:
        """Do as Storage."""
        return self._tree(group, f"groups/{group.id}")

    def results(self, group_id: int) -> ResultObjects:
        """Do as Storage."""
        self._guard()
        name = "server" if group_id == SERVER_WIDE else str(group_id)
        return ResultObjects(self._store, f"results/{name}", self.scratch, self._fence, self._guard, self._late)

    def loading_zone(self, group: Group, member_id: int) -> ObjectZone:
        """Do as Storage."""
        return ObjectZone(self._tree(group, f"loading/{group.id}/{member_id}"))

    def sweep(self, rules: SweepRules) -> Iterator[int]:
        """Do as Storage, and sweep the scratch space of this machine."""
        yield from Sweep(self._scratch, rules).temporary(self._scratch)
        yield from sweeping.sweep(self._store, rules)

    def measure(self) -> Iterator[DiskUsage | None]:
        """Do as Storage."""
        return measure(self.records, lambda path: sweeping.sizes(self._store, path))

    def settle(self) -> None:
        """Do as Storage."""
        if self._late is not None:
            self._late.settle()

    def abandon(self) -> None:
        """Do as Storage."""
        if self._late is not None:
            self._late.abandon()

    @property
    def scratch(self) -> Path:
        """Do as Storage."""
        self._scratch.mkdir(mode=0o750, parents=True, exist_ok=True)
        return self._scratch

    def _tree(self, group: Group, root: str) -> GroupObjects:
        self._guard()
        return GroupObjects(self._store, group, root, self._fence, self._guard, self._late)
