"""Files that arrive in a request's body, put where they belong while they arrive, and never held in memory."""

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

from psthreads.documents.loading_zone import Arrival, LoadingZone
from psthreads.documents.paths import names_of
from psthreads.domain.errors import BadParameter, MissingParameter, NoSpace, PsthreadsError, TooLarge
from psthreads.system.thread_pool import off_the_loop

MOST_FILES: Final = 50
"""How many files a form may have: each is held open until the last has come."""

_CHUNK: Final = 256 * 1024
_STALLED: Final = 60.0  # seconds without a byte, after which an upload counts as broken off
_MOST_PARTS: Final = 100
_FORM: Final = 1024 * 1024  # bytes that the parts of a form may add to its files
_FIELD: Final = 8 * 1024  # bytes of a field
_DRAINED: Final = 64 * 1024  # bytes that gunicorn reads away by itself
_LINGER: Final = 2.0  # seconds
_LINGER_BYTES: Final = 4 * 1024 * 1024


class _NoForm(PsthreadsError):
    status = 415
    code = "0415"

    def __init__(self) -> None:
        super().__init__("Send the files as multipart/form-data, or a single one as it is with PUT.")


def expect(most: int) -> None:
    """Prepare for a body of files, of so many bytes in all, which nobody else may read: it would be in memory then."""
    request.form = ImmutableMultiDict()
    request.max_content_length = most + (1 if request.method == "PUT" else _FORM)


def put(zone: LoadingZone, name: str, most: int, allow: Callable[[], None]) -> int:
    """Put the body into a file of the zone, and say how many bytes it is.

    `allow` is called when all has come, which may take long, and may refuse. Raises TooLarge, NoSpace, UnsafePath,
    Conflict, and BadParameter for a body that breaks off; nothing is kept then.
    """
    with _as_problems(most):
        _refuse_at_once(most)
        with zone.write(name, most, _sync) as arrival:
            for chunk in _body():
                arrival.write(chunk)
            allow()
    return arrival.size


def put_form(
    zone: Callable[[], LoadingZone],
    allow: Callable[[Mapping[str, str]], None],
    most: int,
    given: Mapping[str, str] | None = None,
) -> tuple[dict[str, int], bool]:
    """Put the files of the form that the body is into the zone: all of them, or none.

    `allow` gets the fields that came so far, and what was given besides; it is called before the first file and when
    all has come, which may take long, and may refuse. Only with `given` a field `filename` names the one file. Gives
    the sizes in bytes by name, and whether any of them is new. Raises what `put` does, and BadParameter for a bad form.
    """
    if request.mimetype != "multipart/form-data":
        raise _NoForm
    with _as_problems(most), ExitStack() as stack:
        _refuse_at_once(most + _FORM)
        form = _Form(stack, zone, allow, most, given)
        form.read(request.mimetype_params.get("boundary", ""))
        # The files appear when the stack is left. What can fail has been done by then, for all of them.
        form.settle()
    return form.sizes(), form.has_new


def hang_up(response: Response) -> Response:
    """Where the body was not read to its end, close the connection after the answer."""
    length = request.content_length
    connection = request.environ.get("gunicorn.socket")
    has_more = length is None or length > _DRAINED if "chunked" in _encoding() or length else False
    if has_more and connection is not None and not g.get("is_body_read"):
        body = request.environ["wsgi.input"]
        response.call_on_close(lambda: _linger(body, connection))
    return response


