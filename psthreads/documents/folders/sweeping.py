"""Sweeps and measures the documents' disk, in steps so small that its caller can do other work between them."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from psthreads.documents.folders.folder import Folder
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.result_files import owner
from psthreads.documents.sweeping import SweepRules
from psthreads.system.thread_pool import off_the_loop

_MINUTE: Final = 60
_HOUR: Final = 3600
_BATCH: Final = 500  # names in one step


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep of the documents' disk."""

    root: Path
    rules: SweepRules

    def steps(self) -> Iterator[int]:
        """Sweep once; yields the number of removed files and folders after each small step.

        Files that vanish meanwhile, or cannot be removed, are skipped.
        """
        for group in _names(self.root / "results"):
            yield from self._sweep_folder(self.root / "results" / group)
        yield from self._sweep_folder(self.root / "tmp", are_results=False)
        for kind in ("groups", "loading"):
            yield from self._sweep_tree(self.root / kind)
        self.rules.ownerless.end()

    def temporary(self, path: Path) -> Iterator[int]:
        """Sweep a folder for temporary files alone, as `steps` does."""
        return self._sweep_folder(path, are_results=False)

    def _sweep_folder(self, path: Path, *, are_results: bool = True) -> Iterator[int]:
        """Sweep results and the hidden files among them, or the folder for temporary files."""
        try:
            folder = Folder.at(path)
            scan = os.scandir(folder.fd)
        except OSError:
            return
        with scan:
            while names := [entry.name for entry in islice(scan, _BATCH)]:
                results = {name for name in names if are_results and not name.startswith(TEMPORARY)}
                due, finished = self.rules.due(results), self.rules.finished(set(names) - results)
                for name in names:
                    if name in due or (name not in results and self._is_stale(name, _age(folder, name), finished)):
                        yield _remove(folder, name)
                yield 0

    def _is_stale(self, name: str, age: float, finished: set[str]) -> bool:
        """Tell whether a temporary file is useless; `finished` are the names of those whose threads have ended."""
        if name in finished:
            return age > 10 * _MINUTE
        if owner(name) is not None:
            return False
        # A file that is sent in place of a thread belongs to one request, and no request lasts an hour.
        return age > (_HOUR if name.startswith("export-") else self.rules.longest)

    def _sweep_tree(self, root: Path) -> Iterator[int]:
        """Sweep hidden files and folders, at any depth."""
        paths: list[tuple[str, ...]] = [()]
        while paths:
            path = paths.pop()
            try:
                folder = Folder.at(root)
                for name in path:
                    folder = folder.enter(name)
                scan = os.scandir(folder.fd)
            except OSError:
                continue
            hidden = []
            with scan:
                while entries := list(islice(scan, _BATCH)):
                    for entry in entries:
                        if entry.name.startswith(TEMPORARY):
                            hidden.append(entry.name)
                        elif entry.is_dir(follow_symlinks=False):
                            paths.append((*path, entry.name))
                    yield 0
            finished = self.rules.finished(hidden)
            for name in hidden:
                if self._is_stale(name, _age(folder, name), finished):
                    yield _remove(folder, name)


def sizes(root: Path) -> Iterator[list[int]]:
    """Yield the bytes of all files below a folder, in small steps. Files that vanish meanwhile are left out."""
    with suppress(OSError):
        for folder, names in Folder.at(root).below():
            files = iter([name for name, is_folder in names if not is_folder])
            yield []
            while batch := list(islice(files, _BATCH)):
                yield [size for name in batch if (size := _size(folder, name)) is not None]


def _names(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir())
    except OSError:
        return []


def _age(folder: Folder, name: str) -> float:
    """Return the seconds since the last write; 0 for a file that is gone."""
    try:
        return time.time() - folder.stat(name).st_mtime
    except OSError:
        return 0


def _remove(folder: Folder, name: str) -> int:
    with suppress(OSError):
        if stat.S_ISDIR(folder.stat(name).st_mode):
            # This may take long. It does not follow links.
            off_the_loop(partial(shutil.rmtree, name, ignore_errors=True, dir_fd=folder.fd))
        else:
            os.unlink(name, dir_fd=folder.fd)
        return 1
    return 0


def _size(folder: Folder, name: str) -> int | None:
    with suppress(OSError):
        status = folder.stat(name)
        if stat.S_ISREG(status.st_mode):
            return status.st_size
    return None
