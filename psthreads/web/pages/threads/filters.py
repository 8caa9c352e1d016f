"""The filters of a list of threads, read from an address or a form, and written into addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from flask import g, request

from psthreads.authoring.parameter import Bounds, Parameter, read_timestamp
from psthreads.authoring.registry import Registry
from psthreads.domain.errors import BadParameter, GroupNotFound, MemberNotFound, PsthreadsError
from psthreads.domain.model import SERVER_WIDE, Status
from psthreads.identity.directory import Directory
from psthreads.threads.records import Kind
from psthreads.threads.search import ThreadQuery, is_id
from psthreads.web.pages import scope

KINDS: Final = ("active", "finished", "all", *(str(status) for status in Status))
_NAMES: Final = ("status", "process", "group", "member", "since", "until", "text")
_TEXT: Final = Parameter("text", str, "", Bounds(greatest=200))
_NO_MEMBER: Final = -1


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as the member wrote them and as a query. `problems` holds a sentence for each wrong field."""

    values: Mapping[str, str]
    query: ThreadQuery
    problems: Mapping[str, str]

    @property
    def kind(self) -> str:
        """The status, `active`, `finished` or `all`."""
        return str(self.query.kind)

    @property
    def is_finished(self) -> bool:
        """Whether the list holds finished threads."""
        return self.kind == "finished" or (self.kind not in {"active", "all"} and Status(self.kind).is_final)

    @property
    def are_set(self) -> bool:
        """Whether any filter besides the status is set."""
        return any(value for name, value in self.values.items() if name != "status")

    def url(self, **others: str) -> str:
        """Return the address of the list with these filters; `others` replace or add parameters."""
        values = {name: value for name, value in {**self.values, **others}.items() if value}
        if values.get("status") == "active":
            del values["status"]
        return scope.page("threads", **values)

    @property
    def failures_url(self) -> str:
        """The address of the failures by cause, with these filters."""
        return scope.page(
            "failures", **{name: value for name, value in self.values.items() if value and name != "status"}
        )


def read(directory: Directory, registry: Registry, status: str = "") -> Filters:
    """Return the filters in the request's query or form; with a `status`, of a page that shows this one alone."""
    values = {name: request.values.get(name, "").strip() for name in _NAMES}
    values["status"] = status or values["status"]
    problems: dict[str, str] = {}

    def checked(name: str, convert: Callable[[str], Any], default: Any) -> Any:
        if not values[name]:
            return default
        try:
            return convert(values[name])
        except PsthreadsError as problem:
            problems[name] = problem.message
            return default

    def group(ref: str) -> int:
        try:
            return directory.find_group(ref).id
        except GroupNotFound:
            raise BadParameter("group", f"There is no group '{ref}'.") from None

    def member(ref: str) -> int:
        try:
            return directory.find_member(ref).id
        except MemberNotFound:
            if scope.in_group():
                return _NO_MEMBER  # A group's page must not tell who is a member elsewhere.
            raise BadParameter("member", f"There is no member '{ref}'.") from None

    if scope.in_group():
        values["group"], group_id = "", g.caller.group.id
    else:
        group_id = checked("group", group, SERVER_WIDE)
    # Whoever looks for an id wants its thread, whatever became of it.
    values["status"] = checked("status", _status, "all" if is_id(values["text"]) else "active")
    query = ThreadQuery(
        kind=cast("Kind", values["status"]),
        group_id=group_id,
        member_id=checked("member", member, None),
        process=checked("process", partial(_process, registry), ""),
        since=checked("since", partial(read_timestamp, "since"), 0),
        till=checked("until", lambda text: read_timestamp("until", text) - 1, 0),
        text=checked("text", _text, ""),
    )
    return Filters(values, query, problems)


def _status(name: str) -> str:
    if name not in KINDS:
        raise BadParameter("status", f"There is no status '{name[:40]}'.")
    return name


def _process(registry: Registry, name: str) -> str:
    if registry.find(name) is None:
        raise BadParameter("process", f"There is no process '{name}'.")
    return name


def _text(text: str) -> str:
    try:
        return str(_TEXT.read(text))
    except BadParameter:
        raise BadParameter("text", "Use at most 200 characters, and no control characters.") from None
