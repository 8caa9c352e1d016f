"""The services of a loading zone that answer at once: upload files, clear the zone.

A body is never held in memory, nor read before the caller and the group are known. An answer that comes before the
body's end closes the connection: the client stops sending what nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from flask import Blueprint, Response, g, request

from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.documents.zones import MemberZone
from psthreads.domain.errors import BadParameter, MissingParameter
from psthreads.system.thread_pool import Pool
from psthreads.web.api.starts import acting_member
from psthreads.web.auth.guard import Guard
from psthreads.web.http import parameters, respond, unknown_parameters, uploads
from psthreads.web.http.operation import BYTES, MULTIPART, DeclaredResponse, Operation, Who, declares, service
from psthreads.web.http.routing import add_service
from psthreads.web.services import Services


class _NoGroup(MissingParameter):
    def __init__(self) -> None:
        super().__init__("group")
        self.args = ("Parameter 'group' is missing: add it to the query, or to the form before its first file.",)


_GROUP: Final = Parameter("group", str, None, description="the group's name or id")
_NAME: Final = Parameter("filename", str, None, description="the file's path in the loading zone, such as docs/a.xml")
_OTHER_NAME: Final = replace(_NAME, default="", description="another path than the file's own name, for a single file")
_MEMBER: Final = Parameter("member", str, "", description="the member whose zone it is, for administrators")
_UPLOAD_ID: Final = Parameter("uploadid", str, "", Bounds(greatest=64), description="an upload to keep apart")
_AUTOLOAD: Final = Parameter("autoload", bool, False, description="true is refused: start a load after the upload")
_ZONE: Final = (_MEMBER, _UPLOAD_ID, _AUTOLOAD)
_FORM_FIELDS: Final = (*(parameter.wire for parameter in (_GROUP, _NAME, *_ZONE)), "file")


def _answers(schema: str) -> dict[int, DeclaredResponse]:
    return {
        200: service("Every file has replaced another", schema),
        201: service("The files are stored", schema),
        507: service("The server's disk is full; no file was stored", "error"),
    }


_MOST_LISTED: Final = 1_000  # files
_SERVICE: Final = "/upload"


def make_upload_blueprint(services: Services, guard: Guard, path: str = _SERVICE) -> Blueprint:
    """Return the route for uploads, at PageSeeder's path of a service, or of a servlet."""
    blueprint = Blueprint("uploads" if path == _SERVICE else "servlet", __name__)
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

    def allow_form(fields: Mapping[str, str]) -> None:
        unknown_parameters.note_ignored(fields, _FORM_FIELDS)
        if not (group := fields.get("group")):
            raise _NoGroup
        guard.group(group)
        g.upload_zone = _same_zone(_chosen_zone(services, fields))
        services.quotas.check_upload(g.caller.group)

    @declares(
        Operation(
            "Writes the body to a file of the caller's loading zone",
            Who.GROUP,
            _answers("upload"),
            (_GROUP, _NAME, *_ZONE),
            body=(BYTES,),
        )
    )
    def put() -> Response:
        values = parameters.values()
        if not (name := values.get("filename")):
            raise MissingParameter("filename")
        target = _chosen_zone(services, values)
        services.quotas.check_upload(g.caller.group)
        is_new = not target.kind(name)
        size = uploads.put(target, name, most, lambda: guard.group(values["group"]))
        services.quotas.count_upload(g.caller.group, 1, size)
        status = 201 if is_new else 200
        return respond.uploaded({name: size}, g.upload_member.id, target.upload_id, wrapped=False, status=status)

    @declares(
        Operation(
            "Writes the files of a form to the caller's loading zone",
            Who.GROUP,
            _answers("uploads"),
            (_GROUP, _OTHER_NAME, *_ZONE),
            body=(MULTIPART,),
            fields=("file",),
            required=("file",),
        )
    )
    def post() -> Response:
        sizes, has_new = uploads.put_form(lambda: g.upload_zone, allow_form, most, parameters.values())
        services.quotas.count_upload(g.caller.group, len(sizes), sum(sizes.values()))
        status = 201 if has_new else 200
        return respond.uploaded(sizes, g.upload_member.id, g.upload_zone.upload_id, wrapped=True, status=status)

    if path == _SERVICE:
        add_service(blueprint, path, put, ["PUT"])
        add_service(blueprint, path, post, ["POST"])
    else:
        blueprint.put(path)(put)
        blueprint.post(path)(post)
    return blueprint


def make_zone_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the routes that list and clear a loading zone."""
    blueprint = Blueprint("loading", __name__)
    blueprint.before_request(guard.group)

    @declares(
        Operation(
            "Removes every file of a loading zone, or of one upload",
            Who.SELF,
            {200: service("The number of files removed", "clear")},
            (_UPLOAD_ID,),
        )
    )
    def clear(member: str, **_: str) -> Response:
        zone = services.documents.loading_zone(g.caller.group, acting_member(services, member).id)
        zone = zone.of_upload(str(parameters.value_of(_UPLOAD_ID)))
        files, size = services.heavy_work.do(g.caller.member.id, zone.clear_measured, Pool.DISK)
        services.quotas.count_upload(g.caller.group, -files, -size)
        return respond.cleared(files)

    @declares(
        Operation(
            "Lists the first files of a loading zone",
            Who.SELF,
            {200: service("The files", "loadingzone")},
            (_UPLOAD_ID,),
        )
    )
    def listing(member: str, **_: str) -> Response:
        owner = acting_member(services, member)
        zone = services.documents.loading_zone(g.caller.group, owner.id)
        zone = zone.of_upload(str(parameters.value_of(_UPLOAD_ID)))
        files = services.heavy_work.do(g.caller.member.id, partial(_first_files, zone), Pool.DISK)
        shown = files[:_MOST_LISTED]
        return respond.loading_zone(owner.id, zone.upload_id, shown, is_truncated=len(files) > len(shown))

    base = "/members/<member>/groups/<group>/loadingzone"
    add_service(blueprint, base, listing, ["GET"])
    add_service(blueprint, f"{base}/clear", clear, ["POST"])
    return blueprint


def _first_files(zone: MemberZone) -> list[tuple[str, int]]:
    """Return the paths and sizes of as many files as an answer may have, and one more."""
    walk = zone.walk(lambda _path, _reason: None)
    return [(file.path, file.size) for file in islice(walk, _MOST_LISTED + 1)]


def _same_zone(zone: MemberZone) -> MemberZone:
    """Return the zone. Raises BadParameter where the form's fields before its first file chose another one."""
    key = g.upload_member.id, zone.upload_id
    if g.setdefault("upload_key", key) != key:
        name = "uploadid" if g.upload_key[0] == key[0] else "member"
        raise BadParameter(name, f"Add '{name}' to the query, or to the form before its first file.")
    return zone


def _chosen_zone(services: Services, fields: Mapping[str, str]) -> MemberZone:
    """Return the zone that the fields of an upload choose, and set `g.upload_member`.

    Raises BadParameter, MemberNotFound and NotAllowed.
    """
    if _AUTOLOAD.read(fields.get(_AUTOLOAD.wire) or "false"):
        raise BadParameter(
            "autoload",
            "'autoload' is not possible here: leave it out, and POST to …/loadingzone/start after the upload.",
        )
    g.upload_member = acting_member(services, ref) if (ref := fields.get(_MEMBER.wire)) else g.caller.member
    zone = services.documents.loading_zone(g.caller.group, g.upload_member.id)
    return zone.of_upload(str(_UPLOAD_ID.read(fields.get(_UPLOAD_ID.wire, ""))))
