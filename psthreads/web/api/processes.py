"""The services that say what can be started here, by whoever is signed in."""

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
from psthreads.web.services import Services


def make_blueprint(services: Services, guard: Guard, prefix: str) -> Blueprint:
    """The list for the whole server, and the list for one group, with routes below this prefix."""
    blueprint = Blueprint("processes", __name__)
    blueprint.before_request(guard.insider)

    listing = Operation(
        "Lists what can be started here, by whoever asks", Who.INSIDER, {200: service("The processes", "processes")}
    )

    @declares(listing)
    def listed(**_: str) -> Response:
        caller: Caller = g.caller
        base = request.script_root + prefix
        found = _of_group(services, caller) if caller.group else _of_server(services, caller)
        limit = services.config.time_limit
        return respond.processes([_described(process, caller, base, process.time_limit or limit) for process in found])

    for endpoint, rule in (("server", "/processes"), ("group", "/groups/<group>/processes")):
        for suffix in ("", ".<any(xml, json):suffix>"):
            blueprint.add_url_rule(rule + suffix, endpoint, listed, methods=["GET"])
    return blueprint


def _of_group(services: Services, caller: Caller) -> Iterator[Process]:
    """What the role in this group allows."""
    return (one for one in services.registry if one.scope is Scope.GROUP and access.may_start(caller, one.role))


def _of_server(services: Services, caller: Caller) -> Iterator[Process]:
    """What may be started on the whole server, and what in one of the member's groups at least."""
    links = services.directory.memberships(caller.member)
    callers = [replace(caller, group=link.group, role=link.role) for link in links]
    for one in services.registry:
        where = [caller] if one.scope is Scope.SERVER or access.may_use_server(caller) else callers
        if any(access.may_start(there, one.role) for there in where):
            yield one


def _described(process: Process, caller: Caller, base: str, limit: float) -> dict[str, Any]:
    """The process in words and numbers that both formats can carry."""
    return {
        "name": process.name,
        "title": clean(process.title),
        "scope": process.scope.value,
        "role": process.role.value if process.scope is Scope.GROUP else "administrator",
        "methods": list(process.methods),
        "route": base + process.path(caller.member, caller.group),
        "restartable": process.restartable,
        "timeLimit": limit,
        "summary": clean(process.summary),
        "parameters": [_parameter(one) for one in process.parameters],
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.wire, "type": one.type, "required": one.default is None}
    if one.default is not None:
        found["default"] = clean(one.default) if isinstance(one.default, str) else one.default
    bounds = {"least": one.bounds.least, "greatest": one.greatest}
    found |= {name: bound for name, bound in bounds.items() if bound is not None}
    if one.choices:
        found["choices"] = [clean(choice) for choice in one.choices]
    if one.description:
        found["description"] = clean(one.description)
    return found
