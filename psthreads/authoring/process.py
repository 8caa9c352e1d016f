"""The values of a process: its declaration, and what its checks take and return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from psthreads.authoring.parameter import Parameter, Value, as_text
from psthreads.authoring.returned import is_deferred
from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.zones import MemberZone
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import MissingParameter


class Scope(StrEnum):
    """The extent of a process: one group, or the whole server."""

    GROUP = "group"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a check that makes a thread needless: a file that is sent and then removed."""

    path: Path
    filename: str
    mimetype: str


@dataclass(frozen=True, slots=True)
class Start:
    """A requested start, as a process's check sees it. `group`, `folder` and `loading_zone` are None on the server."""

    member: Member
    group: Group | None
    folder: GroupDocuments | None
    scratch: Path
    values: Mapping[str, Value]
    loading_zone: MemberZone | None = None


class _Check(Protocol):
    def __call__(self, start: Start) -> Answer | None: ...


@dataclass(slots=True)
class Process:
    """A kind of work that can be started. `time_limit` is in seconds, or 0 for the setting's default."""

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
    isolated: bool = False
    file: str = ""
    checks: list[_Check] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def home(self) -> str:
        """The function's module and name, for messages about the process."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def path(self, member: Member, group: Group | None = None) -> str:
        """Fill in the route below the prefix; without a group, `{group}` stays in it."""
        path = self.route.replace("{member}", quote(member.username, safe="@"))
        return path if group is None else path.replace("{group}", quote(group.name, safe="@"))

    def read(self, values: Mapping[str, str]) -> dict[str, Value]:
        """Convert a request's parameters to the function's keyword arguments.

        Raises MissingParameter or BadParameter for the first that is absent or invalid. Whoever takes the values from
        a person or a program has refused those that the process does not declare.
        """
        arguments: dict[str, Value] = {}
        for parameter in self.parameters:
            text = values.get(parameter.wire)
            if text is not None:
                arguments[parameter.name] = parameter.read(text)
            elif parameter.default is None:
                raise MissingParameter(parameter.wire)
            else:
                arguments[parameter.name] = parameter.default
        return arguments

    def texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        """Convert keyword arguments back to a request's parameters, without those that are no longer declared."""
        return {
            parameter.wire: as_text(values[parameter.name]) for parameter in self.parameters if parameter.name in values
        }

    def check(self, function: _Check) -> _Check:
        """Register a check that runs before a thread is started; usable as a decorator.

        The check refuses the start by raising BadParameter or DocumentNotFound. An Answer that it returns is sent
        in place of a thread. Raises ValueError for a function that is async or has a yield.
        """
        if is_deferred(function):
            raise ValueError(
                f"A check of the process '{self.name}' must decide when it is called: without async or yield"
            )
        self.checks.append(function)
        return function
