"""Maps exceptions to HTTP answers: the one place that does."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, render_template, request, url_for
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestedRangeNotSatisfiable

from psthreads.database import refusals
from psthreads.domain.errors import NotSignedIn, PsthreadsError, StorageFailed, Unavailable
from psthreads.domain.foreign import trace_of
from psthreads.domain.model import clean
from psthreads.web.http import origins, respond
from psthreads.web.http.headers import as_page
from psthreads.web.http.parameters import is_page
from psthreads.web.http.routing import Application, Outer, here
from psthreads.web.telemetry.request_observer import ID

_BEARER: Final = 'Bearer realm="psthreads"'
_CHALLENGE: Final = f'Basic realm="psthreads", charset="UTF-8", {_BEARER}'
_RETRY_AFTER: Final = "5"
_SENTENCES: Final = {
    400: "The request cannot be understood: check how it was put together.",
    404: "There is nothing at this address: /api lists the services.",
    413: "The request's body is too large.",
    414: "The request's address is too long.",
    415: "Send the parameters in the query or as a form.",
    416: "The file is not that long: ask for a part that there is, or for all of it.",
    500: "Something went wrong here; it was written to the server's log, with the id of this request: {request}.",
}
_NO_STORE: Final = "The documents' store does not answer, or refuses: try again in a few seconds."
_REFUSED: Final = "Redis refused a command; the server's log says which and why."
_log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Register the handlers of errors."""
    app.register_error_handler(PsthreadsError, answer)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(RedisError, _redis)
    app.register_error_handler(StorageFailed, _storage)
    app.register_error_handler(Exception, _unexpected)


def answer(problem: PsthreadsError) -> Response:
    """Answer with the error: XML or JSON for a service, HTML for a page."""
    headers = {}
    g.problem = problem  # for the security log
    if isinstance(problem, NotSignedIn):
        # A browser that was asked for a password would send it from then on, also for pages of other sites.
        takes_no_password = origins.is_browser(request) or _host() is not None
        headers["WWW-Authenticate"] = _BEARER if takes_no_password else _CHALLENGE
    if problem.status in {429, 503}:
        headers["Retry-After"] = str(getattr(problem, "retry_after", _RETRY_AFTER))
    if isinstance(problem, NotSignedIn) and (is_page() or origins.is_navigation(request)):
        if page := _sign_in_page():
            return _as_response(redirect(page))
        return _page(problem, headers)
    if not is_page():
        return respond.error(problem, headers)
    return _page(problem, headers)


def _host() -> Outer | None:
    application: Application = current_app._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 (as Flask's documentation has it)
    return application.host


def _sign_in_page() -> str:
    """Return the URL of the sign-in page, which leads back; after a POST to the form's page, with a notice.

    Empty where there is none, in another application.
    """
    if (host := _host()) is not None:
        return host.sign_in_page()
    if request.method in {"GET", "HEAD"}:
        return url_for("pages.sign_in", next=here())
    parts = urlsplit(request.referrer or "")
    is_ours = parts.netloc == request.host and parts.path.startswith(f"{request.root_path}/")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return url_for("pages.sign_in", ended="true", next=path if is_ours else url_for("pages.home"))


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if error.response is not None:
        return _as_response(error.response)
    problem = PsthreadsError(_sentence(status) or error.description or error.name)
    problem.status, problem.code = status, f"{status:04}"
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        allowed = ", ".join(sorted(error.valid_methods))
        problem = PsthreadsError(f"{request.method} is not possible here: use {allowed}.")
        problem.status, problem.code = 405, "0103"
        headers["Allow"] = allowed
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        headers["Content-Range"] = f"{error.units} */{error.length}"
    return _page(problem, headers) if is_page() else respond.error(problem, headers)


def _sentence(status: int) -> str:
    return _SENTENCES.get(status, "").format(request=request.environ.get(ID, ""))


def _redis(error: RedisError) -> Response:
    _log.warning("Redis: %s", error)
    return answer(refusals.explain(error) or Unavailable(_REFUSED))


def _storage(error: StorageFailed) -> Response:
    _log.error("%s %s: %s", request.method, clean(request.path).replace("\n", " "), error)
    return answer(Unavailable(_NO_STORE))


def _unexpected(error: Exception) -> Response:
    _log.error("%s %s\n%s", request.method, clean(request.path).replace("\n", " "), clean(trace_of(error)))
    return answer(PsthreadsError(_sentence(500)))


def _page(problem: PsthreadsError, headers: dict[str, str]) -> Response:
    text = render_template("error.html", problem=problem)
    return as_page(Response(text, problem.status, headers=headers, mimetype="text/html"))


def _as_response(response: object) -> Response:
    return response if isinstance(response, Response) else Response(status=302)
