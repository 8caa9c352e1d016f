"""Uploads: files in a request's body, written to a loading zone while they arrive, and never held in memory."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import Any, Final

from flask import Response, g, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from psthreads.documents.paths import composed, names_of
from psthreads.documents.zones import Arrival, MemberZone
from psthreads.domain.errors import BadParameter, MissingParameter, NoSpace, PsthreadsError, TooLarge
from psthreads.system.thread_pool import off_the_loop
from psthreads.web.http import bodies

MOST_FILES: Final = 50
"""The most files of a form: each stays open until the last has arrived."""

_CHUNK: Final = 256 * 1024
_MOST_PARTS: Final = 100
_FORM: Final = 1024 * 1024  # bytes of a form besides its files
_FIELD: Final = 8 * 1024  # bytes of a field
_DRAINED: Final = 64 * 1024  # bytes that gunicorn reads and discards by itself
_LINGER: Final = 2.0  # seconds
_LINGER_BYTES: Final = 4 * 1024 * 1024


class _NoForm(PsthreadsError):
    status = 415
    code = "0415"

    def __init__(self) -> None:
        super().__init__("Send the files as multipart/form-data, or a single one as it is with PUT.")


def expect(most: int) -> None:
    """Accept a body of at most so many bytes of files; call it before anything else parses the body into memory."""
    request.form = ImmutableMultiDict()
    request.max_content_length = most + (1 if request.method == "PUT" else _FORM)


def put(zone: MemberZone, name: str, most: int, allow: Callable[[], None]) -> int:
    """Write the body to a file of the zone, and return its size in bytes.

    `allow` is called at the end, which may be long after the start, and may raise. Raises TooLarge, NoSpace,
    UnsafePath, Conflict, and BadParameter for a body that breaks off. Then no file remains.
    """
    with _translated(most):
        _check_length(most)
        with zone.write(name, most, _sync) as arrival:
            for chunk in _body():
                arrival.write(chunk)
            allow()
    return arrival.size


def put_form(
    zone: Callable[[], MemberZone],
    allow: Callable[[Mapping[str, str]], None],
    most: int,
    query: Mapping[str, str] | None = None,
) -> tuple[dict[str, int], bool]:
    """Write the files of the body's form to the zone: all of them, or none.

    `allow` gets the fields so far, with those of `query`. It is called before the first file and at the end, and may
    raise. Only with `query`, a field `filename` renames a single file. Returns the sizes in bytes by name, and whether
    any file is new. Raises what `put` does, and BadParameter for a bad form.
    """
    if request.mimetype != "multipart/form-data":
        raise _NoForm
    with _translated(most), ExitStack() as stack:
        _check_length(most + _FORM)
        form = _Form(stack, zone, allow, most, query)
        form.read(request.mimetype_params.get("boundary", ""))
        # The files appear when the stack closes. All that can fail is done before, for all of them.
        form.settle()
    return form.sizes(), form.has_new


def hang_up(response: Response) -> Response:
    """Close the connection after the answer where the body was not read to its end."""
    length = request.content_length
    connection = request.environ.get("gunicorn.socket")
    has_more = length is None or length > _DRAINED if "chunked" in _encoding() or length else False
    if has_more and connection is not None and not g.get("is_body_read"):
        body = request.environ["wsgi.input"]
        response.call_on_close(lambda: _linger(body, connection))
    return response


class _Form:
    """A form with files, parsed while it arrives. `stack` holds the files until all are complete."""

    def __init__(
        self,
        stack: ExitStack,
        zone: Callable[[], MemberZone],
        allow: Callable[[Mapping[str, str]], None],
        most: int,
        query: Mapping[str, str] | None,
    ) -> None:
        self.has_new = False
        self._stack = stack
        self._zone = zone
        self._allow = allow
        self._left = most
        self._may_rename = query is not None
        self._fields = dict(query or {})
        self._paths: set[str] = set()
        self._arrivals: dict[str, Arrival] = {}
        self._field = ""
        self._text = bytearray()
        self._arrival: Arrival | None = None

    def read(self, boundary: str) -> None:
        """Parse the body. Raises BadParameter for a malformed form, and MissingParameter for one without a file."""
        decoder = MultipartDecoder(boundary.encode("ascii", "replace"), _FORM, max_parts=_MOST_PARTS)
        for chunk in chain(_body(), (None,)):
            try:
                decoder.receive_data(chunk)
                while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                    self._handle(event)
            except (ValueError, RequestEntityTooLarge):
                raise BadParameter("file", "The form cannot be read: send it again as multipart/form-data.") from None
        if not self._arrivals:
            raise MissingParameter("file")

    def settle(self) -> None:
        """Sync all files to the disk, and check once more that they are allowed."""
        for arrival in self._arrivals.values():
            arrival.settle(_sync)
        self._allow(self._fields)

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the files in bytes, by name."""
        return {name: arrival.size for name, arrival in self._arrivals.items()}

    def _handle(self, event: Any) -> None:
        if isinstance(event, Field | File):
            bodies.check_part(event.headers)
        if isinstance(event, Field):
            self._field, self._arrival = event.name or "", None
            self._text.clear()
        elif isinstance(event, File):
            self._arrival = self._begin(event.filename)
        elif isinstance(event, Data) and self._arrival is not None:
            self._left -= len(event.data)
            if self._left < 0:
                raise TooLarge(0)  # `_translated` fills in the limit.
            self._arrival.write(event.data)
            if not event.more_data:
                self._arrival.complete()
        elif isinstance(event, Data):
            self._text += event.data
            if len(self._text) > _FIELD:
                raise BadParameter(self._field, f"A field of the form is longer than {_FIELD:,} bytes.")
            if not event.more_data:
                self._set(self._field, self._text.decode(errors="replace"))

    def _set(self, name: str, text: str) -> None:
        if self._fields.setdefault(name, text) != text:
            raise BadParameter(name, f"Parameter '{name}' is given more than once, and differently.")

    def _begin(self, filename: str) -> Arrival:
        if not self._arrivals:
            self._allow(self._fields)
        if self._may_rename and (name := self._fields.get("filename")):
            if self._arrivals:
                raise BadParameter("filename", "Only one file can have the filename: leave it out for several.")
            filename = name
        if len(self._arrivals) == MOST_FILES:
            raise BadParameter("file", f"There are more than {MOST_FILES} files in the form: send a zip file instead.")
        if not filename:
            raise MissingParameter("filename")
        self._claim("/".join(names_of(composed(filename))))
        zone = self._zone()
        self.has_new |= not zone.kind(filename)
        arrival = self._stack.enter_context(zone.write(filename, self._left, _sync, waits=True))
        self._arrivals[filename] = arrival
        return arrival

    def _claim(self, path: str) -> None:
        """Refuse two files with the same path, and a file where another needs a folder."""
        if path in self._paths:
            raise BadParameter("filename", "Two files of the form have the same name: rename one.")
        if any(f"{path}/".startswith(f"{other}/") or other.startswith(f"{path}/") for other in self._paths):
            raise BadParameter("filename", f"'{path}' is a file of the form and in the way of another: rename one.")
        self._paths.add(path)


