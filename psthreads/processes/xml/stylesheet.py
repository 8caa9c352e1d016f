"""Compiles a group's stylesheet without trust: it reads documents of its group only, and writes nothing.

Everything that it includes, or reads with `document()`, comes through the group's folder, without DTDs and entities.
For an operating system process that may crash, as libxslt sometimes does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from lxml import etree

from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer, inside, url
from psthreads.processes.xml.parsing import NotWellFormed, plain
from psthreads.processes.xml.reading import Reader
from psthreads.processes.xml.xinclude import Inclusions

LARGEST_OUTPUT: Final = 64 * 1024 * 1024
"""The bytes of one document's output, at most."""

_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_ENDINGS: Final = {"html": ".html", "xhtml": ".html", "text": ".txt"}
_MOST_MESSAGES: Final = 100  # of one document
_MOST_REASONS: Final = 3
_NO_REASON: Final = "unknown error"

# To libxslt, a path in the group is an address on the network; the resolver serves nothing else.
_ACCESS: Final = etree.XSLTAccessControl(
    read_network=True, read_file=False, write_file=False, create_dir=False, write_network=False
)


class NotTransformed(Exception):
    """A document cannot be transformed. The text is the reason."""


@dataclass(frozen=True, slots=True)
class Output:
    """A document's output, the extension for its name, and the stylesheet's messages."""

    content: bytes
    ending: str
    messages: list[str]


class Stylesheet:
    """A compiled stylesheet of a group; raises Unusable, with the place, if it cannot be compiled."""

    def __init__(self, files: Files, path: str, *, xinclude: bool = False) -> None:
        locator = Locator(files)
        self._reader = Reader(locator, Includer(files))
        self._includer = Includer(files, parse=lambda data, path: self._reader.read(data, path).root)
        self._inclusions = Inclusions(self._reader, locator, self._includer) if xinclude else None
        self._resolver = _Resolver(self._includer, locator)
        self._group = etree.XSLT.strparam(files.group.name)
        try:
            data = self._includer.expanded(path, self._includer.read(path))
            root = _parsing.parse(data, _parsing.parser(self._resolver), url(path))
            self._compiled = etree.XSLT(root, access_control=_ACCESS)
        except NotWellFormed as error:
            raise Unusable(f"it is not well-formed: {error}") from None
        except (etree.LxmlError, PsthreadsError, Unusable) as error:
            raise Unusable(_reason(error)) from None
        if self._resolver.refused:
            raise Unusable(self._resolver.refused)
        # Its own output method has precedence over those of its imports, and the last import over the others.
        self._method = next(filter(None, map(_method, (root, *reversed(self._resolver.loaded)))), "")
        self._resolver.loaded.clear()
        self._resolver.is_compiled = True

    def transform(self, data: bytes, path: str) -> Output:
        """Transform a document; raises NotTransformed, and MemoryError if memory runs out."""
        self._resolver.refused = ""
        try:
            reading = self._reader.read(data, path)
            if self._inclusions is not None:
                reading = self._inclusions.expanded(reading, path)
            # The stubs do not know that its value can be bytes.
            result: Any = self._compiled(reading.root, path=etree.XSLT.strparam(path), group=self._group)
        except NotWellFormed as error:
            raise NotTransformed(str(error)) from None
        except (etree.LxmlError, PsthreadsError, Unusable) as error:
            raise NotTransformed(_reason(error)) from None
        if self._resolver.refused:
            raise NotTransformed(self._resolver.refused)
        log = list(islice(self._compiled.error_log, _MOST_MESSAGES))
        _refuse_incomplete(log)
        content = bytes(result)
        if len(content) > LARGEST_OUTPUT:
            raise NotTransformed(f"its output is larger than {LARGEST_OUTPUT // 1024 // 1024} MiB")
        messages = [plain(entry.message) for entry in log]
        if reading.absent:
            messages.insert(0, f"its DTD could not be had, nor the default values of its attributes: {reading.absent}")
        return Output(content, self._ending(result), messages)

    def _ending(self, result: Any) -> str:
        if self._method:
            return _ENDINGS.get(self._method, ".xml")
        root = result.getroot()
        return ".html" if root is not None and str(root.tag).lower() == "html" else ".xml"


class _Resolver(etree.Resolver):
    """Serves what the stylesheet includes or reads. `refused` is the first reason why a document was not served."""

    def __init__(self, includer: Includer, locator: Locator) -> None:
        self.refused = ""
        self.is_compiled = False
        self.loaded: list[etree._Element] = []
        self._includer = includer
        self._locator = locator

    def resolve(self, system_url: str | None, _public_id: str | None, context: Any) -> Any:
        """Do as Resolver. Never returns None: libxml2 would then load the address itself."""
        try:
            path = self._locator.reference("/", system_url or "")
            root = self._includer.parse(path, self._includer.read(path))
        except (PsthreadsError, Unusable) as error:
            self.refused = self.refused or str(error)
            raise
        if not self.is_compiled:
            self.loaded.append(root)
        # Without its DTD, which libxslt would load from any address.
        return self.resolve_string(etree.tostring(root), context, base_url=url(path))


def _method(root: etree._Element) -> str:
    methods = [element.get("method", "") for element in root.iterchildren(f"{_XSL}output")]
    return next(filter(None, reversed(methods)), "")


def _refuse_incomplete(log: list[Any]) -> None:
    """Raise the error that lxml does not: it returns an incomplete result where libxslt gave up without a reason."""
    if any(entry.type == etree.ErrorTypes.ERR_NO_MEMORY for entry in log):
        raise MemoryError
    if any(entry.message == _NO_REASON for entry in log):
        raise NotTransformed("the stylesheet has an instruction that is not XSLT 1.0, or libxslt failed")


def _reason(error: Exception) -> str:
    """Return the reason of an error, with its place in the stylesheet if that is known."""
    if not isinstance(error, etree.LxmlError):
        return str(error)
    entries = list(islice(error.error_log, _MOST_MESSAGES))
    if any(entry.type == etree.ErrorTypes.ERR_NO_MEMORY for entry in entries):
        raise MemoryError
    at = next((number for number, entry in enumerate(entries) if entry.line and "group://" in entry.filename), None)
    if at is None:
        return plain(str(error))
    texts = [entry.message for entry in entries[at:] if not entry.message.startswith(("runtime error", "compilation"))]
    texts = list(dict.fromkeys(text.partition("\n")[0] for text in texts if text != _NO_REASON))
    place = f"{inside('/', entries[at].filename)}, line {entries[at].line}"
    return plain(f"{place}: {'; '.join(texts[:_MOST_REASONS]) or error}")
