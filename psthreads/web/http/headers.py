"""The headers that every answer carries, put on outside of Flask, where they cost the least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Scripts are files of ours, and ask this server only; none stands in a page, and none may be made of text.
_PAGES: Final = f"script-src 'self'; connect-src 'self'; {_POLICY}"
# What an answer does not say of itself. Nothing of ours needs a frame, or anything from elsewhere.
_DEFAULTS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "same-origin"),
)
_ALWAYS: Final = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))
# Not the other names below this one's domain: they are not ours to decide on.
_TLS: Final = ("Strict-Transport-Security", "max-age=31536000")


class Headers:
    """Wraps a WSGI application: nothing is sniffed, framed or run, and stored only where it says so."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI (PEP 3333) has it."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            given = dict(headers)
            headers.extend(_ALWAYS)
            headers.extend([default for default in _DEFAULTS if default[0] not in given])
            if environ["wsgi.url_scheme"] == "https":
                headers.append(_TLS)
            return start_response(status, headers, *more)

        credentials: str = environ.get("HTTP_AUTHORIZATION", "")
        if not credentials.isascii():
            # No credentials are of other characters, and Werkzeug fails on them: empty ones are refused in our words.
            environ["HTTP_AUTHORIZATION"] = ""
        return self._application(environ, start)


def as_page(response: Response) -> Response:
    """The answer with what a page may do besides."""
    response.headers["Content-Security-Policy"] = _PAGES
    return response
