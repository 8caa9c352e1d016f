"""The result files of threads as objects: built in the scratch space of the machine, then sent in parts."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO
from pathlib import Path
from urllib.parse import quote

from psthreads.documents.fence import Fence
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.objects.late import LateWrites
from psthreads.documents.objects.reading import open_object
from psthreads.documents.result_files import ResultFile, check_filename, media_type
from psthreads.documents.results import PendingResult, Results, StoredResult


class ResultObjects(Results):
    """The results of one group's threads, as objects below `root`."""

    def __init__(
        self,
        store: ObjectStore,
        root: str,
        scratch: Path,
        fence: Fence,
        guard: Callable[[], None],
        late: LateWrites | None,
    ) -> None:
        super().__init__(guard, fence)
        self._store = store
        self._root = root
        self._scratch = scratch
        self._late = late

    def link(self, filename: str, seconds: float) -> str:
        """Do as Results."""
        check_filename(filename)
        return self._store.link(f"{self._root}/{filename}", seconds)

    def _pending(self, filename: str) -> PendingResult:
        return _PendingObject(self._store, self._root, filename, self._scratch, self._fence, self._late)

    def _find(self, filename: str) -> StoredResult:
        stored = self._store.head(f"{self._root}/{filename}")
        etag = stored.etag.strip('"') or f"{stored.modified:x}-{stored.size:x}"
        return StoredResult(open_object(self._store, stored), stored.size, stored.modified / 1000, etag)


class _PendingObject(PendingResult):
    """A file in the scratch space, which is sent."""

    def __init__(
        self, store: ObjectStore, root: str, filename: str, scratch: Path, fence: Fence, late: LateWrites | None
    ) -> None:
        super().__init__(filename, fence)
        self._store = store
        self._key = f"{root}/{filename}"
        self._path = scratch / self._temporary
        self._late = late

    def _open(self) -> FileIO:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return FileIO(self._path, "x+b")

    def _complete(self, file: ResultFile) -> None:
        file.seek(0)
        if self._late is not None:  # A result says that the documents are there.
            self._late.settle()
        # As a download of ours has them, for those who get it from the store.
        headers = {
            "Content-Type": media_type(self._filename),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(self._filename, safe='')}",
        }
        self._store.upload(self._key, file, self._require_ownership, headers)

    def _require_ownership(self) -> None:
        self._fence.require_ownership()
        if self._store.find(self._key) is not None:
            # It is of an execution that was given up, or this one writes it again.
            self._fence.require_ownership()

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
