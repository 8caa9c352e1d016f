"""Where a request comes from: this server's own pages, another site's, or a program; and this server's own addresses.

Scripts of other sites that are allowed use the API by CORS, with a Bearer token and nothing that is sent by itself.

A browser sends a session's cookie and the password of HTTP Basic by itself, also for a form on another site. What it
says of the site in `Sec-Fetch-Site` or `Origin` no page can change.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request
from werkzeug.sansio.utils import get_current_url

from psthreads.domain.errors import ForeignRequest
from psthreads.web.current import current_request

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final = "bearer "
_EXPOSED: Final = "ETag, Location, Operation-Location, Preference-Applied, Psthreads-Ignored, Retry-After, X-Request-Id"
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, "
    "Last-Event-ID, Prefer",
    "Access-Control-Max-Age": "7200",  # seconds: no browser keeps it longer
}
_OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: typed, or from a bookmark


class Origins:
    """The origins of this server, such as `https://ps.example`; without any, whatever `Host` says is one."""

    def __init__(self, own: tuple[str, ...]) -> None:
        self._own = own

    def refuse_foreign(self) -> None:
        """Raise ForeignRequest for a request of another site that could act with what the browser sends by itself.

        A safe method changes nothing, and no page of another site can make a browser send a Bearer token.
        """
        environ = request.environ
        if environ["REQUEST_METHOD"] in SAFE_METHODS:
            return
        if environ.get("HTTP_AUTHORIZATION", "")[: len(_BEARER)].lower() == _BEARER:
            return
        site, origin = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_ORIGIN")
        if site is not None:
            is_foreign = site.lower() not in _OWN_SITES
        else:
            is_foreign = origin is not None and not self._is_own(origin)
        if is_foreign:
            raise ForeignRequest(origin or "")

    def absolute(self, path: str) -> str:
        """Return the address of a path of this server: with the setting made of it, and not of `Host`."""
        current = current_request()
        own = _address(current.scheme, current.host)
        if self._own and own not in self._own:
            own = self._own[0]
        return own + path

    def _is_own(self, origin: str) -> bool:
        origin = origin.lower()
        # Behind a proxy that does not say that it ends TLS, the scheme here is another one.
        return origin in self._own if self._own else urlsplit(origin).netloc == request.host.lower()


class CrossOrigin:
    """Lets scripts of these origins read answers to requests with a Bearer token, by the CORS of the Fetch standard.

    Answers never allow credentials, so that neither the cookie nor HTTP Basic is of use to another site.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    def install(self, app: Flask) -> None:
        """Answer preflights, and mark the answers that such a script may read. Without origins, do nothing."""
        if self._origins:
            app.before_request(self._answer_preflight)
            app.after_request(self._mark)

    def _answer_preflight(self) -> Response | None:
        headers = request.headers
        asked = headers.get("Access-Control-Request-Headers", "").lower().replace(" ", "").split(",")
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in headers
        if not is_preflight or not self._is_allowed() or "authorization" not in asked:
            return None
        return Response(status=204, headers={**_PREFLIGHT, **self._allowance()})

    def _mark(self, response: Response) -> Response:
        response.vary.add("Origin")
        is_bearer = request.authorization is not None and request.authorization.type == "bearer"
        if is_bearer and request.method != "OPTIONS" and self._is_allowed():
            response.headers.update({**self._allowance(), "Access-Control-Expose-Headers": _EXPOSED})
        return response

    def _is_allowed(self) -> bool:
        return request.headers.get("Origin", "") in self._origins

    def _allowance(self) -> dict[str, str]:
        return {"Access-Control-Allow-Origin": request.headers["Origin"]}


@lru_cache(maxsize=64)
def _address(scheme: str, host: str) -> str:
    return get_current_url(scheme, host).rstrip("/")


def is_navigation(current: Request) -> bool:
    """Return whether a person opens this address in a browser, without credentials that are no cookie."""
    environ = current.environ
    if environ["REQUEST_METHOD"] not in SAFE_METHODS or "HTTP_AUTHORIZATION" in environ:
        return False
    mode = environ.get("HTTP_SEC_FETCH_MODE")
    return mode == "navigate" if mode is not None else _accepts_page(current)


def is_browser(current: Request) -> bool:
    """Return whether a browser sends this, which would answer a challenge for HTTP Basic in a window of its own."""
    environ = current.environ
    # By plain HTTP browsers send no Sec-Fetch-Mode.
    is_script = "HTTP_HX_REQUEST" in environ or "text/event-stream" in environ.get("HTTP_ACCEPT", "")
    return "HTTP_SEC_FETCH_MODE" in environ or is_script or _accepts_page(current)


def _accepts_page(current: Request) -> bool:
    # Java's HttpURLConnection asks for HTML too, and waits for the challenge.
    is_java = current.environ.get("HTTP_USER_AGENT", "").startswith("Java/")
    return "text/html" in current.environ.get("HTTP_ACCEPT", "") and not is_java


def may_be_foreign(current: Request) -> bool:
    """Return whether a page of another site may have made a browser send this GET, which carries no Origin."""
    site = current.environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site.lower() not in _OWN_SITES
    # By plain HTTP there is no such header, and every browser calls itself Mozilla.
    return bool(current.environ.get("HTTP_USER_AGENT", "").startswith("Mozilla/"))
