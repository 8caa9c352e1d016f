"""The processes that can be started, and the decorator that registers one.

A process is a plain function whose first parameter is the context; every other parameter is a
parameter of the request, with the type, the default, the bounds and the description that the signature gives:

    @process(title="Counting in {group}", route="/members/{member}/groups/{group}/count")
    def count(context: Context, to: Annotated[int, Bounds(1, 1000), "the last number"] = 10) -> None:
        '''Counts to a number.'''
        with context.bar("progress", total=to) as bar:
            for number in bar.iter(range(to)):
                context.message(f"At {number}")

A declaration that cannot work is a ValueError when its module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from psthreads.authoring import declaration
from psthreads.authoring.parameter import declared
from psthreads.authoring.process import Process, Scope
from psthreads.domain.access import Role


class Registry:
    """The processes by name. A worker runs only what it finds here."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}

    def add(self, process: Process, source: str = "") -> None:
        """Add a process; raises ValueError when its name, or its route for one of its methods, is taken.

        `source` says in the message where it comes from.
        """
        where = f"{process.home}{source}"
        if (known := self._processes.get(process.name)) is not None:
            raise ValueError(
                f"Two processes are named '{process.name}': {known.home} and {where}. Give one of them another "
                "name with @process(name=…), or leave one of them out"
            )
        for other in self:
            if other.route == process.route and set(other.methods) & set(process.methods):
                raise ValueError(
                    f"Two processes have the route '{process.route}': {other.home} and {where}. Give one of "
                    "them another route, or leave one of them out"
                )
        self._processes[process.name] = process

    def find(self, name: str) -> Process | None:
        """The process of that name, or None."""
        return self._processes.get(name)

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)


_DECLARED: Final[list[Process]] = []
"""Every process that a module which was imported has declared; plugins.py picks from them."""


def declared_in(modules: Iterable[str]) -> Iterator[Process]:
    """The processes that these modules, or the modules of these packages, have declared."""
    packages = tuple(f"{module}." for module in modules)
    return (process for process in _DECLARED if f"{process.function.__module__}.".startswith(packages))


def process(
    *,
    title: str,
    route: str,
    name: str = "",
    methods: tuple[str, ...] = ("POST",),
    role: Role = Role.CONTRIBUTOR,
    time_limit: float = 0,
    restartable: bool = False,
    exclusive: bool = False,
    killable: bool = True,
    wrapper: str = "",
) -> Callable[[Callable[..., Any]], Process]:
    """Register a function as a process.

    `title` names a thread of it ("Exporting {path} of {group}": the group's and the member's name
    and the parameters can be used). `route` is below the prefix, with `{member}` and, for work on
    a group, `{group}`. `name` is the function's with hyphens where none is given. `role` is the least role
    that may start it; work on the whole server is for administrators. `time_limit` is in seconds, 0 for the
    setting's default. `restartable` says that it may run again from its start when its worker is lost.
    `exclusive` says that it changes the group's documents: such threads run one at a time in a group. One
    that is not `killable` gets as long as it needs to clean up after a cancel, unless that is forced.
    `wrapper` names an element to put around the thread in the answer. Raises ValueError, naming the process
    and what to mend, for a declaration that cannot work.
    """

    def register(function: Callable[..., Any]) -> Process:
        called = name or getattr(function, "__name__", "").replace("_", "-")
        try:
            made = Process(
                name=called,
                function=function,
                title=title,
                route=route,
                methods=methods,
                scope=Scope.GROUP if "{group}" in route else Scope.SERVER,
                role=role,
                parameters=tuple(declared(function)),
                time_limit=time_limit,
                restartable=restartable,
                exclusive=exclusive,
                killable=killable,
                wrapper=wrapper,
            )
            declaration.check(made)
        except ValueError as error:
            raise ValueError(f"The process '{called}' cannot be declared so: {error}") from None
        # A module that is imported again declares the same again.
        _DECLARED[:] = [one for one in _DECLARED if _place(one) != _place(made)]
        _DECLARED.append(made)
        return made

    return register


def _place(process: Process) -> tuple[str, int]:
    return process.home, process.function.__code__.co_firstlineno
