"""Removes what threads left behind on the documents' disk.

These are the results of threads that are gone, and the temporary files of those that ended without removing them. A
sweep is done in small steps, since whoever does it has other things to do meanwhile.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from psthreads.documents.folder import Folder
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.results import owner
from psthreads.system.thread_pool import off_the_loop

Ask = Callable[[Collection[str]], set[str]]
"""Tells of some ids of threads which of them something is true of."""

_MINUTE: Final = 60
_HOUR: Final = 3600
_BATCH: Final = 500  # names that are looked at in one step


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep has to know.

    `existing` and `unfinished` tell which threads there still are, and which of them may still write. `longest` is
    after how many seconds nobody writes to a file any more that shows no thread's id.
    """

    root: Path
    existing: Ask
    unfinished: Ask
    longest: float

    def steps(self) -> Iterator[int]:
        """Sweep once; gives after each small step how many files and folders it removed.

        What somebody else removes meanwhile, or what may not be removed, is passed over.
        """
        for group in _names(self.root / "results"):
            yield from self._flat(self.root / "results" / group)
        yield from self._flat(self.root / "tmp", are_results=False)
        for kind in ("groups", "loading"):
            yield from self._deep(self.root / kind)

    def _flat(self, path: Path, *, are_results: bool = True) -> Iterator[int]:
        """Results and the hidden files among them, or else what is in the folder for temporary files."""
        try:
            folder = Folder.at(path)
            scan = os.scandir(folder.fd)
        except OSError:
            return
        with scan:
            while names := [entry.name for entry in islice(scan, _BATCH)]:
                results = {name for name in names if are_results and not name.startswith(TEMPORARY)}
                gone = _others(results, self.existing)
                over = _others(set(names) - results, self.unfinished)
                for name in names:
                    age = _age(folder, name)
                    if (name in gone and age > _HOUR) if name in results else self._is_stale(name, age, over):
                        yield _remove(folder, name)
                yield 0

    def _is_stale(self, name: str, age: float, over: set[str]) -> bool:
        """Whether nobody needs a temporary file any more; `over` are those of threads that have ended."""
        if name in over:
            return age > 10 * _MINUTE
        if owner(name) is not None:
            return False
        # An answer that was given at once is one request's, and a request lasts no hour.
        return age > (_HOUR if name.startswith("export-") else self.longest)

    def _deep(self, root: Path) -> Iterator[int]:
        """Hidden files and folders, wherever they are below the root."""
        ways: list[tuple[str, ...]] = [()]
        while ways:
            way = ways.pop()
            try:
                folder = Folder.at(root)
                for name in way:
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
                            ways.append((*way, entry.name))
                    yield 0
            over = _others(hidden, self.unfinished)
            for name in hidden:
                if self._is_stale(name, _age(folder, name), over):
                    yield _remove(folder, name)


def _names(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir())
    except OSError:
        return []


def _others(names: Collection[str], ask: Ask) -> set[str]:
    """The names that hold the id of a thread for which the answer is no."""
    ids = {name: thread_id for name in names if (thread_id := owner(name)) is not None}
    left = set(ids.values())
    left -= ask(left) if left else left
    return {name for name, thread_id in ids.items() if thread_id in left}


def _age(folder: Folder, name: str) -> float:
    """The seconds since it was last written to; 0 for what is gone."""
    try:
        return time.time() - folder.look(name).st_mtime
    except OSError:
        return 0


def _remove(folder: Folder, name: str) -> int:
    with suppress(OSError):
        if stat.S_ISDIR(folder.look(name).st_mode):
            # This may take long, and does not follow links.
            off_the_loop(partial(shutil.rmtree, name, ignore_errors=True, dir_fd=folder.fd))
        else:
            os.unlink(name, dir_fd=folder.fd)
        return 1
    return 0
