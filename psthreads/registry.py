"""The processes that can be started, and the decorator that registers one.

A process is a plain function whose first parameter is the context; every other parameter is a
parameter of the request, with the type, the default and the bounds that the signature gives:

    @process(title="Counting in {group}", route="/members/{member}/groups/{group}/count")
    def count(context: Context, to: Annotated[int, Bounds(1, 1000)] = 10) -> None:
        '''Counts to a number.'''
        with context.bar("progress", total=to) as bar:
            for number in bar.iter(range(to)):
                context.message(f"At {number}")
"""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Union, get_args, get_origin, get_type_hints

from psthreads.access import Group, Member, Role
from psthreads.documents import GroupFolder
from psthreads.errors import BadParameter, MissingParameter
from psthreads.model import clean

Value = str | int | float | bool
"""What a parameter of a process may hold: what JSON carries as a scalar."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_WRAPPERS: Final = ("", "load-unzip", "load-start")  # schemas/thread.xsd has an element for each
_MAX_CHARACTERS: Final = 4096


class Scope(StrEnum):
    """Whether a process works on a group or on the whole server."""

    GROUP = "group"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a number, or length of a text in characters."""

    least: float | None = None
    greatest: float | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a process, as its function's signature declares it.

    `name` is the keyword of the function, `wire` the name in a request (hyphens for underscores);
    `default` is None where the parameter must be given.
    """

    name: str
    kind: type[str | int | float | bool]
    default: Value | None
    bounds: Bounds = Bounds()
    choices: tuple[str, ...] = ()

    @property
    def wire(self) -> str:
        """The parameter's name in a request."""
        return self.name.replace("_", "-")

    def read(self, text: str) -> Value:
        """The value that a request's text stands for; raises BadParameter when it stands for none."""
        value = self._convert(text)
        if self.choices and value not in self.choices:
            raise self._bad(text, f"one of {', '.join(self.choices)}")
        if not isinstance(value, bool):
            size = len(value) if isinstance(value, str) else value
            unit = " characters" if isinstance(value, str) else ""
            greatest = self.bounds.greatest
            if isinstance(value, str) and greatest is None:
                greatest = _MAX_CHARACTERS
            if self.bounds.least is not None and size < self.bounds.least:
                raise self._bad(text, f"at least {self.bounds.least:g}{unit}")
            if greatest is not None and size > greatest:
                raise self._bad(text, f"at most {greatest:g}{unit}")
        return value

    def _convert(self, text: str) -> Value:
        if self.kind is str:
            if clean(text, limit=len(text)) != text:
                raise self._bad(text, "text without control characters")
            return text
        if self.kind is bool:
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise self._bad(text, "true or false")
        try:
            return self.kind(text)
        except ValueError:
            wanted = "a whole number" if self.kind is int else "a number"
            raise self._bad(text, wanted) from None

    def _bad(self, text: str, wanted: str) -> BadParameter:
        shown = clean(text, limit=80)
        return BadParameter(self.wire, f"Parameter '{self.wire}' is '{shown}', but must be {wanted}.")


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

    def add(self, process: Process) -> None:
        """Add a process; raises ValueError when its name is taken."""
        if process.name in self._processes:
            msg = f"A process named '{process.name}' is registered already"
            raise ValueError(msg)
        self._processes[process.name] = process

    def find(self, name: str) -> Process | None:
        """The process of that name, or None."""
        return self._processes.get(name)

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)


_DECLARED: Final[list[Process]] = []
"""Every process that a module which was imported has declared; `load` picks from them."""


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
    a group, `{group}`. `role` is the least role that may start it; work on the whole server is for
    administrators. `time_limit` is in seconds, 0 for the setting's default. `restartable` says
    that it may run again from its start when its worker is lost. `exclusive` says that it changes the
    group's documents: such threads run one at a time in a group. One that is not `killable` gets as long as it
    needs to clean up after a cancel, unless that is forced. `wrapper` names an element to
    put around the thread in the answer. Raises ValueError for a declaration that cannot work.
    """

    def register(function: Callable[..., Any]) -> Process:
        made = Process(
            name=name or function.__name__.replace("_", "-"),
            function=function,
            title=title,
            route=route,
            methods=methods,
            scope=Scope.GROUP if "{group}" in route else Scope.SERVER,
            role=role,
            parameters=tuple(_parameters(function)),
            time_limit=time_limit,
            restartable=restartable,
            exclusive=exclusive,
            killable=killable,
            wrapper=wrapper,
        )
        _check(made)
        _DECLARED.append(made)
        return made

    return register


def load(modules: tuple[str, ...]) -> Registry:
    """Import the modules, or packages, and return a registry of the processes that they declare.

    What some other module declares is not in it, even if it was imported. Raises ImportError when one of
    the modules cannot be imported, and ValueError when two of the processes have the same name.
    """
    for module in modules:
        importlib.import_module(module)
    registry = Registry()
    for declared in _DECLARED:
        home = declared.function.__module__
        if any(home == module or home.startswith(f"{module}.") for module in modules):
            registry.add(declared)
    return registry


def _check(process: Process) -> None:
    if "{member}" not in process.route:
        msg = f"The route of '{process.name}' must hold {{member}}, who the work is done for"
        raise ValueError(msg)
    if process.wrapper not in _WRAPPERS:
        msg = f"The wrapper of '{process.name}' must be one that the schema knows: {', '.join(_WRAPPERS[1:])}"
        raise ValueError(msg)


def _parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for declared in list(inspect.signature(function).parameters.values())[1:]:
        kind, bounds, choices = _kind(function, declared.name, hints.get(declared.name, str))
        default = None if declared.default is inspect.Parameter.empty else declared.default
        yield Parameter(declared.name, kind, default, bounds, choices)


def _kind(
    function: Callable[..., Any], name: str, hint: Any
) -> tuple[type[str | int | float | bool], Bounds, tuple[str, ...]]:
    bounds = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Bounds)), Bounds())
    hint = getattr(hint, "__origin__", hint) if hasattr(hint, "__metadata__") else hint
    if get_origin(hint) is Literal:
        return str, bounds, tuple(str(choice) for choice in get_args(hint))
    if hint in {str, int, float, bool}:
        return hint, bounds, ()
    is_union = get_origin(hint) in {Union, types.UnionType}
    wanted = "one type, not a union" if is_union else "str, int, float, bool or Literal"
    msg = f"Parameter '{name}' of process '{function.__name__}' must be {wanted}"
    raise ValueError(msg)
