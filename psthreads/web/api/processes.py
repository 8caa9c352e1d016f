"""The services that list the processes that the caller may start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Parameter
from psthreads.authoring.process import Process, Scope
from psthreads.domain import access
from psthreads.domain.access import Caller
from psthreads.domain.model import clean
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.operation import Operation, Who, declares, service
from psthreads.web.http.routing import add_service
from psthreads.web.services import Services


def make_blueprint(services: Services, guard: Guard, prefix: str) -> Blueprint:
    """Return the list for the whole server and the list for a group. The routes in them begin with `prefix`."""
    blueprint = Blueprint("processes", __name__)
    blueprint.before_request(guard.insider)

    @declares(
        Operation(
            "Lists the processes that the caller may start",
            Who.INSIDER,
            {200: service("The processes", "processes")},
        )
    )
    def processes(**_: str) -> Response:
        caller: Caller = g.caller
        base = request.script_root + prefix
        allowed = _in_group(services, caller) if caller.group else _on_server(services, caller)
        limit = services.config.time_limit
        return respond.processes([_describe(process, caller, base, process.time_limit or limit) for process in allowed])

    for endpoint, rule in (("server", "/processes"), ("group", "/groups/<group>/processes")):
        add_service(blueprint, rule, processes, ["GET"], endpoint)
    return blueprint


def _in_group(services: Services, caller: Caller) -> Iterator[Process]:
    for process in services.registry:
        if process.scope is Scope.GROUP and access.may_start(caller, process.role):
            yield process


def _on_server(services: Services, caller: Caller) -> Iterator[Process]:
    """Yield the processes that the caller may start on the whole server, or in at least one group."""
    links = services.directory.memberships(caller.member)
    callers = [replace(caller, group=link.group, role=link.role) for link in links]
    for process in services.registry:
        candidates = [caller] if process.scope is Scope.SERVER or access.may_use_server(caller) else callers
        if any(access.may_start(candidate, process.role) for candidate in candidates):
            yield process


def _describe(process: Process, caller: Caller, base: str, limit: float) -> dict[str, Any]:
    """Return the process in values that both XML and JSON can carry."""
    return {
        "name": process.name,
        "title": clean(process.title),
        "scope": process.scope.value,
        "role": process.role.value if process.scope is Scope.GROUP else "administrator",
        "methods": list(process.methods),
        "route": base + process.path(caller.member, caller.group),
        "template": base + process.route,
        "restartable": process.restartable,
        "timeLimit": limit,
        "summary": clean(process.summary),
        "parameters": [_parameter(parameter) for parameter in process.parameters],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": parameter.wire,
        "type": parameter.type,
        "required": parameter.default is None,
    }
    default = parameter.default
    if default is not None:
        content["default"] = clean(default) if isinstance(default, str) else default
    bounds = {"least": parameter.bounds.least, "greatest": parameter.greatest}
    content |= {name: bound for name, bound in bounds.items() if bound is not None}
    if parameter.choices:
        content["choices"] = [clean(choice) for choice in parameter.choices]
    if parameter.description:
        content["description"] = clean(parameter.description)
    return content
