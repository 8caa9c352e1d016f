"""Starting a process with a form that is made of the process's parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from flask import Blueprint, Response, g, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from psthreads.authoring.parameter import as_text
from psthreads.authoring.process import Process, Scope
from psthreads.domain import access
from psthreads.domain.access import Group, Member
from psthreads.domain.errors import (
    BadParameter,
    GroupNotFound,
    IdempotencyConflict,
    MemberNotFound,
    PsthreadsError,
    TooManyRequests,
    Unavailable,
    UnknownParameter,
)
from psthreads.domain.masking import Masker
from psthreads.web.api import starts
from psthreads.web.auth.guard import Guard
from psthreads.web.pages import scope
from psthreads.web.pages.threads import browse
from psthreads.web.pages.threads.thread import follow, looks_secret
from psthreads.web.services import Services

_OWN_FIELDS: Final = frozenset({"csrf_token", "group", "key", "like", "member"}) | browse.FIELDS


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the list of processes and the form of each."""
    form = _StartForm(services)

    @blueprint.get("/start")
    def start(**_: str) -> str:
        return render_template("start.html", processes=list(_available(services)))

    @blueprint.get("/start/<process>")
    def start_process(process: str, **_: str) -> str:
        target = starts.process_of(services, process, may_start=_may_start)
        problems = {name: UnknownParameter(name, _wires(target)).message for name in _unknown(target, request.args)}
        return form.page(
            target, {**_defaults(target), **_like(services, guard, form.mask, target), **request.args}, problems
        )

    @blueprint.post("/start/<process>")
    def start_now(process: str, **_: str) -> AnyResponse:
        target = starts.process_of(services, process, may_start=_may_start)
        values = _values(target, form.secrets(target))
        try:
            if request.form.get(browse.FOR) in browse.browsable(target):
                return Response(form.browsed(target, values))
            if (name := next(_unknown(target, request.form), None)) is not None:
                raise UnknownParameter(name, _wires(target))
            group, member = _group(services, target), _member(services)
            result = starts.begin(
                services, target, target.read(values), member=member, group=group, key=starts.form_key()
            )
        except Unavailable:
            raise
        except IdempotencyConflict:
            sentence = "This form has already started a thread with other values. Send it again to start another one."
            return Response(form.page(target, {**request.form, **values}, {"": sentence}), 422)
        except PsthreadsError as problem:
            page = form.page(target, {**request.form, **values}, {_field_of(problem): problem.message})
            headers = {"Retry-After": str(problem.retry_after)} if isinstance(problem, TooManyRequests) else None
            return Response(page, problem.status, headers)
        return follow(result)


class _StartForm:
    """The form of a process. What is typed into the field of a secret is not shown again."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.mask = Masker(services.config.mask)

    def page(self, process: Process, values: Mapping[str, str], problems: Mapping[str, str]) -> str:
        """Return the page with these values, and these problems beside their fields."""
        fields = {"", "group", "member", *(parameter.wire for parameter in process.parameters)}
        return render_template(
            "start-process.html",
            process=process,
            values=values,
            problems=problems,
            other_problems=[sentence for name, sentence in problems.items() if name not in fields],
            secrets=self.secrets(process),
            browsable=browse.browsable(process),
            needs_group=process.scope is Scope.GROUP and not scope.in_group(),
        )

    def browsed(self, process: Process, values: Mapping[str, str]) -> str:
        """Return the page of a folder, or the form with what was chosen there. Raises as `_group` does."""
        if browse.CHOSEN in request.form:
            chosen = {request.form[browse.FOR]: request.form[browse.CHOSEN]}
            return self.page(process, {**request.form, **values, **chosen}, {})
        return browse.page(self._services, process, _group(self._services, process), self.secrets(process))

    def secrets(self, process: Process) -> set[str]:
        """Return the names of the parameters that have the name of a secret."""
        return {each.wire for each in process.parameters if each.kind is str and looks_secret(self.mask, each.wire, "")}


def _wires(process: Process) -> list[str]:
    return [parameter.wire for parameter in process.parameters]


def _unknown(process: Process, fields: Iterable[str]) -> Iterator[str]:
    """Yield the fields that neither the process nor the page reads."""
    return (name for name in fields if name not in {*_wires(process), *_OWN_FIELDS})


def _like(services: Services, guard: Guard, mask: Masker, process: Process) -> dict[str, str]:
    """Return the parameters of another thread of this process, without those that look like secrets."""
    if not request.args.get("like"):
        return {}
    other = guard.other_thread(request.args["like"])
    if other.process != process.name:
        return {}
    texts = process.texts(services.store.values(other.id))
    return {name: text for name, text in texts.items() if not looks_secret(mask, name, text)}


def _values(process: Process, secrets: Collection[str]) -> dict[str, str]:
    """Return the parameters in the form. Browsers leave out an unticked box; an empty field means the default.

    An empty text is one, but a secret's field is empty because its default is not shown.
    """
    values: dict[str, str] = {}
    for parameter in process.parameters:
        text = request.form.get(parameter.wire, "false" if parameter.kind is bool else "")
        if text or parameter.default is None or (parameter.kind is str and parameter.wire not in secrets):
            values[parameter.wire] = text
    return values


def _field_of(problem: PsthreadsError) -> str:
    """Return the field that a problem belongs to, empty for the whole form."""
    if isinstance(problem, BadParameter):
        return problem.name
    if isinstance(problem, GroupNotFound):
        return "group"
    return "member" if isinstance(problem, MemberNotFound) else ""


def _defaults(process: Process) -> dict[str, str]:
    return {
        parameter.wire: as_text(parameter.default) for parameter in process.parameters if parameter.default is not None
    }


def _available(services: Services) -> Iterator[Process]:
    return (process for process in services.registry if _may_start(process))


def _may_start(process: Process) -> bool:
    return access.may_start(g.caller, process.role) and (process.scope is Scope.GROUP or not scope.in_group())


def _group(services: Services, process: Process) -> Group | None:
    """Return the group to work in. Raises GroupNotFound, and BadParameter where none is named."""
    if process.scope is Scope.SERVER:
        return None
    if scope.in_group():
        group: Group = g.caller.group
        return group
    ref = request.form.get("group", "").strip()
    if not ref:
        raise BadParameter("group", "Enter a group.")
    return services.directory.find_group(ref)


def _member(services: Services) -> Member:
    """Return the member to start for. Raises MemberNotFound, and NotAllowed where the caller may not act for them."""
    ref = request.form.get("member", "").strip()
    own: Member = g.caller.member
    return starts.acting_member(services, ref) if ref else own
