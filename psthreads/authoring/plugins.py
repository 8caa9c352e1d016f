"""Finds the processes: in the modules that a setting names, and in the plug-ins that are installed.

A plug-in is a distribution with entry points of the group `psthreads.processes`, each of which points
to a module or a package that declares processes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from psthreads.authoring.registry import Registry, declared_in
from psthreads.domain.errors import ConfigError

GROUP: Final = "psthreads.processes"
"""The group of the entry points."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A module or package, and who names it, as messages say it."""

    module: str
    named_by: str
    remedy: str


def load(modules: Iterable[str]) -> Registry:
    """A registry of the processes that these modules, or packages, declare; each is imported.

    What some other module declares is not in it, even if it was imported. Raises ConfigError, with one
    sentence that says what to mend, where one of them cannot be imported or declares nothing, and where two
    processes have the same name or route.
    """
    return _load(map(_of_setting, modules))


def load_all(modules: Iterable[str]) -> Registry:
    """The same, with the processes of every plug-in that is installed."""
    return _load([*map(_of_setting, modules), *_installed()])


def _of_setting(module: str) -> _Source:
    return _Source(module, "named in PSTHREADS_PROCESSES", "mend it, or take it out of PSTHREADS_PROCESSES")


def _installed() -> Iterator[_Source]:
    for point in entry_points(group=GROUP):
        owner = _owner(point)
        if point.attr:
            raise ConfigError(
                f"The plug-in {owner} names '{point.value}' in its entry point '{point.name}', which must be a "
                f"module: name '{point.module}' there, or uninstall {owner}."
            )
        yield _Source(point.module, f"from the plug-in {owner}", f"mend it, or uninstall {owner}")


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"with the entry point '{point.name}'"


def _load(sources: Iterable[_Source]) -> Registry:
    registry = Registry()
    taken: set[str] = set()
    for source in sources:
        try:
            importlib.import_module(source.module)
        except Exception as error:
            raise ConfigError(
                f"The processes of '{source.module}', {source.named_by}, cannot be imported "
                f"({type(error).__name__}: {error}): {source.remedy}."
            ) from error
        found = list(declared_in([source.module]))
        if not found:
            raise ConfigError(
                f"The module '{source.module}', {source.named_by}, declares no process (a package must import "
                f"the modules that do): {source.remedy}."
            )
        for process in found:
            # One module may be named twice, by itself and by its package.
            if process.home in taken and registry.find(process.name) is process:
                continue
            taken.add(process.home)
            try:
                registry.add(process, f" ({source.named_by})")
            except ValueError as error:
                raise ConfigError(f"{error}.") from None
    return registry
