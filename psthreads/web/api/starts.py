"""The services that start threads: one route for each registered process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, g, request, send_file
from werkzeug.exceptions import MethodNotAllowed

from psthreads.authoring.parameter import Value
from psthreads.authoring.process import Answer, Process, Scope
from psthreads.domain import access
from psthreads.domain.access import Caller, Group, Member
from psthreads.domain.errors import BadParameter, NotAllowed, NotFound
from psthreads.domain.model import Thread
from psthreads.service import starting
from psthreads.system.thread_pool import Pool
from psthreads.telemetry import trace_context
from psthreads.web.api import operations
from psthreads.web.auth.guard import Guard
from psthreads.web.current import current_globals, current_request
from psthreads.web.http import parameters, respond
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.http.operation import (
    FORM,
    IDEMPOTENCY_KEY,
    JSON,
    MULTIPART,
    PREFER,
    XML,
    DeclaredResponse,
    Operation,
    Who,
    service,
)
from psthreads.web.http.routing import add_service, thread_url
from psthreads.web.services import Services

_LONGEST_KEY: Final = 255


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the routes of the registered processes."""
    blueprint = Blueprint("starts", __name__)
    blueprint.before_request(lambda: guard.start(services.registry.find(_endpoint())))

    def start(**path: str) -> Response:
        process: Process = current_globals().process
        if current_request().method not in process.methods:
            raise MethodNotAllowed(process.methods)  # Flask adds HEAD to GET, but it must not start anything.
        caller: Caller = current_globals().caller
        member = acting_member(services, path["member"])
        values = process.read(parameters.values())
        key, wait = _idempotency_key(), parameters.preferred_wait()
        result = begin(services, process, values, member=member, group=caller.group, key=key)
        return send(result) if isinstance(result, Answer) else _answer(services, process, result, wait)

    for process in services.registry:
        rule = process.route.replace("{", "<").replace("}", ">")
        add_service(blueprint, rule, start, process.methods, process.name)
    return blueprint


def process_of(services: Services, name: str, *, may_start: Callable[[Process], bool]) -> Process:
    """Return the process of this name, for a page. Raises NotFound, and NotAllowed where `may_start` is false."""
    process = services.registry.find(name)
    if process is None:
        raise NotFound(f"There is no process '{name}': the page to start one lists those that there are.")
    if not may_start(process):
        raise NotAllowed(f"Starting '{process.name}' needs another role, or another place, than this.")
    return process


def form_key() -> str:
    """Return the idempotency key of a page's form: a form that is sent twice starts one thread."""
    return request.form.get("key", "")[:_LONGEST_KEY]


def begin(
    services: Services,
    process: Process,
    values: dict[str, Value],
    *,
    member: Member,
    group: Group | None,
    key: str = "",
) -> Thread | Answer:
    """Start a thread on behalf of the request, as `starting.begin` does. Raises TooManyRequests, too."""
    by, caller = request_origin(with_reason=False), g.caller.member
    return starting.begin(
        services.service,
        process,
        values,
        member=member,
        by=by,
        group=group,
        key=key,
        traceparent=trace_context.read(request.environ.get("HTTP_TRACEPARENT", "")),
        limits=services.start_limits.of(caller.id, by.username, group),
        do=lambda check: services.heavy_work.do(caller.id, check, Pool.CHECKS, services.config.check_limit),
    )


def declaration(process: Process) -> Operation:
    """Return the operation of a process's routes."""
    schema = "wrapper" if process.wrapper else "thread"
    answers = {
        200: service("The thread, which ended within the preferred wait", schema),
        202: service("The thread that was started", schema),
        409: service("The thread of this Idempotency-Key is deleted or expired", "error"),
        422: service("The Idempotency-Key was used for another request", "error"),
        507: service("A quota of the group is used up", "error"),
    }
    if process.file:
        meaning = "The thread, which ended within the preferred wait; or the file, where the work was done at once"
        answers[200] = DeclaredResponse(meaning, (XML, JSON, process.file), schema)
    summary = process.summary or f"Starts the process {process.name}"
    who = Who.SELF if process.scope is Scope.GROUP else Who.SERVER
    return Operation(summary, who, answers, process.parameters, (PREFER, IDEMPOTENCY_KEY), (FORM, MULTIPART))


def _answer(services: Services, process: Process, thread: Thread, wait: float | None) -> Response:
    headers = {
        "Location": _progress_url(thread),
        "Operation-Location": operations.location(services, thread),
        "Retry-After": str(respond.RETRY_SECONDS),
    }
    if wait is not None:
        with services.stream_limit.slot(g.caller) as is_free:
            if is_free:
                thread = services.feed.wait(thread, lambda now: now.status.is_final, wait)
        headers["Preference-Applied"] = f"wait={wait:g}"
        if thread.status.is_final:
            del headers["Retry-After"]
            return respond.thread(thread, wrapper=process.wrapper, headers=headers)
    return respond.thread(thread, status=202, wrapper=process.wrapper, headers=headers)


def _endpoint() -> str:
    return (request.endpoint or "").rpartition(".")[2]


def acting_member(services: Services, ref: str) -> Member:
    """Return the member that the path names. Raises NotAllowed where the caller may not act as that member."""
    caller: Caller = current_globals().caller
    own = caller.member
    if ref.removeprefix("~").lower() in {own.username.lower(), str(own.id)}:
        return own
    if not own.admin:
        raise NotAllowed(f"You are signed in as '{own.username}' and may only act as yourself.")
    member = services.directory.find_member(ref)
    if not access.may_act_as(caller, member):
        raise NotAllowed(f"You may not act as '{member.username}'.")
    return member


def _idempotency_key() -> str:
    key: str = request.environ.get("HTTP_IDEMPOTENCY_KEY", "")
    if len(key) > _LONGEST_KEY:
        raise BadParameter("Idempotency-Key", f"The Idempotency-Key is longer than {_LONGEST_KEY} characters.")
    return key


def _progress_url(thread: Thread) -> str:
    """Return the path of the thread's progress, below the prefix of the request."""
    prefix = (current_request().endpoint or "").rpartition(".")[0].removeprefix("starts")
    context = current_globals()
    suffix = {"suffix": context.suffix} if "suffix" in context else {}
    if context.process.scope is Scope.GROUP:
        return thread_url(f"group{prefix}.progress", thread.id, group=thread.group_name, **suffix)
    return thread_url(f"server{prefix}.progress", thread.id, **suffix)


def send(answer: Answer) -> Response:
    """Send the file of an answer, and remove it."""
    # The file loses its name as soon as it is open: it is gone after the request, however that ends.
    file = answer.path.open("rb")
    answer.path.unlink()
    response = send_file(file, mimetype=answer.mimetype, as_attachment=True, download_name=answer.filename, etag=False)
    response.content_length = os.fstat(file.fileno()).st_size
    response.headers["Cache-Control"] = "no-store"
    return response
