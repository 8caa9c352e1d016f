"""The temporary files of a thread: how many bytes it may have, and their removal when its horse was killed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

SECONDS: Final = 1.0
"""How often the worker looks, at most."""

_SHARE: Final = 20  # of the time, one part is for looking
_MIB: Final = 1024 * 1024


class ScratchLimit:
    """The limit, in bytes; and what the present thread was found to have in the scratch folder.

    Without a limit, 0, there is none; or, with `spares_disk`, it is half of what is free when a thread begins.
    """

    def __init__(self, folder: Path, limit: int, *, spares_disk: bool = False) -> None:
        self._folder = folder
        self._limit = limit
        self._spares_disk = spares_disk and not limit
        self._thread_id = ""
        self._next = 0.0
        self.sentence = ""

    def begin(self, thread_id: str) -> None:
        """Begin another thread."""
        self._thread_id, self.sentence, self._next = thread_id, "", 0.0
        if self._spares_disk:
            with suppress(OSError):  # The thread itself will be told.
                self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
                self._limit = shutil.disk_usage(self._folder).free // 2

    def is_exceeded(self, now: float) -> bool:
        """Return whether the thread has more; `sentence` then says so."""
        if self._limit and now >= self._next and not self.sentence:
            began = time.monotonic()
            if sum(self._sizes()) > self._limit:
                self.sentence = (
                    f"It had more than {self._limit / _MIB:,.0f} MiB of temporary files and was killed: "
                    "work on less at a time, or have PSTHREADS_SCRATCH_BYTES raised"
                )
            self._next = now + max(SECONDS, _SHARE * (time.monotonic() - began))
        return bool(self.sentence)

    def remove(self, thread_id: str) -> None:
        """Remove what a thread whose horse is dead has left."""
        for path in self._own(thread_id):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _own(self, thread_id: str) -> list[Path]:
        return list(self._folder.glob(f"{thread_id}-*")) if thread_id else []

    def _sizes(self) -> Iterator[int]:
        for path in self._own(self._thread_id):
            with suppress(OSError):
                yield path.lstat().st_blocks * 512
            for folder, _, names in os.walk(path):
                for name in names:
                    with suppress(OSError):
                        yield (Path(folder) / name).lstat().st_size
