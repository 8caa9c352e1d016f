"""A group's stylesheet, compiled without trust: it reads in its group only, and writes nothing.

What it includes, and what it reads with `document()`, comes through the group's folder, without DTD and
entities. For an operating system process that may crash: libxslt has been known to.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from lxml import etree

from psthreads.documents.layout import GroupFolder
from psthreads.domain.errors import PsthreadsError
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.includes import Includer, Unusable, inside, url
from psthreads.processes.xml.parsing import NotWellFormed, plain

LARGEST_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes that one document may become."""

_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_ENDINGS: Final = {"html": ".html", "xhtml": ".html", "text": ".txt"}
_MOST_MESSAGES: Final = 100  # of one document
_MOST_REASONS: Final = 3
_NO_WORD: Final = "unknown error"

# A path in the group looks like an address on the network to libxslt; the resolver serves nothing else.
_ACCESS: Final = etree.XSLTAccessControl(
    read_network=True, read_file=False, write_file=False, create_dir=False, write_network=False
)


class NotTransformed(Exception):
    """A document cannot be transformed; the text says why."""


@dataclass(frozen=True, slots=True)
class Output:
    """What became of a document, with the ending of its name, and what the stylesheet said."""

    content: bytes
    ending: str
    messages: list[str]


class Stylesheet:
    """A stylesheet of a group, ready for use. Raises Unusable where it is none, with the place."""

    def __init__(self, folder: GroupFolder, path: str) -> None:
        self._parser = _parsing.parser()
        self._includer = Includer(folder)
        self._resolver = _Resolver(self._includer)
        self._group = etree.XSLT.strparam(folder.group.name)
        try:
            root = _parsing.parse(self._includer.read(path), _parsing.parser(self._resolver), url(path))
            self._compiled = etree.XSLT(root, access_control=_ACCESS)
        except NotWellFormed as error:
            raise Unusable(f"it is not well-formed: {error}") from None
        except (etree.LxmlError, PsthreadsError, Unusable) as error:
            raise Unusable(_reason(error)) from None
        if self._resolver.refused:
            raise Unusable(self._resolver.refused)
        # Its own output method comes before those of what it imports, and of these the last one counts.
        self._method = next(filter(None, map(_method, (root, *reversed(self._resolver.loaded)))), "")
        self._resolver.loaded.clear()
        self._resolver.is_compiled = True

    def transform(self, data: bytes, path: str) -> Output:
        """The output for a document. Raises NotTransformed, and MemoryError when there is not enough."""
        self._resolver.refused = ""
        try:
            root = _parsing.parse(data, self._parser, url(path))
            # The stubs do not know that this can be bytes.
            result: Any = self._compiled(root, path=etree.XSLT.strparam(path), group=self._group)
        except NotWellFormed as error:
            raise NotTransformed(str(error)) from None
        except (etree.LxmlError, PsthreadsError, Unusable) as error:
            raise NotTransformed(_reason(error)) from None
        if self._resolver.refused:
            raise NotTransformed(self._resolver.refused)
        log = list(islice(self._compiled.error_log, _MOST_MESSAGES))
        _refuse_half(log)
        content = bytes(result)
        if len(content) > LARGEST_OUTPUT:
            raise NotTransformed(f"its output is larger than {LARGEST_OUTPUT // 1024 // 1024} MiB")
        return Output(content, self._ending(result), [plain(entry.message) for entry in log])

    def _ending(self, result: Any) -> str:
        if self._method:
            return _ENDINGS.get(self._method, ".xml")
        root = result.getroot()
        return ".html" if root is not None and str(root.tag).lower() == "html" else ".xml"


class _Resolver(etree.Resolver):
    """Serves what the stylesheet includes or reads. `refused` is why something was not, if anything was not."""

    def __init__(self, includer: Includer) -> None:
        self.refused = ""
        self.is_compiled = False
        self.loaded: list[etree._Element] = []
        self._includer = includer

    def resolve(self, system_url: str | None, _public_id: str | None, context: Any) -> Any:
        """As Resolver says. It never returns None, for libxml2 would then look for itself."""
        try:
            path = inside("/", system_url or "")
            root = self._includer.parsed(path, self._includer.read(path))
        except (PsthreadsError, Unusable) as error:
            self.refused = self.refused or str(error)
            raise
        if not self.is_compiled:
            self.loaded.append(root)
        # Without its DTD, which libxslt would have loaded from wherever it says.
        return self.resolve_string(etree.tostring(root), context, base_url=url(path))


def _method(root: etree._Element) -> str:
    methods = [element.get("method", "") for element in root.iterchildren(f"{_XSL}output")]
    return next(filter(None, reversed(methods)), "")


def _refuse_half(log: list[Any]) -> None:
    """Raise what lxml should have: it returns half a result where libxslt gave up without a word."""
    if any(entry.type == etree.ErrorTypes.ERR_NO_MEMORY for entry in log):
        raise MemoryError
    if any(entry.message == _NO_WORD for entry in log):
        raise NotTransformed("the stylesheet has an instruction that is none of XSLT 1.0, or libxslt failed")


def _reason(error: Exception) -> str:
    """Why, and where in the stylesheet where that is known."""
    if not isinstance(error, etree.LxmlError):
        return str(error)
    entries = list(islice(error.error_log, _MOST_MESSAGES))
    if any(entry.type == etree.ErrorTypes.ERR_NO_MEMORY for entry in entries):
        raise MemoryError
    at = next((number for number, entry in enumerate(entries) if entry.line and "group://" in entry.filename), None)
    if at is None:
        return plain(str(error))
    texts = [entry.message for entry in entries[at:] if not entry.message.startswith(("runtime error", "compilation"))]
    texts = list(dict.fromkeys(text.partition("\n")[0] for text in texts if text != _NO_WORD))
    place = f"{inside('/', entries[at].filename)}, line {entries[at].line}"
    return plain(f"{place}: {'; '.join(texts[:_MOST_REASONS]) or error}")
