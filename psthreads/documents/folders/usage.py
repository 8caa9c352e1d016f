"""Measures how much of the documents' disk each group uses, in steps too small to delay anything."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from psthreads.documents.folders.folder import Folder
from psthreads.documents.storage import KINDS, DiskUsage

_STEP: Final = 500  # files


def measure(root: Path) -> Iterator[DiskUsage | None]:
    """Yield the use of each group and kind, and None after each small step. Files that vanish are left out."""
    for kind in KINDS:
        for path in _groups(root / kind):
            files = size = 0
            with suppress(OSError):
                for folder, names in Folder.at(path).below():
                    yield None
                    for name, is_folder in names:
                        if is_folder:
                            continue
                        with suppress(OSError):
                            status = folder.stat(name)
                            if stat.S_ISREG(status.st_mode):
                                files, size = files + 1, size + status.st_size
                        if not files % _STEP:
                            yield None
            yield DiskUsage(int(path.name), kind, files, size)


def _groups(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if entry.name.isdecimal() and entry.name.isascii())
    except OSError:
        return []
