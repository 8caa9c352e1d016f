"""The services of a loading zone that answer at once: a file is uploaded, the zone is cleared.

A body is never held in memory, nor read before it is known who sends it and for which group. An answer that comes
before the body's end closes the connection, so that nobody waits for what nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Parameter
from psthreads.documents.loading_zone import LoadingZone
from psthreads.domain.errors import MissingParameter
from psthreads.system.thread_pool import off_the_loop
from psthreads.web.api.starts import acting
from psthreads.web.auth.guard import Guard
from psthreads.web.http import parameters, respond, uploads
from psthreads.web.http.operation import BYTES, MULTIPART, DeclaredResponse, Operation, Who, declares, service
from psthreads.web.services import Services


class _NoGroup(MissingParameter):
    def __init__(self) -> None:
        super().__init__("group")
        self.args = ("Parameter 'group' is missing: add it to the query, or to the form before its first file.",)


_UPLOAD: Final = (
    Parameter("group", str, "", description="the group's name or id"),
    Parameter("filename", str, "", description="the file's path in the loading zone, such as docs/a.xml"),
)


def _uploaded(schema: str) -> dict[int, DeclaredResponse]:
    """The answers to an upload."""
    return {
        200: service("Every file has replaced another", schema),
        201: service("The files are there", schema),
        507: service("The server's disk is full; nothing was kept", "error"),
    }


def make_upload_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The route to upload to, where PageSeeder has it."""
    blueprint = Blueprint("uploads", __name__)
    most = services.config.max_upload

    def may_upload() -> None:
        uploads.expect(most)
        given = parameters.values()
        if group := given.get("group"):
            guard.group(group)
            return
        guard.member()
        if request.method == "PUT":
            raise MissingParameter("group")

    blueprint.before_request(may_upload)
    blueprint.after_request(uploads.hang_up)

    def zone() -> LoadingZone:
        return services.documents.loading_zone(g.caller.group, g.caller.member.id)

    @blueprint.put("/ps/servlet/upload")
    @declares(
        Operation(
            "Puts the body into a file of one's loading zone",
            Who.GROUP,
            _uploaded("upload"),
            _UPLOAD,
            body=(BYTES,),
        )
    )
    def put() -> Response:
        name = parameters.values().get("filename")
        if not name:
            raise MissingParameter("filename")
        is_new = not zone().kind(name)
        size = uploads.put(zone(), name, most, lambda: guard.group(parameters.values()["group"]))
        return respond.uploaded({name: size}, wrapped=False, status=201 if is_new else 200)

    @blueprint.post("/ps/servlet/upload")
    @declares(
        Operation(
            "Puts the files of a form into one's loading zone",
            Who.GROUP,
            _uploaded("uploads"),
            _UPLOAD,
            body=(MULTIPART,),
            fields=("group", "filename", "file"),
        )
    )
    def post() -> Response:
        sizes, has_new = uploads.put_form(zone, _entering(guard), most, parameters.values())
        return respond.uploaded(sizes, wrapped=True, status=201 if has_new else 200)

    return blueprint


def _entering(guard: Guard) -> Callable[[Mapping[str, str]], None]:
    """What lets the form in by the group that it, or the query, names."""

    def enter(given: Mapping[str, str]) -> None:
        if not (group := given.get("group")):
            raise _NoGroup
        guard.group(group)

    return enter


def make_zone_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The route to clear a loading zone."""
    blueprint = Blueprint("loading", __name__)
    blueprint.before_request(guard.group)

    @declares(
        Operation(
            "Removes every file of a loading zone",
            Who.SELF,
            {200: service("How many there were", "clear")},
        )
    )
    def clear(member: str, **_: str) -> Response:
        zone = services.documents.loading_zone(g.caller.group, acting(services, member).id)
        return respond.cleared(off_the_loop(zone.clear))

    for suffix in ("", ".<any(xml, json):suffix>"):
        blueprint.add_url_rule(
            "/members/<member>/groups/<group>/loadingzone/clear" + suffix,
            view_func=clear,
            methods=["POST"],
        )
    return blueprint
