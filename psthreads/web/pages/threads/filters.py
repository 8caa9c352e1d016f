"""The filters of a list of threads: read from the address, and written into addresses again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from flask import g, request

from psthreads.authoring.parameter import Bounds, Parameter, read_timestamp
from psthreads.authoring.registry import Registry
from psthreads.domain.errors import BadParameter, MemberNotFound, PsthreadsError
from psthreads.domain.model import SERVER_WIDE, Status
from psthreads.identity.directory import Directory
from psthreads.threads.search import ThreadQuery
from psthreads.threads.store import Kind
from psthreads.web.pages import scope

KINDS: Final = ("active", "finished", *(str(status) for status in Status))
DECLARED: Final = (
    Parameter("status", str, "active", choices=KINDS, description="which threads"),
    Parameter("process", str, "", description="the name of their process"),
    Parameter("group", str, "", description="the name or id of their group; on the whole server's pages"),
    Parameter("member", str, "", description="the username or id of their member"),
    Parameter("since", str, "", description="accepted, or ended, at this time or later, in UTC: 2026-01-31T12:00"),
    Parameter("until", str, "", description="accepted, or ended, before this time"),
    Parameter("text", str, "", Bounds(greatest=200), description="what their name or message holds, in any case"),
)
"""The parameters that `read` takes."""

_NOBODY: Final = -1
_NAMES: Final = tuple(one.wire for one in DECLARED)


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for, as it was given in `given`, and as it is looked for; `problems` are sentences by field."""

    given: Mapping[str, str]
    wanted: ThreadQuery
    problems: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Which threads: a status, `active` or `finished`."""
        return str(self.wanted.kind)

    @property
    def is_finished(self) -> bool:
        """Whether it is about threads that have ended."""
        return self.kind == "finished" or (self.kind != "active" and Status(self.kind).is_final)

    @property
    def are_set(self) -> bool:
        """Whether anything but the status is asked for."""
        return any(value for name, value in self.given.items() if name != "status")

    def address(self, **others: str) -> str:
        """The address of the list with these filters; those in `others` in place of ours."""
        values = {name: value for name, value in {**self.given, **others}.items() if value}
        if values.get("status") == "active":
            del values["status"]
        return scope.page("threads", **values)


def read(directory: Directory, registry: Registry) -> Filters:
    """The filters of the request, from its query or its form. What is wrong with one is told in `problems`."""
    given = {name: request.values.get(name, "").strip() for name in _NAMES}
    problems: dict[str, str] = {}

    def checked(name: str, read_one: Callable[[str], Any], otherwise: Any) -> Any:
        if not given[name]:
            return otherwise
        try:
            return read_one(given[name])
        except PsthreadsError as problem:
            problems[name] = problem.message
            return otherwise

    declared = {one.wire: one for one in DECLARED}
    if scope.in_group():
        given["group"], group_id = "", g.caller.group.id
    else:
        group_id = checked("group", lambda ref: directory.find_group(ref).id, SERVER_WIDE)
    kind = checked("status", declared["status"].read, "active")
    given["status"] = kind

    def process(name: str) -> str:
        if registry.find(name) is None:
            raise BadParameter("process", f"There is no process '{name}'.")
        return name

    def member(ref: str) -> int:
        try:
            return directory.find_member(ref).id
        except MemberNotFound:
            if scope.in_group():
                return _NOBODY  # Who is a member elsewhere is not told here.
            raise

    wanted = ThreadQuery(
        kind=cast("Kind", kind),
        group_id=group_id,
        member_id=checked("member", member, None),
        process=checked("process", process, ""),
        since=checked("since", partial(read_timestamp, "since"), 0),
        till=checked("until", lambda text: read_timestamp("until", text) - 1, 0),
        text=checked("text", declared["text"].read, ""),
    )
    return Filters(given, wanted, problems)
