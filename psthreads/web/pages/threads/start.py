"""Starting a process with a form, which is made of the parameters that the process declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flask import Blueprint, Response, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from psthreads.authoring.masking import Masker
from psthreads.authoring.parameter import as_text
from psthreads.authoring.process import Answer as Done
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
)
from psthreads.web.api import starts
from psthreads.web.auth.guard import Guard
from psthreads.web.pages import scope
from psthreads.web.pages.threads.thread import looks_secret
from psthreads.web.services import Services


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the list of processes and the form of each."""
    mask = Masker(services.config.mask)

    @blueprint.get("/start", provide_automatic_options=False)
    def start(**_: str) -> str:
        return render_template("start.html", processes=list(_here(services)))

    @blueprint.get("/start/<process>", provide_automatic_options=False)
    def start_process(process: str, **_: str) -> str:
        found = starts.process_of(services, process, may_start=_may_start)
        return form(found, {**_at_first(found), **_like(services, guard, mask, found), **request.args}, {})

    @blueprint.post("/start/<process>", provide_automatic_options=False)
    def start_now(process: str, **_: str) -> AnyResponse:
        found = starts.process_of(services, process, may_start=_may_start)
        given = _given(found)
        try:
            group, member = _group(services, found), _member(services)
            begun = starts.begin(services, found, found.read(given), member=member, group=group, key=starts.form_key())
        except Unavailable:
            raise
        except IdempotencyConflict:
            sentence = (
                "This form was sent before, with other values, and has started a thread: to start another, do so here."
            )
            return Response(form(found, {**request.form, **given}, {"": sentence}), 422)
        except PsthreadsError as problem:
            shown = form(found, {**request.form, **given}, {_field_of(problem): problem.message})
            again = {"Retry-After": str(problem.retry_after)} if isinstance(problem, TooManyRequests) else None
            return Response(shown, problem.status, again)
        if isinstance(begun, Done):
            return starts.send(begun)
        return redirect(scope.page("thread", thread=begun.id), 303)

    def form(process: Process, values: Mapping[str, str], problems: Mapping[str, str]) -> str:
        known = {"", "group", "member", *(one.wire for one in process.parameters)}
        return render_template(
            "start-process.html",
            process=process,
            values=values,
            problems=problems,
            other=[sentence for name, sentence in problems.items() if name not in known],
            asks_group=process.scope is Scope.GROUP and not scope.in_group(),
        )


def _like(services: Services, guard: Guard, mask: Masker, process: Process) -> dict[str, str]:
    """The parameters of another thread of this process, but for what looks like a secret."""
    if not request.args.get("like"):
        return {}
    other = guard.other_thread(request.args["like"])
    if other.process != process.name:
        return {}
    texts = process.texts(services.store.values(other.id))
    return {name: text for name, text in texts.items() if not looks_secret(mask, name, text)}


def _given(process: Process) -> dict[str, str]:
    """The parameters in the form: a box that is not ticked was not sent, an empty field stands for its default."""
    given: dict[str, str] = {}
    for one in process.parameters:
        text = request.form.get(one.wire, "false" if one.kind is bool else "")
        if text or one.default is None or one.kind is str:
            given[one.wire] = text
    return given


def _field_of(problem: PsthreadsError) -> str:
    """The field beside which a problem is told; empty for the head of the form."""
    if isinstance(problem, BadParameter):
        return problem.name
    if isinstance(problem, GroupNotFound):
        return "group"
    return "member" if isinstance(problem, MemberNotFound) else ""


def _at_first(process: Process) -> dict[str, str]:
    return {one.wire: as_text(one.default) for one in process.parameters if one.default is not None}


def _here(services: Services) -> Iterator[Process]:
    """What can be started in this part of the dashboard."""
    for process in services.registry:
        if (process.scope is Scope.GROUP or not scope.in_group()) and _may_start(process):
            yield process


def _may_start(process: Process) -> bool:
    return access.may_start(g.caller, process.role) and (process.scope is Scope.GROUP or not scope.in_group())


def _group(services: Services, process: Process) -> Group | None:
    """The group to work in; raises GroupNotFound, and BadParameter where none is named."""
    if process.scope is Scope.SERVER:
        return None
    if scope.in_group():
        group: Group = g.caller.group
        return group
    ref = request.form.get("group", "").strip()
    if not ref:
        raise BadParameter("group", "Name the group to work in.")
    return services.directory.find_group(ref)


def _member(services: Services) -> Member:
    """Whom the work is done for; raises MemberNotFound, and NotAllowed for others than oneself."""
    ref = request.form.get("member", "").strip()
    own: Member = g.caller.member
    return starts.acting(services, ref) if ref else own
