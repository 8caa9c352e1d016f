"""A process as a value: what its declaration says of it, and what its own checks are given and may answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from psthreads.authoring.parameter import Parameter, Value, as_text
from psthreads.documents.layout import GroupFolder
from psthreads.documents.loading_zone import LoadingZone
from psthreads.domain.access import Group, Member, Role
from psthreads.domain.errors import MissingParameter


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
