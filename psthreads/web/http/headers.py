"""The security headers of every answer, added outside of Flask, where they cost least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Scripts are our own files and connect to this server only. None is inline, and none may be made from text.
_PAGES: Final = f"script-src 'self'; connect-src 'self'; {_POLICY}"
# For an answer that does not set them. No answer needs a frame, or anything from another site.
_DEFAULTS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "same-origin"),
)
_ALWAYS: Final = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))
# Without includeSubDomains: the other names below this domain may belong to others.
_TLS: Final = ("Strict-Transport-Security", "max-age=31536000")

CONSTANT: Final = frozenset((*_DEFAULTS, *_ALWAYS, _TLS))
"""The headers that are added, as they are in every answer."""


class Headers:
    """WSGI middleware that adds the headers: no sniffing, frames or scripts, no caching unless the answer says so."""

    def __init__(self, application: WSGIApplication, *, is_whole_site: bool) -> None:
        self._application = application
        self._is_whole_site = is_whole_site  # What a browser keeps for all of the site is for nobody else to say.

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as in PEP 3333."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            names = {name for name, _ in headers}
            headers.extend(_ALWAYS)
            headers.extend([default for default in _DEFAULTS if default[0] not in names])
            if self._is_whole_site and environ["wsgi.url_scheme"] == "https":
                headers.append(_TLS)
            return start_response(status, headers, *more)

        credentials: str = environ.get("HTTP_AUTHORIZATION", "")
        if not credentials.isascii():
            # No valid credential has other characters, and Werkzeug fails on them: an empty one is refused properly.
            environ["HTTP_AUTHORIZATION"] = ""
        return self._application(environ, start)


def as_page(response: Response) -> Response:
    """Allow the answer, a page, its scripts and connections."""
    response.headers["Content-Security-Policy"] = _PAGES
    return response
