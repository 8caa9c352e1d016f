"""Gives each request an id, and notes what became of it: in the access log, and in what monitors read."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from psthreads.domain.config import Config
from psthreads.telemetry import logs
from psthreads.telemetry.forwarding import Forwarding
from psthreads.web.telemetry.request_counts import RequestCounts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID: Final = "X-Request-Id"
"""The header with the id of the request, in each answer."""

MEMBER: Final = "psthreads.member"
"""The key of the WSGI environment for the username of whoever has signed in."""

ENDPOINT: Final = "psthreads.endpoint"
"""The key of the WSGI environment for the route that answers."""

ID: Final = "psthreads.request"
"""The key of the WSGI environment for the id of the request."""

_HEADER: Final = "HTTP_X_REQUEST_ID"
_ID: Final = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}\Z")
_log = logging.getLogger("psthreads.access")


class RequestObserver:
    """WSGI middleware around the whole application.

    The id is that of a declared proxy, where it sends one, else a new one.
    """

    def __init__(
        self, application: WSGIApplication, config: Config, counts: RequestCounts, forwarding: Forwarding | None
    ) -> None:
        self._application = application
        self._trusts = config.proxies > 0
        self._logs = config.access_log
        self._counts = counts
        self._forwarding = forwarding

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as in PEP 3333."""
        began = time.monotonic()
        request_id: str = environ.get(_HEADER, "") if self._trusts else ""
        if not _ID.match(request_id):
            request_id = os.urandom(16).hex()
        environ[ID] = request_id
        logs.bind(request=request_id)
        if self._forwarding is not None:
            self._forwarding.look(environ)
        answer_status = ""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal answer_status
            answer_status = status[:3]
            headers.append((REQUEST_ID, request_id))
            return start_response(status, headers, *more)

        def note() -> None:
            status, seconds = int(answer_status or 500), time.monotonic() - began
            part = environ.get(ENDPOINT, "").rpartition(".")[0].rstrip("0123456789")
            self._counts.add(part or "other", environ["REQUEST_METHOD"], status, seconds)
            if self._logs:
                _note(environ, status, seconds)

        body = self._application(environ, start)
        wrapper: Any = environ.get("wsgi.file_wrapper", ())
        if isinstance(body, wrapper):
            note()  # gunicorn sends a file that it knows as one without copying it.
            return cast("Iterable[bytes]", body)
        return _Observed(body, note)


class _Observed:
    """The body of an answer, which calls a function once it is sent or given up."""

    def __init__(self, body: Iterable[bytes], note: Any) -> None:
        self._body = body
        self._note = note

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body, as in PEP 3333."""
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            self._note()


def _note(environ: WSGIEnvironment, status: int, seconds: float) -> None:
    # Without the query, in which clients of other servers send what is secret.
    logs.note(
        _log,
        "Request",
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        status=status,
        seconds=seconds,
        address=environ.get("REMOTE_ADDR", ""),
        member=environ.get(MEMBER, ""),
    )
