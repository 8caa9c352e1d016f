"""The files that threads leave behind: whoever may see a thread may download what it made, and nobody else."""

from __future__ import annotations

import mimetypes
import os
from typing import Final, cast

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.utils import send_file

from psthreads.documents.results import owner
from psthreads.domain import access
from psthreads.domain.errors import NotFound, ThreadNotFound
from psthreads.domain.model import Thread
from psthreads.web.auth.guard import Guard
from psthreads.web.http.operation import IF_NONE_MATCH, RANGE, DeclaredResponse, Operation, Who, declares
from psthreads.web.services import Services

_TEXT: Final = frozenset({"text/html", "text/xml", "text/plain", "text/csv"})


def _downloading(who: Who) -> Operation:
    """What each of the routes to a file is for."""
    file = DeclaredResponse("The file, with the media type that its name gives", ("*/*",))
    answers = {
        200: file,
        206: DeclaredResponse("The part of the file that was asked for", file.media),
        304: DeclaredResponse("Nothing has changed"),
        412: DeclaredResponse("The file is another one than If-Match or If-Unmodified-Since says"),
        416: DeclaredResponse("The file is not that long"),
    }
    return Operation("Downloads a file that a thread made", who, answers, headers=(RANGE, IF_NONE_MATCH))


def make_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The route to a group's results, where PageSeeder has it."""
    blueprint = Blueprint("files", __name__)
    blueprint.before_request(guard.group)

    @blueprint.get("/ps/member-resource/<group>/<filename>")
    @declares(_downloading(Who.GROUP))
    def member_resource(filename: str, **_: str) -> Response:
        thread_id = owner(filename)
        if thread_id is None:
            raise _absent(filename)
        try:
            thread = services.store.fetch(thread_id)
        except ThreadNotFound:
            raise _absent(filename) from None
        if not access.shows(g.caller, thread):
            raise _absent(filename)
        return _send(services, thread, filename)

    return blueprint


def make_server_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The route to the results of any thread, for administrators."""
    blueprint = Blueprint("server-results", __name__)
    blueprint.before_request(guard.server)
    return _with_results(blueprint, "", services, guard)


def make_group_blueprint(services: Services, guard: Guard) -> Blueprint:
    """The route to the results of a group's thread."""
    blueprint = Blueprint("group-results", __name__)
    blueprint.before_request(guard.group)
    return _with_results(blueprint, "/groups/<group>", services, guard)


def _with_results(blueprint: Blueprint, base: str, services: Services, guard: Guard) -> Blueprint:
    @blueprint.get(f"{base}/threads/<thread>/results/<filename>")
    @declares(_downloading(Who.GROUP if base else Who.SERVER))
    def result(thread: str, filename: str, **_: str) -> Response:
        found = guard.thread(thread)
        if owner(filename) != found.id:
            raise _absent(filename)
        return _send(services, found, filename)

    return blueprint


def _absent(filename: str) -> NotFound:
    return NotFound(f"There is no file '{filename}' here: list the threads to see what they made.")


def _send(services: Services, thread: Thread, filename: str) -> Response:
    """The file as it is, or the part of it that a download that was cut off still needs (RFC 9110, section 14)."""
    file = services.documents.results(thread.group_id).open(filename)
    status = os.fstat(file.fileno())
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    environ = dict(request.environ)
    if "HTTP_RANGE" in environ:
        environ.pop("wsgi.file_wrapper", None)  # gunicorn's cannot seek: it would read up to where the range begins.
    if "," in environ.get("HTTP_RANGE", ""):
        del environ["HTTP_RANGE"]  # Several ranges at once may be answered with the whole file.
    response = send_file(
        file,
        environ,
        mimetype=f"{kind}; charset=utf-8" if kind in _TEXT else kind,
        as_attachment=True,
        download_name=filename,
        conditional=False,
        etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
        last_modified=status.st_mtime,
        response_class=Response,
    )
    response.content_length = status.st_size
    response.headers["Cache-Control"] = "private, no-cache"
    try:
        response.make_conditional(environ, accept_ranges=True, complete_length=status.st_size)
    except RequestedRangeNotSatisfiable:
        response.close()
        raise
    return cast("Response", response)
