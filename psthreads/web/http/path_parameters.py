"""What PageSeeder's own clients send that means nothing here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SESSION: Final = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)


class PathParameters:
    """Wraps a WSGI application: the session id that a Java client may put on a path is taken off, and not believed."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as WSGI (PEP 3333) has it."""
        if ";" in environ["PATH_INFO"]:
            environ["PATH_INFO"] = _SESSION.sub("", environ["PATH_INFO"])
        return self._application(environ, start_response)
