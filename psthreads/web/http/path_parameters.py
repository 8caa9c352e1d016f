"""Removes the session id that a Java client, such as PageSeeder's, may add to a path (`;jsessionid=…`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SESSION: Final = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)


class PathParameters:
    """WSGI middleware that removes the session id from the path. Nothing uses the id."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, as in PEP 3333."""
        if ";" in environ["PATH_INFO"]:
            environ["PATH_INFO"] = _SESSION.sub("", environ["PATH_INFO"])
        return self._application(environ, start_response)
