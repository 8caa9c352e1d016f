"""The cheap services that PageSeeder's clients call before all others: the version, the caller, a group."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, g

from psthreads.domain.access import Caller
from psthreads.telemetry import logs
from psthreads.web.auth.guard import Guard
from psthreads.web.http import respond
from psthreads.web.http.operation import Operation, Who, declares, service
from psthreads.web.http.routing import add_service
from psthreads.web.services import Services

_MAJOR: Final = 6
_BUILD: Final = 2000
"""The version of PageSeeder whose thread services these are. Its clients compare it, as one number."""


def make_version_blueprint(_services: Services, guard: Guard) -> Blueprint:
    """Return the route that says the version, open to everybody."""
    blueprint = Blueprint("version", __name__)
    blueprint.before_request(guard.anyone)

    @declares(Operation("Says the version", Who.EVERYBODY, {200: service("The version", "version")}))
    def version() -> Response:
        number = {"major": _MAJOR, "build": _BUILD, "string": f"{_MAJOR}.{_BUILD}"}
        return respond.simple("version", {**number, "product": "psthreads", "release": logs.release()})

    add_service(blueprint, "/version", version, ["GET"])
    return blueprint


def make_blueprint(_services: Services, guard: Guard) -> Blueprint:
    """Return the routes that describe the caller, and a group to its members."""
    blueprint = Blueprint("self", __name__)
    blueprint.before_request(guard.insider)

    @declares(Operation("Describes the caller", Who.MEMBER, {200: service("The member", "member")}))
    def own() -> Response:
        caller: Caller = g.caller
        name = caller.member.username
        attributes = {"id": caller.member.id, "username": name, "firstname": "", "surname": name, "status": "activated"}
        return respond.simple("member", attributes, {"fullname": name})

    @declares(Operation("Describes a group", Who.INSIDER, {200: service("The group", "group")}))
    def group(**_: str) -> Response:
        place = g.caller.group
        about = {"description": "", "owner": "", "access": "member", "common": False}
        return respond.simple("group", {"id": place.id, "name": place.name, **about})

    add_service(blueprint, "/self", own, ["GET"])
    add_service(blueprint, "/groups/<group>", group, ["GET"], "group")
    return blueprint