class _Form:
    """A form with files, taken apart while it arrives. `stack` holds the files until all are there."""

    def __init__(
        self,
        stack: ExitStack,
        zone: Callable[[], LoadingZone],
        allow: Callable[[Mapping[str, str]], None],
        most: int,
        given: Mapping[str, str] | None,
    ) -> None:
        self.has_new = False
        self._stack = stack
        self._zone = zone
        self._allow = allow
        self._left = most
        self._is_named = given is not None
        self._given = dict(given or {})
        self._paths: set[str] = set()
        self._arrivals: dict[str, Arrival] = {}
        self._field = ""
        self._text = bytearray()
        self._arrival: Arrival | None = None

    def read(self, boundary: str) -> None:
        """Take the body apart; raises BadParameter for what is no form, or has no file."""
        decoder = MultipartDecoder(boundary.encode("ascii", "replace"), _FORM, max_parts=_MOST_PARTS)
        for chunk in chain(_body(), (None,)):
            try:
                decoder.receive_data(chunk)
                while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                    self._take(event)
            except (ValueError, RequestEntityTooLarge):
                raise BadParameter("file", "The form cannot be read: send it again as multipart/form-data.") from None
        if not self._arrivals:
            raise MissingParameter("file")

    def settle(self) -> None:
        """Bring all files to the disk, and ask once more whether they may be there."""
        for arrival in self._arrivals.values():
            arrival.settle(_sync)
        self._allow(self._given)

    def sizes(self) -> dict[str, int]:
        """The sizes of the files in bytes, by name."""
        return {name: arrival.size for name, arrival in self._arrivals.items()}

    def _take(self, event: Any) -> None:
        if isinstance(event, Field):
            self._field, self._arrival = event.name or "", None
            self._text.clear()
        elif isinstance(event, File):
            self._arrival = self._begin(event.filename)
        elif isinstance(event, Data) and self._arrival is not None:
            self._left -= len(event.data)
            if self._left < 0:
                raise TooLarge(0)  # The caller knows how much it may be.
            self._arrival.write(event.data)
        elif isinstance(event, Data):
            self._text += event.data
            if len(self._text) > _FIELD:
                raise BadParameter(self._field, f"A field of the form is longer than {_FIELD:,} bytes.")
            if not event.more_data:
                self._set(self._field, self._text.decode(errors="replace"))

    def _set(self, name: str, text: str) -> None:
        if self._given.setdefault(name, text) != text:
            raise BadParameter(name, f"Parameter '{name}' is given more than once, and differently.")

    def _begin(self, filename: str) -> Arrival:
        if not self._arrivals:
            self._allow(self._given)
        if self._is_named and (given := self._given.get("filename")):
            if self._arrivals:
                raise BadParameter("filename", "Only one file can have the filename: leave it out for several.")
            filename = given
        if len(self._arrivals) == MOST_FILES:
            raise BadParameter("file", f"There are more than {MOST_FILES} files in the form: send a zip file instead.")
        if not filename:
            raise MissingParameter("filename")
        self._claim("/".join(names_of(filename)))
        zone = self._zone()
        self.has_new |= not zone.kind(filename)
        arrival = self._stack.enter_context(zone.write(filename, self._left, _sync))
        self._arrivals[filename] = arrival
        return arrival

    def _claim(self, path: str) -> None:
        """Keep two files of the form from the same place, and a file from one that another needs as a folder."""
        if path in self._paths:
            raise BadParameter("filename", "Two files of the form have the same name: rename one.")
        if any(f"{path}/".startswith(f"{one}/") or one.startswith(f"{path}/") for one in self._paths):
            raise BadParameter("filename", f"'{path}' is a file of the form and in the way of another: rename one.")
        self._paths.add(path)


def _refuse_at_once(most: int) -> None:
    if (request.content_length or 0) > most:
        raise TooLarge(most)


def _body() -> Iterator[bytes]:
    """The request's body, piece by piece; raises ClientDisconnected when it ends too early."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(_STALLED)
    size = 0
    while chunk := request.stream.read(_CHUNK):
        size += len(chunk)
        yield chunk
        time.sleep(0)  # Whoever sends fast would keep a gevent process from its other requests.
    if size != (size if request.content_length is None else request.content_length):
        raise ClientDisconnected
    if connection is not None:
        connection.settimeout(None)
    g.is_body_read = True


@contextmanager
def _as_problems(most: int) -> Iterator[None]:
    """Tell of what can go wrong with a body in the words of the service."""
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
    body.failed = True  # gunicorn's own mark: it must not look for another request on this connection.
    left, until = _LINGER_BYTES, time.monotonic() + _LINGER
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        # To close now would reset the connection, and take the answer away from whoever is still sending.
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            connection.settimeout(seconds)
            if not (data := connection.recv(_CHUNK)):
                return
            left -= len(data)