def _check_length(most: int) -> None:
    if (request.content_length or 0) > most:
        raise TooLarge(most)


def _body() -> Iterator[bytes]:
    """Yield the request's body in pieces. Raises ClientDisconnected when it ends too early."""
    size = 0
    while chunk := request.stream.read(_CHUNK):
        size += len(chunk)
        yield chunk
        time.sleep(0)  # A fast sender would otherwise keep a gevent process from its other requests.
    if size != (size if request.content_length is None else request.content_length):
        raise ClientDisconnected
    g.is_body_read = True


@contextmanager
def _translated(most: int) -> Iterator[None]:
    """Turn the errors of reading and storing a body into the service's own."""
    try:
        yield
    except (TooLarge, RequestEntityTooLarge):
        raise TooLarge(most) from None
    except ClientDisconnected:
        raise BadParameter("file", "The upload broke off: nothing was kept of it, so send it again.") from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace from None
        raise


def _sync(fd: int) -> None:
    off_the_loop(lambda: os.fsync(fd))


def _encoding() -> str:
    return str(request.environ.get("HTTP_TRANSFER_ENCODING", "")).lower()


def _linger(body: Any, connection: socket.socket) -> None:
    body.failed = True  # gunicorn's flag: it must not look for another request on this connection.
    left, until = _LINGER_BYTES, time.monotonic() + _LINGER
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        # To close now would reset the connection, and a client that is still sending would lose the answer.
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            connection.settimeout(seconds)
            if not (data := connection.recv(_CHUNK)):
                return
            left -= len(data)
