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

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from string import Formatter
from typing import Any, Final, Protocol
from urllib.parse import quote

from lxml import etree

from psthreads.authoring.parameter import Bounds, Parameter, Value, as_text, declared
from psthreads.documents.layout import GroupFolder
from psthreads.documents.loading_zone import LoadingZone
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import MissingParameter

__all__ = ["Answer", "Bounds", "Parameter", "Process", "Registry", "Scope", "Start", "Value", "declared_in", "process"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~@+-]|\{(?:member|group)\})+\Z")
_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
# The elements of schemas/thread.xsd that are something else.
_ELEMENTS: Final = frozenset(
    {"thread", "threads", "thread-cancel", "logs", "error", "processes", "upload", "uploads", "load-clear"}
)
# Where the services are that are no process's.
_SERVICES: Final = (
    *("/threads", "/processes", "/groups/{group}/threads", "/groups/{group}/processes"),
    "/members/{member}/groups/{group}/loadingzone/clear",
)
_PAGES: Final = ("/ps", "/schemas", "/static", "/dashboard")


class Scope(StrEnum):
    """Whether a process works on a group or on the whole server."""

    GROUP = "group"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Answer:
    """A result that is given at once, without a thread: a file to send and then remove."""

    path: Path
    filename: str
    mimetype: str


@dataclass(frozen=True, slots=True)
class Start:
    """What a start is about, for a process's own check: where it works, for whom, and how."""

    member: Member
    group: Group | None
    folder: GroupFolder | None
    scratch: Path
    values: Mapping[str, Value]
    loading_zone: LoadingZone | None = None


class _Check(Protocol):
    def __call__(self, start: Start) -> Answer | None: ...


@dataclass(slots=True)
class Process:
    """A kind of work that can be started. `time_limit` is in seconds, 0 for the setting's default."""

    name: str
    function: Callable[..., Any]
    title: str
    route: str
    methods: tuple[str, ...]
    scope: Scope
    role: Role
    parameters: tuple[Parameter, ...]
    time_limit: float
    restartable: bool
    exclusive: bool
    killable: bool
    wrapper: str
    checks: list[_Check] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def home(self) -> str:
        """The module and the name of the function, as messages about the process say it."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def path(self, member: Member, group: Group | None = None) -> str:
        """The route below the prefix, filled in; `{group}` stays where no group is given."""
        path = self.route.replace("{member}", quote(member.username, safe="@"))
        return path if group is None else path.replace("{group}", quote(group.name, safe="@"))

    def read(self, values: Mapping[str, str]) -> dict[str, Value]:
        """The function's keyword arguments out of a request's parameters.

        Raises MissingParameter or BadParameter for the first that is absent or wrong. What the
        process does not declare is ignored, since old clients send parameters of their own.
        """
        read: dict[str, Value] = {}
        for parameter in self.parameters:
            text = values.get(parameter.wire)
            if text is not None:
                read[parameter.name] = parameter.read(text)
            elif parameter.default is None:
                raise MissingParameter(parameter.wire)
            else:
                read[parameter.name] = parameter.default
        return read

    def texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        """What `read` takes, out of what it gave; what is not declared any more is left out."""
        return {one.wire: as_text(values[one.name]) for one in self.parameters if one.name in values}

    def check(self, function: _Check) -> _Check:
        """Register a check that runs before a thread is started; usable as a decorator.

        It raises a BadParameter or a DocumentNotFound to refuse the start, or returns an Answer
        that is sent in place of a thread.
        """
        self.checks.append(function)
        return function


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
            for check in (_check_function, _check_route, _check_title, _check_options):
                check(made)
        except ValueError as error:
            raise ValueError(f"The process '{called}' cannot be declared so: {error}") from None
        # A module that is imported again declares the same again.
        _DECLARED[:] = [one for one in _DECLARED if _place(one) != _place(made)]
        _DECLARED.append(made)
        return made

    return register


def _place(process: Process) -> tuple[str, int]:
    return process.home, process.function.__code__.co_firstlineno


def _check_function(process: Process) -> None:
    if not _NAME.match(process.name):
        raise ValueError("its name must be of letters, digits, '_' and '-', at most 64, and start with no '-'")
    late = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_late(process.function) for is_late in late):
        raise ValueError("its function must do the work when it is called: without async, and without yield")


def _check_route(process: Process) -> None:
    segments = process.route.split("/")
    if not process.route.startswith("/") or not all(map(_SEGMENT.match, segments[1:])):
        raise ValueError(
            f"its route '{process.route}' must be a path such as /members/{{member}}/groups/{{group}}/count, in "
            "which only {member} and {group} stand for something"
        )
    for part in ("{member}", "{group}"):
        if process.route.count(part) > 1:
            raise ValueError(f"its route holds {part} more than once")
    if "{member}" not in process.route:
        raise ValueError("its route must hold {member}, who the work is done for")
    if process.route.endswith((".xml", ".json")):
        raise ValueError("its route must not end in .xml or .json: that is how a request asks for a format")
    if any(f"{process.route}/".startswith(f"{taken}/") for taken in (*_SERVICES, *_PAGES)):
        raise ValueError(f"its route '{process.route}' is among those of the services: choose another one")


def _check_title(process: Process) -> None:
    usable = {"member": "jjones", **({"group": "acme"} if process.scope is Scope.GROUP else {})}
    samples = usable | {one.name: one.kind() if one.default is None else one.default for one in process.parameters}
    try:
        unknown = {field for _, field, _, _ in Formatter().parse(process.title) if field is not None} - samples.keys()
        known = ", ".join(f"{{{one}}}" for one in samples)
        problem = f"{{{min(unknown)}}} stands for nothing in it, only {known} do" if unknown else ""
        if not unknown:
            process.title.format(**samples)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        problem = str(error)
    if problem:
        raise ValueError(f"its title '{process.title}' cannot be filled in: {problem}")
    if not process.title.strip():
        raise ValueError("its title is empty: say what a thread of it does, such as 'Counting in {group}'")


def _check_options(process: Process) -> None:
    methods = process.methods
    if not isinstance(methods, tuple) or not methods or not set(methods) <= set(_METHODS):
        raise ValueError(f"its methods must be a tuple of some of {', '.join(_METHODS)}")
    if process.role not in set(Role):
        raise ValueError("its role must be one of psthreads.domain.access.Role")
    limit = process.time_limit
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < float("inf"):
        raise ValueError("its time limit must be a number of seconds, or 0 for the setting's default")
    if process.wrapper:
        _check_wrapper(process.wrapper)


def _check_wrapper(wrapper: str) -> None:
    try:
        is_name = etree.QName(wrapper).localname == wrapper
    except ValueError:
        is_name = False
    if not is_name or ":" in wrapper:
        raise ValueError(f"its wrapper '{wrapper}' must be an XML name without a colon")
    if wrapper in _ELEMENTS:
        raise ValueError(f"its wrapper '{wrapper}' is the name of another answer: choose another one")
