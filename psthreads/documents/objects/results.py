"""The result files of threads as objects: built in the scratch space of the machine, then sent in parts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from urllib.parse import quote

from psthreads.documents.fence import Fence
from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.late import LateWrites
from psthreads.documents.objects.reading import open_object
from psthreads.documents.result_files import ResultFile, check_filename, media_type, owner
from psthreads.documents.storage import StoredResult
from psthreads.domain.errors import NotFound


class ResultObjects:
    """The results of one group's threads, or of the threads on the whole server; see `Results`."""

    def __init__(
        self,
        store: ObjectStore,
        root: str,
        scratch: Path,
        fence: Fence,
        guard: Callable[[], None] = lambda: None,
        late: LateWrites | None = None,
    ) -> None:
        self._store = store
        self._root = root
        self._scratch = scratch
        self._fence = fence
        self._guard = guard
        self._late = late

    def write(self, filename: str) -> PendingObject:
        """Do as Results."""
        check_filename(filename)
        self._guard()
        return PendingObject(self._store, self._root, filename, self._scratch, self._fence, self._late)

    def open(self, filename: str) -> BinaryIO:
        """Do as Results."""
        return open_object(self._store, self._stored(filename))

    def find(self, filename: str) -> StoredResult:
        """Do as Results."""
        stored = self._stored(filename)
        etag = stored.etag.strip('"') or f"{stored.modified:x}-{stored.size:x}"
        return StoredResult(open_object(self._store, stored), stored.size, stored.modified / 1000, etag)

    def link(self, filename: str, seconds: float) -> str:
        """Do as Results."""
        check_filename(filename)
        return self._store.link(f"{self._root}/{filename}", seconds)

    def _stored(self, filename: str) -> StoredObject:
        check_filename(filename)
        if (stored := self._store.find(f"{self._root}/{filename}")) is None:
            raise NotFound(f"There is no file '{filename}' here: list the threads to see their results.")
        return stored


class PendingObject:
    """A result that is being written to the scratch space; see `WrittenResult`. A fork leaves it alone."""

    def __init__(
        self,
        store: ObjectStore,
        root: str,
        filename: str,
        scratch: Path,
        fence: Fence,
        late: LateWrites | None = None,
    ) -> None:
        self._store = store
        self._key = f"{root}/{filename}"
        self._filename = filename
        self._fence = fence
        self._late = late
        # The name begins with the thread's id, by which it is removed if the process is killed.
        self._path = scratch / f"{owner(filename) or 'result'}-{secrets.token_hex(8)}"
        self._file: ResultFile | None = None

    def __enter__(self) -> ResultFile:
        """Open the file."""
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            self._file = ResultFile(FileIO(self._path, "x+b"))
            self._file.filename = self._filename
        except BaseException:
            self.discard()
            raise
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the file where the block raised nothing; else nothing is left of it."""
        try:
            if kind is None and self._file is not None and not self._file.is_forked:
                self._file.flush()
                self._send(self._file)
        finally:
            self.discard()

    def _send(self, file: ResultFile) -> None:
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

    def discard(self) -> None:
        """Remove the file of the scratch space; a result that is complete stays."""
        if self._file is None:
            return
        with suppress(OSError, ValueError):  # On a full disk closing fails, too, and the file is removed anyway.
            self._file.close()
        if not self._file.is_forked:
            self._path.unlink(missing_ok=True)
            self._file = None
