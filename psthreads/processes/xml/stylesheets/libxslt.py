"""Compiles a group's stylesheet without trust: it reads documents of its group only, and writes nothing.

Everything that it includes, or reads with `document()`, comes through the group's folder, without DTDs and entities.
For an operating system process that may crash, as libxslt sometimes does.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from lxml import etree

from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer, inside, url
from psthreads.processes.xml.parsing import plain
from psthreads.processes.xml.saxon.modules import needs_saxon
from psthreads.processes.xml.stylesheets import extra_documents
from psthreads.processes.xml.stylesheets.extra_documents import ExtraDocuments
from psthreads.processes.xml.stylesheets.outputs import ENDINGS, LARGEST_OUTPUT, NotTransformed, Output
from psthreads.processes.xml.stylesheets.source import TransformSource, notes

_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_MOST_MESSAGES: Final = 100  # of one document
_MOST_REASONS: Final = 3
_NO_REASON: Final = "unknown error"

# To libxslt, a path in the group is an address on the network; the resolver serves nothing else.
_ACCESS: Final = etree.XSLTAccessControl(
    read_network=True, read_file=False, write_file=False, create_dir=False, write_network=False
)


class LaterVersion(Exception):
    """A stylesheet imports one of XSLT 2 or 3."""


class Stylesheet:
    """A stylesheet of XSLT 1; raises Unusable, with the place, if it cannot be compiled, and LaterVersion."""

    def __init__(self, source: TransformSource, path: str) -> None:
        self._source = source
        self._resolver = _Resolver(source.includer, source.locator)
        self._extra = ExtraDocuments()
        self._group = etree.XSLT.strparam(source.files.group.name)
        root = extra_documents.rewritten(source.stylesheet(path, self._resolver), url(path))
        extensions = {(extra_documents.NAMESPACE, extra_documents.NAME): self._extra}
        try:
            self._compiled = etree.XSLT(root, access_control=_ACCESS, extensions=extensions)
        except (etree.LxmlError, PsthreadsError, Unusable) as error:
            self._refuse_later_versions()
            raise Unusable(_reason(error)) from None
        self._refuse_later_versions()
        if self._resolver.refused:
            raise Unusable(self._resolver.refused)
        # Its own output method has precedence over those of its imports, and the last import over the others.
        roots = (root, *reversed(self._resolver.loaded))
        self._method = next(filter(None, map(_method, roots)), "")
        for each in roots:
            _refuse_unknown_encoding(each)
        self._resolver.loaded.clear()
        self._resolver.is_compiled = True

    def transform(self, data: bytes, path: str) -> Output:
        """Do as CompiledStylesheet."""
        self._resolver.refused = ""
        self._extra.begin()
        reading = self._source.document(data, path)
        try:
            # The stubs do not know that its value can be bytes.
            result: Any = self._compiled(reading.root, path=etree.XSLT.strparam(path), group=self._group)
        except (etree.LxmlError, PsthreadsError, Unusable, NotTransformed) as error:
            raise NotTransformed(_reason(self._extra.failure or error)) from None
        if self._extra.failure or self._resolver.refused:
            raise NotTransformed(str(self._extra.failure or self._resolver.refused))
        log = list(islice(self._compiled.error_log, _MOST_MESSAGES))
        _refuse_incomplete(log)
        content = bytes(result)
        if len(content) > LARGEST_OUTPUT:
            raise NotTransformed(f"its output is larger than {LARGEST_OUTPUT // 1024 // 1024} MiB")
        messages = [*notes(reading), *(plain(entry.message) for entry in log)]
        results = self._extra.results.contents
        return Output(b"" if results and not content.strip() else content, self._ending(result), messages, results)

    def _refuse_later_versions(self) -> None:
        if any(map(needs_saxon, self._resolver.loaded)):
            raise LaterVersion

    def _ending(self, result: Any) -> str:
        if self._method:
            return ENDINGS.get(self._method, ".xml")
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
            root = extra_documents.rewritten(root, url(path))
        # Without its DTD, which libxslt would load from any address.
        return self.resolve_string(etree.tostring(root), context, base_url=url(path))


def _method(root: etree._Element) -> str:
    methods = [element.get("method", "") for element in root.iterchildren(f"{_XSL}output")]
    return next(filter(None, reversed(methods)), "")


def _refuse_unknown_encoding(root: etree._Element) -> None:
    """Raise Unusable for an encoding that libxml2 does not know: it would write UTF-8 and say that it was the other."""
    for element in root.iterchildren(f"{_XSL}output"):
        if encoding := element.get("encoding"):
            try:
                etree.tostring(etree.Element("a"), encoding=encoding)
            except LookupError:
                raise Unusable(
                    f"it asks for output in '{plain(encoding)}', an encoding that is not known here"
                ) from None


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
