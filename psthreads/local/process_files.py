"""The files of the processes, watched for changes while somebody writes them.

Their modules are never imported here: a process that is imported once stays as it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from psthreads.authoring.plugins import modules_of_plugins

_MOST_FILES: Final = 2_000


class ProcessFiles:
    """The Python files of these modules and packages, and of the installed plug-ins.

    Of a package all files below it count, of a module those beside it, which it may import.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        self._names = (*modules, *modules_of_plugins())
        self._seen = self._times()
        self._moving = self._seen

    def changes(self) -> list[Path]:
        """Return the files that have been written, made or removed since the last change; none while some still are."""
        now = self._times()
        is_quiet, self._moving = now == self._moving, now
        if not is_quiet or now == self._seen:
            return []
        changed = [path for path in now.keys() | self._seen.keys() if now.get(path) != self._seen.get(path)]
        self._seen = now
        return sorted(changed)

    def _times(self) -> dict[Path, int]:
        times: dict[Path, int] = {}
        for path in self._paths():
            try:
                times[path] = path.stat().st_mtime_ns
            except OSError:
                continue  # It has just gone.
            if len(times) == _MOST_FILES:
                break
        return times

    def _paths(self) -> Iterator[Path]:
        for name in self._names:
            file = _file_of(name)
            if file is not None:
                yield from file.parent.rglob("*.py") if file.name == "__init__.py" else file.parent.glob("*.py")


def _file_of(name: str) -> Path | None:
    """Return the file of a module or package, looked for as the programs that import it do."""
    top, *rest = name.split(".")
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 (a string, as in sys.path)
        sys.path.insert(0, here)
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    file = Path(spec.origin)
    return file.parent.joinpath(*rest, "__init__.py") if rest and (file.parent.joinpath(*rest)).is_dir() else file
