"""The parameters of a request that its route does not read.

What narrows a request is honoured or refused, never ignored: whoever means to clear one upload must not clear all. So a
name that means something on another route, here or in PageSeeder, is refused where it means nothing, and so is one that
looks like a mistyped name of this route. The rest is named in a header, or refused with the setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote

from flask import Flask, current_app, g, request

from psthreads.authoring.process import Process
from psthreads.domain.errors import BadParameter, UnknownParameter
from psthreads.domain.suggestions import nearest
from psthreads.web.http.operation import BYTES, FORM, MULTIPART, Operation, declared

HEADER: Final = "Psthreads-Ignored"
"""The header that names what was ignored, each name percent-encoded."""

HARMLESS: Final = frozenset(
    {
        *("_", "xformat"),  # against caches, and the format that PageSeeder's Java client wants of servlets: XML
        # What has no counterpart here, and whose absence leaves no document out and adds none.
        *("createxrefs", "file", "index", "message", "notify", "notify-async", "overwrite-properties", "subject"),
    }
)
"""The parameters that may be ignored silently: they cannot change what is done."""

PAGESEEDERS: Final = frozenset(
    {
        *("allurls", "autoload", "binary-metadata-only", "compare", "context", "deleteoriginal"),
        *("documenttype", "excludes", "fail-on-error", "filename", "folder", "forward-depth", "host"),
        *("image-metadata-only", "includes", "interpublication-xrefs", "load-alternates", "load-images"),
        *("media", "member", "metadata-only", "path", "project", "publicationid", "release", "reverse-depth"),
        *("since", "target", "type", "uploadid", "uri", "uris", "url", "urls", "version", "xlinkid"),
        *("xmlspec", "xref-types"),
    }
)
"""The parameters by which PageSeeder's clients choose what its services do."""

_ALIKE: Final = 0.7  # of two names of which one is the other, mistyped
_MOST_NAMED: Final = 20
_LONGEST: Final = 80  # characters of a name in an answer
_EXEMPT: Final = "oauth"  # RFC 6749, section 3.2: what is not recognised must be ignored


class UnknownParameters:
    """Checks the parameters of requests; `processes` and the routes of `app` say which names mean something."""

    def __init__(self, app: Flask, processes: Iterable[Process], *, is_strict: bool) -> None:
        self._app = app
        self._processes = tuple(processes)
        self._is_strict = is_strict
        self._meaningful: frozenset[str] | None = None

    def check(self) -> list[str]:
        """Return the names that the current request's route ignores. Raises UnknownParameter, and BadParameter."""
        environ = request.environ
        has_form = request.mimetype in {FORM, MULTIPART}
        if request.url_rule is None or not (environ.get("QUERY_STRING") or has_form) or request.blueprint == _EXEMPT:
            return []
        operation = declared(self._app.view_functions[request.url_rule.endpoint])
        if (names := _names(operation)) is None:
            return []
        # An upload's body is a file, or a form that it reads itself.
        is_upload = operation is not None and (BYTES in operation.body or "file" in operation.fields)
        reads_form = has_form and not is_upload
        for name, texts in (request.values if reads_form else request.args).lists():
            if len(set(texts)) > 1:
                raise BadParameter(name, f"Parameter '{name}' is given more than once, and differently.")
        if reads_form and (file := next(iter(request.files), None)) is not None:
            raise BadParameter(file, f"'{file[:_LONGEST]}' is sent as a file, but this service takes none.")
        return list(self.ignored(request.values if reads_form else request.args, names))

    def ignored(self, given: Iterable[str], names: Iterable[str]) -> Iterator[str]:
        """Yield those that are none of the route's `names`, and not harmless. Raises UnknownParameter."""
        names = tuple(names)
        for name in given:
            if name in names or name in HARMLESS:
                continue
            if self._is_strict or name.lower() in self._all_meaningful() or nearest(name, names, _ALIKE):
                raise UnknownParameter(name, names)
            yield name

    def _all_meaningful(self) -> frozenset[str]:
        if self._meaningful is None:
            operations = filter(None, map(declared, self._app.view_functions.values()))
            own = (name for operation in operations for name in _names(operation) or ())
            of_processes = (parameter.wire for process in self._processes for parameter in process.parameters)
            self._meaningful = PAGESEEDERS | {name.lower() for name in (*own, *of_processes)}
        return self._meaningful


def note_ignored(fields: Iterable[str], names: Iterable[str]) -> None:
    """Note the fields of a form that its view reads itself, for the header. Raises UnknownParameter."""
    check: UnknownParameters = current_app.unknown_parameters  # type: ignore[attr-defined] # our own Application
    g.ignored_fields = [*check.ignored(fields, names)]


def header(names: Iterable[str]) -> str:
    """Return the value of the header for these names, of which the first are enough."""
    return ", ".join(quote(name[:_LONGEST], safe="") for name in islice(dict.fromkeys(names), _MOST_NAMED))


def _names(operation: Operation | None) -> tuple[str, ...] | None:
    """Return the names that the route reads; None for a page, which has forms of its own."""
    process: Process | None = g.get("process") if g else None
    if operation is not None:
        return (*(parameter.wire for parameter in operation.parameters), *operation.fields)
    return tuple(parameter.wire for parameter in process.parameters) if process else None
