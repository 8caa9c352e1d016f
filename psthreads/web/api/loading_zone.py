"""The services of a loading zone that answer at once: upload files, clear the zone.

A body is never held in memory, nor read before the caller and the group are known. An answer that comes before the
body's end closes the connection: the client stops sending what nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Parameter
from psthreads.documents.loading_zone import LoadingZone
from psthreads.domain.errors import MissingParameter
from psthreads.system.thread_pool import Pool
from psthreads.web.api.starts import acting_member
from psthreads.web.auth.guard import Guard
from psthreads.web.http import parameters, respond, unknown_parameters, uploads
from psthreads.web.http.operation import BYTES, MULTIPART, DeclaredResponse, Operation, Who, declares, service
from psthreads.web.http.routing import API_PREFIX, add_service
from psthreads.web.services import Services


class _NoGroup(MissingParameter):
    def __init__(self) -> None:
        super().__init__("group")
        self.args = ("Parameter 'group' is missing: add it to the query, or to the form before its first file.",)


_GROUP: Final = Parameter("group", str, None, description="the group's name or id")
_NAME: Final = Parameter("filename", str, None, description="the file's path in the loading zone, such as docs/a.xml")
_OTHER_NAME: Final = replace(_NAME, default="", description="another path than the file's own name, for a single file")


_FORM_FIELDS: Final = (_GROUP.wire, _NAME.wire, "file")


def _answers(schema: str) -> dict[int, DeclaredResponse]:
    return {
        200: service("Every file has replaced another", schema),
        201: service("The files are stored", schema),
        507: service("The server's disk is full; no file was stored", "error"),
    }


def make_upload_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the route for uploads."""
    blueprint = Blueprint("uploads", __name__)
    most = services.config.max_upload

    def allow() -> None:
        uploads.expect(most)
        if group := parameters.values().get("group"):
            guard.group(group)
            return
        guard.member()
        if request.method == "PUT":
            raise MissingParameter("group")

    blueprint.before_request(allow)
    blueprint.after_request(uploads.hang_up)

    def zone() -> LoadingZone:
        return services.documents.loading_zone(g.caller.group, g.caller.member.id)

    def allow_form(fields: Mapping[str, str]) -> None:
        unknown_parameters.note_ignored(fields, _FORM_FIELDS)
        if not (group := fields.get("group")):
            raise _NoGroup
        guard.group(group)
        services.quotas.check_upload(g.caller.group)

    @blueprint.put("/ps/servlet/upload")
    @blueprint.put(f"{API_PREFIX}/upload")
    @declares(
        Operation(
            "Writes the body to a file of the caller's loading zone",
            Who.GROUP,
            _answers("upload"),
            (_GROUP, _NAME),
            body=(BYTES,),
        )
    )
    def put() -> Response:
        name = parameters.values().get("filename")
        if not name:
            raise MissingParameter("filename")
        services.quotas.check_upload(g.caller.group)
        is_new = not zone().kind(name)
        size = uploads.put(zone(), name, most, lambda: guard.group(parameters.values()["group"]))
        services.quotas.count_upload(g.caller.group, 1, size)
        return respond.uploaded({name: size}, wrapped=False, status=201 if is_new else 200)

    @blueprint.post("/ps/servlet/upload")
    @blueprint.post(f"{API_PREFIX}/upload")
    @declares(
        Operation(
            "Writes the files of a form to the caller's loading zone",
            Who.GROUP,
            _answers("uploads"),
            (_GROUP, _OTHER_NAME),
            body=(MULTIPART,),
            fields=("file",),
            required=("file",),
        )
    )
    def post() -> Response:
        sizes, has_new = uploads.put_form(zone, allow_form, most, parameters.values())
        services.quotas.count_upload(g.caller.group, len(sizes), sum(sizes.values()))
        return respond.uploaded(sizes, wrapped=True, status=201 if has_new else 200)

    return blueprint


def make_zone_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the route that clears a loading zone."""
    blueprint = Blueprint("loading", __name__)
    blueprint.before_request(guard.group)

    @declares(
        Operation(
            "Removes every file of a loading zone",
            Who.SELF,
            {200: service("The number of files removed", "clear")},
        )
    )
    def clear(member: str, **_: str) -> Response:
        zone = services.documents.loading_zone(g.caller.group, acting_member(services, member).id)
        files, size = services.heavy_work.do(g.caller.member.id, zone.clear_measured, Pool.DISK)
        services.quotas.count_upload(g.caller.group, -files, -size)
        return respond.cleared(files)

    add_service(blueprint, "/members/<member>/groups/<group>/loadingzone/clear", clear, ["POST"])
    return blueprint
