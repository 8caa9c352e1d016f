"""Results of threads that Redis does not know: since when they are that, as the store itself remembers.

A result that has no tombstone is removed only after it was ownerless for days. That time is counted in ticks of Redis,
so neither a clock that is set nor a service that was off makes it pass.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from psthreads.documents.folders.folder import Folder
from psthreads.documents.storage import OWNERLESS_TICKS

_LONGEST: Final = 100  # bytes


class OwnerlessFolder:
    """What one sweep sees of ownerless results; the observations of earlier ones are in a folder of the store.

    An observation counts for one installation only. Methods raise OSError.
    """

    def __init__(self, root: Path, installation: str, ticks: int) -> None:
        self._installation = installation
        self._ticks = ticks
        path = root / ".psthreads" / "ownerless"
        path.mkdir(mode=0o750, exist_ok=True)
        self._folder = Folder.at(path)
        self._earlier = set(os.listdir(self._folder.fd))  # noqa: PTH208 (of an open folder)

    def due(self, thread_ids: Collection[str]) -> set[str]:
        """Note that these threads are unknown to Redis; return those that have been for long enough."""
        return {thread_id for thread_id in thread_ids if self._ticks - self._since(thread_id) >= OWNERLESS_TICKS}

    def end(self) -> None:
        """Forget results that were ownerless in an earlier sweep, and not in this one."""
        for thread_id in self._earlier:
            with suppress(FileNotFoundError):
                os.unlink(thread_id, dir_fd=self._folder.fd)

    def _since(self, thread_id: str) -> int:
        if thread_id in self._earlier:
            self._earlier.discard(thread_id)
            with suppress(OSError, ValueError), os.fdopen(self._folder.open(thread_id, os.O_RDONLY), "rb") as file:
                installation, since = file.read(_LONGEST).decode().split()
                if installation == self._installation:
                    return int(since)
        fd = self._folder.open(thread_id, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(fd, f"{self._installation} {self._ticks}".encode())
        finally:
            os.close(fd)
        return self._ticks
