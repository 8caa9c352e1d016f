"""What the body of a request may be: its size and fields, and the headers that change what it means.

Whoever has not signed in may send 16 KiB. The guard allows more once it knows the caller.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final

from flask import Request, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, MultiPartParser

from psthreads.domain.errors import BadParameter, PsthreadsError
from psthreads.web.http.operation import FORM, MULTIPART

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SMALL: Final = 16 * 1024
"""The largest body in bytes of somebody who has not signed in."""

MOST_FIELDS: Final = 1_000
"""The most fields of a form."""

_CHARSETS: Final = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_PLAIN_ENCODINGS: Final = frozenset({"", "7bit", "8bit", "binary"})
_OVERRIDES: Final = {
    "HTTP_X_HTTP_METHOD_OVERRIDE": "X-HTTP-Method-Override",
    "HTTP_X_HTTP_METHOD": "X-HTTP-Method",
    "HTTP_X_METHOD_OVERRIDE": "X-Method-Override",
}
_CONDITIONS: Final = {
    "HTTP_IF_MATCH": "If-Match",
    "HTTP_IF_NONE_MATCH": "If-None-Match",
    "HTTP_IF_UNMODIFIED_SINCE": "If-Unmodified-Since",
}


class UnsupportedBody(PsthreadsError):
    """The body is of a kind that the server does not read."""

    status = 415
    code = "0415"


class UnsupportedCoding(PsthreadsError):
    """The body has a transfer coding other than chunked."""

    status = 501
    code = "0501"


class ConditionNotChecked(PsthreadsError):
    """A change has a condition, which nothing here would check."""

    status = 412
    code = "0412"


class FormParser(FormDataParser):
    """Werkzeug's parser, which refuses what it would read differently from how it was meant."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> Any:
        """Return the stream, the fields and the files. Raises BadParameter, UnsupportedBody, RequestEntityTooLarge."""
        if mimetype == MULTIPART:
            boundary = (options or {}).get("boundary", "")
            parts = _Parts(
                stream_factory=self.stream_factory,
                max_form_memory_size=self.max_form_memory_size,
                max_form_parts=self.max_form_parts,
                cls=self.cls,
            )
            try:
                form, files = parts.parse(stream, boundary.encode("ascii"), content_length)
            except ValueError:
                raise BadParameter("", "The form cannot be read: send it again as multipart/form-data.") from None
            result: Any = stream, form, files
        else:
            body = stream.read()
            if body.count(b"&") >= MOST_FIELDS:
                raise RequestEntityTooLarge
            result = super().parse(BytesIO(body), mimetype, content_length, options)
        _check_charset(result[1].get("_charset_", ""))
        return result


class BoundedRequest(Request):
    """A request with that parser."""

    form_data_parser_class = FormParser


class _Parts(MultiPartParser):
    def get_part_charset(self, headers: Headers) -> str:
        """Return the charset of a field."""
        check_part(headers)
        return "utf-8"


class SmallBodies:
    """WSGI middleware that reads small bodies to their end before any code of ours runs.

    So a request whose body never comes costs next to nothing, whatever it is for.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as in PEP 3333."""
        length = environ.get("CONTENT_LENGTH", "")
        if length.isdecimal() and 0 < int(length[:6]) <= SMALL and len(length) <= len(str(SMALL)):
            environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(length)))
        return self._application(environ, start_response)


def check() -> None:
    """Refuse a request whose headers change the meaning of its method or body in a way that would be ignored.

    Raises UnsupportedBody, UnsupportedCoding, ConditionNotChecked and BadParameter.
    """
    environ: WSGIEnvironment = request.environ
    method: str = environ["REQUEST_METHOD"].upper()
    for key in _OVERRIDES.keys() & environ.keys():
        if environ[key].upper() != method:
            name = _OVERRIDES[key]
            raise BadParameter(name, f"The method is not taken from {name}: send the request with that method itself.")
    has_body = environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ
    if method not in {"GET", "HEAD"}:
        _check_headers(environ)
        if has_body or environ.get("CONTENT_TYPE"):
            _check_type()
    elif has_body:
        raise BadParameter("", f"A {method} has no body: send the parameters in the query, or use POST.")


def _check_headers(environ: WSGIEnvironment) -> None:
    codings = {coding.strip() for coding in environ.get("HTTP_CONTENT_ENCODING", "").lower().split(",")}
    if codings - {"", "identity"}:
        raise UnsupportedBody("The body must not be compressed: send it without Content-Encoding.")
    if environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower() != "chunked":
        raise UnsupportedCoding("The body's Transfer-Encoding is not supported: send it with a length, or chunked.")
    if "HTTP_CONTENT_RANGE" in environ:
        raise BadParameter("Content-Range", "A part of a file cannot be sent: leave out Content-Range.")
    for key, name in _CONDITIONS.items():
        if key in environ:
            raise ConditionNotChecked(f"This service cannot check a condition for a change: leave out {name}.")


def _check_type() -> None:
    if request.mimetype in {FORM, MULTIPART}:
        _check_charset(request.mimetype_params.get("charset", ""))
    elif request.method == "POST" and (request.content_length or "HTTP_TRANSFER_ENCODING" in request.environ):
        raise UnsupportedBody(
            f"Send the parameters in the query, or as a form with its Content-Type: {FORM} or {MULTIPART}."
        )


def allow_member(current: Request, most: int) -> None:
    """Allow a body of so many bytes, unless the route has its own limit, since the caller is known."""
    if current.environ.get("CONTENT_LENGTH") != "0" and current.max_content_length == SMALL:
        current.max_content_length = current.max_form_memory_size = most


def check_part(headers: Headers) -> None:
    """Raise UnsupportedBody for a part of a form that is not in UTF-8, or is encoded."""
    _, _, charset = headers.get("Content-Type", "").lower().partition("charset=")
    _check_charset(charset.partition(";")[0].strip(' "'))
    if headers.get("Content-Transfer-Encoding", "").strip().lower() not in _PLAIN_ENCODINGS:
        raise UnsupportedBody("A part of the form has a Content-Transfer-Encoding: send it as it is.")


def _check_charset(name: str) -> None:
    if name.strip().lower() not in _CHARSETS:
        raise UnsupportedBody("The form must be in UTF-8.")
