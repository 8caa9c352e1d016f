"""The processes that can be started, and the decorator that registers one.

A process is a function whose first parameter is the context. Every other parameter is a parameter of the request;
the signature gives its type, default, bounds and description:

    @process(title="Counting in {group}", route="/members/{member}/groups/{group}/count")
    def count(context: Context, to: Annotated[int, Bounds(1, 1000), "the last number"] = 10) -> None:
        '''Counts to a number.'''
        with context.bar("progress", total=to) as bar:
            for number in bar.iter(range(to)):
                context.message(f"At {number}")

An invalid declaration raises ValueError when its module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from psthreads.authoring import declaration
from psthreads.authoring.parameter import parameters_of
from psthreads.authoring.process import Process, Scope
from psthreads.domain.access import Role


class Registry:
    """The processes by name, in the order in which they were added. A worker runs no others."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}

    def add(self, process: Process, source: str = "") -> None:
        """Add a process.

        Raises ValueError if another process has its name, or has its route for one of its methods. `source` says in
        the message where the process comes from.
        """
        homes = f"{process.home}{source}"
        if (other := self.find(process.name)) is not None:
            raise ValueError(
                f"Two processes are named '{process.name}': {other.home} and {homes}. Give one of them another "
                "name with @process(name=…), or leave one of them out"
            )
        for other in self:
            if other.route == process.route and set(other.methods) & set(process.methods):
                raise ValueError(
                    f"Two processes have the route '{process.route}': {other.home} and {homes}. Give one of "
                    "them another route, or leave one of them out"
                )
        self._processes[process.name] = process

    def find(self, name: str) -> Process | None:
        """Return the process of that name, or None."""
        return self._processes.get(name)

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)


_DECLARED: Final[list[Process]] = []
"""Every process that an imported module has declared; plugins.py picks from them."""


def declared_in(modules: Iterable[str]) -> Iterator[Process]:
    """Return the processes that these modules, or the modules in these packages, have declared."""
    packages = tuple(f"{module}." for module in modules)
    return (process for process in _DECLARED if f"{process.function.__module__}.".startswith(packages))


def process(
    *,
    title: str,
    route: str = "",
    name: str = "",
    methods: tuple[str, ...] = ("POST",),
    role: Role = Role.CONTRIBUTOR,
    time_limit: float = 0,
    restartable: bool = False,
    exclusive: bool = False,
    killable: bool = True,
    wrapper: str = "",
    isolated: bool = False,
    file: str = "",
) -> Callable[[Callable[..., Any]], Process]:
    """Declare the decorated function as a process.

    - `title` names a thread of the process, as in "Exporting {path} of {group}". Its placeholders are `{member}`,
      `{group}` and the parameters.
    - `route` is below the prefix, and contains `{member}` and, for work on a group, `{group}`. Without one it is
      made from the name: `/members/{member}/groups/{group}/NAME`.
    - `name` is by default the function's name with hyphens for underscores.
    - `role` is the least role that may start the process; only administrators start work on the whole server.
    - `time_limit` is in seconds, or 0 for the setting's default.
    - `restartable`: the process may run again from its start when its worker is lost.
    - `exclusive`: the process changes the group's documents. Such threads run one at a time in a group.
    - `killable`: False gives the process as long as it needs to clean up after a cancel, unless that is forced.
    - `isolated`: each thread of the process has an operating system process of its own, so that none sees what another
      one has left in modules. That costs a fork.
    - `wrapper` names an element to put around the thread in the response.
    - `file` is the media type of the file that a check may answer with, such as application/zip.

    Raises ValueError for an invalid declaration; the message names the process and what to correct.
    """

    def register(function: Callable[..., Any]) -> Process:
        process_name = name or getattr(function, "__name__", "").replace("_", "-")
        path = route or f"/members/{{member}}/groups/{{group}}/{process_name}"
        try:
            process = Process(
                name=process_name,
                function=function,
                title=title,
                route=path,
                methods=methods,
                scope=Scope.GROUP if "{group}" in path else Scope.SERVER,
                role=role,
                parameters=tuple(parameters_of(function)),
                time_limit=time_limit,
                restartable=restartable,
                exclusive=exclusive,
                killable=killable,
                wrapper=wrapper,
                isolated=isolated,
                file=file,
            )
            declaration.check(process)
        except ValueError as error:
            raise ValueError(f"The process '{process_name}' cannot be registered: {error}") from None
        # A module that is imported again declares its processes again.
        _DECLARED[:] = [other for other in _DECLARED if _place(other) != _place(process)]
        _DECLARED.append(process)
        return process

    return register


def _place(process: Process) -> tuple[str, int]:
    return process.home, process.function.__code__.co_firstlineno
