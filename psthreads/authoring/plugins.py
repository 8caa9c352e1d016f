"""Loads the processes: from the modules in a setting, and from the installed plug-ins.

A plug-in is a distribution with entry points in the group `psthreads.processes`. Each names a module or a package that
declares processes.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from psthreads.authoring.registry import Registry, declared_in
from psthreads.domain.errors import ConfigError
from psthreads.domain.foreign import error_text

GROUP: Final = "psthreads.processes"
"""The group of the entry points."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A module or package to load; `named_by` and `remedy` are parts of the message about a problem with it."""

    module: str
    named_by: str
    remedy: str


def load(modules: Iterable[str]) -> Registry:
    """Import these modules or packages, and return a registry of the processes that they declare.

    Processes that other imported modules declare are not in it. Raises ConfigError, with a sentence that says what to
    correct, if a module cannot be imported or declares no process, or if two processes have the same name or route.
    """
    return _load(map(_of_setting, modules))


def load_all(modules: Iterable[str]) -> Registry:
    """Load the processes of these modules, as `load` does, and of every installed plug-in."""
    return _load([*map(_of_setting, modules), *_of_plugins()])


def modules_of_plugins() -> list[str]:
    """Return the names of the modules that the installed plug-ins name, without importing them."""
    return [point.module for point in entry_points(group=GROUP)]


def _of_setting(module: str) -> _Source:
    return _Source(module, "named in PSTHREADS_PROCESSES", "correct it, or take it out of PSTHREADS_PROCESSES")


def _of_plugins() -> Iterator[_Source]:
    for point in entry_points(group=GROUP):
        owner = _owner(point)
        if point.attr:
            raise ConfigError(
                f"The plug-in {owner} names '{point.value}' in its entry point '{point.name}', which must be a "
                f"module: name '{point.module}' there, or uninstall {owner}."
            )
        yield _Source(point.module, f"from the plug-in {owner}", f"correct it, or uninstall {owner}")


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"with the entry point '{point.name}'"


def _load(sources: Iterable[_Source]) -> Registry:
    # The working directory is in the path of a program that is started with -c or -m, and a process may leave it.
    sys.path[:] = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100 (strings, as in sys.path)
    registry = Registry()
    homes: set[str] = set()
    for source in sources:
        try:
            importlib.import_module(source.module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # A module may call sys.exit, for one.
            raise ConfigError(
                f"The processes of '{source.module}', {source.named_by}, cannot be imported "
                f"({error_text(error)}): {source.remedy}."
            ) from error
        processes = list(declared_in([source.module]))
        if not processes:
            raise ConfigError(
                f"The module '{source.module}', {source.named_by}, declares no process (a package must import "
                f"the modules that do): {source.remedy}."
            )
        for process in processes:
            # A module may be named twice, by itself and by its package.
            if process.home in homes and registry.find(process.name) is process:
                continue
            homes.add(process.home)
            try:
                registry.add(process, f" ({source.named_by})")
            except ValueError as error:
                raise ConfigError(f"{error}.") from None
    return registry
