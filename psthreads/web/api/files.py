"""The result files of threads, for everybody who may see the thread."""

from __future__ import annotations

from typing import Final, cast

from flask import Blueprint, Response, g, redirect, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.utils import send_file

from psthreads.documents.result_files import media_type, owner
from psthreads.domain import access
from psthreads.domain.errors import NotFound, ThreadNotFound
from psthreads.domain.model import Thread
from psthreads.web.api.levels import ServiceLevel
from psthreads.web.auth.guard import Guard
from psthreads.web.http.operation import BYTES, IF_NONE_MATCH, RANGE, DeclaredResponse, Operation, Who, declares
from psthreads.web.services import Services

_SENT: Final = frozenset({200, 206})


def _download(who: Who) -> Operation:
    file = DeclaredResponse("The file, with the media type of its name", (BYTES, "*/*"))
    answers = {
        200: file,
        206: DeclaredResponse("The requested part of the file", file.media),
        302: DeclaredResponse("The file is at another address for a while, to which no credentials belong"),
        304: DeclaredResponse("Nothing has changed"),
        412: DeclaredResponse("The file is not the one of If-Match or If-Unmodified-Since"),
        416: DeclaredResponse("The file is shorter than the requested range"),
    }
    return Operation("Downloads a file that a thread made", who, answers, headers=(RANGE, IF_NONE_MATCH))


def make_member_resource_blueprint(services: Services, guard: Guard) -> Blueprint:
    """Return the route to a group's results at PageSeeder's path."""
    blueprint = Blueprint("files", __name__)
    blueprint.before_request(guard.group)

    @blueprint.get("/ps/member-resource/<group>/<filename>")
    @declares(_download(Who.GROUP))
    def member_resource(filename: str, **_: str) -> Response:
        thread_id = owner(filename)
        if thread_id is None:
            raise _not_found(filename)
        try:
            thread = services.store.fetch(thread_id)
        except ThreadNotFound:
            raise _not_found(filename) from None
        if not access.shows(g.caller, thread):
            raise _not_found(filename)
        return _send(services, thread, filename)

    return blueprint


def make_blueprint(services: Services, guard: Guard, level: ServiceLevel) -> Blueprint:
    """Return the route to a thread's results."""
    blueprint = level.make_blueprint("results")

    @blueprint.get(f"{level.path}/threads/<thread>/results/<filename>")
    @declares(_download(level.who))
    def result(filename: str, **path: str) -> Response:
        thread = guard.thread(path["thread"])
        if owner(filename) != thread.id:
            raise _not_found(filename)
        return _send(services, thread, filename)

    return blueprint


def _not_found(filename: str) -> NotFound:
    return NotFound(f"There is no file '{filename}' here: list the threads to see what they made.")


def _send(services: Services, thread: Thread, filename: str) -> Response:
    """Send the file, or the range that an interrupted download still needs (RFC 9110, section 14)."""
    results = services.documents.results(thread.group_id)
    result = results.find(filename)
    environ = dict(request.environ)
    if "HTTP_RANGE" in environ:
        environ.pop("wsgi.file_wrapper", None)  # gunicorn's cannot seek: it would read all before the range.
    if "," in environ.get("HTTP_RANGE", ""):
        del environ["HTTP_RANGE"]  # A server may answer several ranges with the whole file.
    response = send_file(
        result.file,
        environ,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=filename,
        conditional=False,
        etag=result.etag,
        last_modified=result.modified,
        response_class=Response,
    )
    response.content_type = media_type(filename)
    response.content_length = result.size
    response.headers["Cache-Control"] = "private, no-cache"
    try:
        response.make_conditional(environ, accept_ranges=True, complete_length=result.size)
    except RequestedRangeNotSatisfiable:
        response.close()
        raise
    # Stores do not know If-Range: parts of two versions could be put together.
    is_plain = request.method == "GET" and response.status_code in _SENT and "If-Range" not in request.headers
    seconds = services.config.download_links
    if is_plain and seconds and (link := results.link(filename, seconds)):
        response.close()
        response = redirect(link)
        response.headers["Cache-Control"] = "no-store"
    return cast("Response", response)
