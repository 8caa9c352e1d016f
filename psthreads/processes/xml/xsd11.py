"""XML Schema 1.1 by xmlschema, which the extra `xsd11` installs; libxml2 knows 1.0."""

from __future__ import annotations

import mimetypes
import re
import warnings
from collections.abc import Callable, Mapping
from email.message import Message
from io import BytesIO
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit
from urllib.request import BaseHandler, OpenerDirector, Request
from urllib.response import addinfourl

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.findings import Finding
from psthreads.processes.xml.includes import Includer
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain

ABSENT: Final = (
    "it is XML Schema 1.1, which needs xmlschema, and that is not installed here: pip install 'psthreads[xsd11]'"
    " for the workers"
)
"""The end of a sentence on what cannot be done without the extra."""

_GROUP: Final = "http://group.invalid"  # A name that nobody has: only the handler below serves it.
_MOST_PARTS: Final = 500
_MARKS: Final = re.compile(
    rb"<(?:[\w.-]+:)?(?:assert|assertion|alternative|openContent|defaultOpenContent|override|explicitTimezone)[\s/>]"
    rb"|minVersion\s*=\s*[\"']\s*(?:1\.[1-9]|[2-9])|defaultAttributes\s*=|xpathDefaultNamespace\s*=|notQName\s*="
    rb"|notNamespace\s*=|inheritable\s*=|[:\"'](?:anyAtomicType|dateTimeStamp|dayTimeDuration|yearMonthDuration)[\"'\s]"
)


def is_later(schema: bytes) -> bool:
    """Tell whether a schema document asks for version 1.1, or uses what 1.0 does not have."""
    return _MARKS.search(schema) is not None


class LaterGrammar:
    """A compiled XML Schema 1.1; raises Unusable if it cannot be compiled, or xmlschema is not installed.

    `base` is the path that its references are relative to, and `locate` returns the path in the group for the path of
    a document and a reference in it.
    """

    def __init__(
        self,
        path: str,
        base: str,
        data: bytes,
        includer: Includer,
        locate: Callable[[str, str], str],
        namespaces: frozenset[str] | None = None,
    ) -> None:
        # Importing it opens files by urllib, and that would read tables of the system, which a child may not.
        mimetypes.knownfiles.clear()
        try:
            from xmlschema import XMLSchema11, XMLSchemaException  # noqa: PLC0415 (an extra)
        except ImportError:
            raise Unusable(ABSENT) from None
        self.path = path
        self._namespaces = namespaces
        address = f"{_GROUP}{quote(base)}"
        handler = _GroupHandler(includer, locate, {address: data})
        opener = OpenerDirector()
        opener.add_handler(handler)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                self._compiled: Any = XMLSchema11(
                    address,
                    allow="remote",
                    defuse="always",
                    opener=opener,
                    use_fallback=False,
                    use_cache=False,
                )
            except (XMLSchemaException, OSError, etree.LxmlError) as error:
                raise Unusable(handler.refused or _first_line(error)) from None
        if handler.refused:
            raise Unusable(handler.refused)
        for warning in warned:
            if "failed" in str(warning.message):
                raise Unusable(_first_line(warning.message))

    def is_for(self, namespace: str) -> bool:
        """Do as Schema."""
        return self._namespaces is None or namespace in self._namespaces

    def findings(self, root: etree._Element) -> list[Finding]:
        """Do as Schema."""
        errors = islice(self._compiled.iter_errors(root, use_defaults=False), MOST_PROBLEMS + 1)
        return [Finding(_element(root, error), _text(error)) for error in errors]


class _GroupHandler(BaseHandler):
    """Serves what schemas include and import. `refused` is the first reason why a document was not served."""

    def __init__(self, includer: Includer, locate: Callable[[str, str], str], contents: Mapping[str, bytes]) -> None:
        self.refused = ""
        self._contents = contents
        self._includer = includer
        self._locate = locate
        self._left = _MOST_PARTS

    def default_open(self, request: Request) -> addinfourl:
        """Do as BaseHandler: for addresses of every scheme."""
        try:
            data = self._data(request.full_url)
        except Unusable as error:
            self.refused = self.refused or str(error)
            raise OSError(str(error)) from None
        return addinfourl(BytesIO(data), Message(), request.full_url, 200)

    def _data(self, address: str) -> bytes:
        if address in self._contents:
            return self._contents[address]
        self._left -= 1
        if self._left < 0:
            raise Unusable("it has too many includes")
        if address.startswith(f"{_GROUP}/"):
            path = self._locate("/", unquote(urlsplit(address).path))
        else:
            path = self._locate("/", address)
        return self._includer.expanded(path, self._includer.read(path))


def _element(root: etree._Element, error: Any) -> etree._Element:
    element = error.elem
    return element if isinstance(element, etree._Element) else root  # noqa: SLF001 (it has no public name)


def _text(error: Any) -> str:
    reason = error.reason or error.message or "It is not valid"
    return plain(str(reason))


def _first_line(error: object) -> str:
    message = getattr(error, "message", None) or str(error)
    return plain(str(message).strip().partition("\n\n")[0].replace(f"{_GROUP}/", "/"))
