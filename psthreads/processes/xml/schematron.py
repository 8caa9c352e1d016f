"""Schematron, ISO's and version 1.5: schemas, which are turned into stylesheets, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

from lxml import etree

from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.findings import Finding
from psthreads.processes.xml.includes import SCH, Includer
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain, refuse_shortage
from psthreads.processes.xml.saxon.engine import Failed, Saxon
from psthreads.processes.xml.schematron_source import OUTSIDE, SchematronSource

_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_FIRST_BINDINGS: Final = frozenset({"xslt", "xslt1", "xpath", "exslt"})
_LATER_BINDINGS: Final = frozenset({"xslt2", "xslt3", "xpath2", "xpath3", "xpath30", "xpath31"})

Apply = Callable[[etree._Element], Iterable[etree._Element]]  # noqa: SLF001 (it has no public name)
"""Applies a stylesheet of a schema to a document, and returns an element for each rule that is broken."""


@dataclass(frozen=True, slots=True)
class SchematronRules:
    """A compiled Schematron schema.

    Failed asserts and successful reports are findings, unless their `role` is that of a warning or of information.
    """

    path: str
    compiled: tuple[Apply, ...]

    def is_for(self, _namespace: str) -> bool:
        """Do as Schema: rules may be about elements of any namespace."""
        return True

    def findings(self, root: etree._Element) -> list[Finding]:
        """Do as Schema."""
        try:
            return list(islice(self._findings(root), MOST_PROBLEMS + 1))
        except Failed as error:
            raise Unusable(f"the schema {self.path} cannot be applied: {error}") from None

    def _findings(self, root: etree._Element) -> Iterator[Finding]:
        for apply in self.compiled:
            for broken in apply(root):
                if broken.get("role", "").lower().startswith(("warn", "info")):
                    continue
                place = broken.get("place", "")
                element, beside = root, ""
                if place.startswith(OUTSIDE):
                    beside = f"{place.removeprefix(OUTSIDE).removeprefix('group://')}: "
                else:
                    nodes = root.xpath(place or "/*")
                    element = nodes[0] if isinstance(nodes, list) and nodes else root
                text = " ".join("".join(broken.itertext()).split())
                yield Finding(element, beside + (text or "A rule of the schema is broken"))


class Schematron:
    """Compiles Schematron schemas."""

    def __init__(self, files: Files, locator: Locator, includer: Includer) -> None:
        self._files = files
        self._locator = locator
        self._includer = includer

    def rules(self, path: str, root: etree._Element, phase: str, *, is_required: bool) -> SchematronRules:
        """Return the compiled schema, with its includes inserted before.

        A phase that the schema does not have is no reason to refuse it, unless it is required. Raises Unusable.
        """
        if root.tag != f"{{{SCH}}}schema":
            raise Unusable(f"its root element is '{etree.QName(root).localname}', and must be 'schema'")
        binding = root.get("queryBinding", "xslt").lower()
        if binding not in _FIRST_BINDINGS | _LATER_BINDINGS:
            raise Unusable(f"it needs the query language '{plain(binding)}', which is not supported")
        compiled = self._by_libxslt
        if is_later := binding in _LATER_BINDINGS:
            try:
                self._saxon  # noqa: B018 (whether it is there)
            except Unusable as error:
                raise Unusable(f"its query language is {binding}, and {error}") from None
            compiled = self._by_saxon
        source = SchematronSource(root, path, phase, is_later=is_later, is_required=is_required)
        return SchematronRules(path, tuple(compiled(path, sheet) for sheet in source.stylesheets()))

    def _by_libxslt(self, path: str, stylesheet: etree._Element) -> Apply:
        stylesheet = self._includer.parse_again(path, stylesheet)
        if next(stylesheet.iter(f"{_XSL}include", f"{_XSL}import"), None) is not None:
            raise Unusable("it includes a stylesheet")
        transform = etree.XSLT(stylesheet, access_control=etree.XSLTAccessControl.DENY_ALL)

        def apply(root: etree._Element) -> Iterable[etree._Element]:
            try:
                report = transform(root).getroot()
            except etree.XSLTApplyError as error:
                refuse_shortage(islice(error.error_log, MOST_PROBLEMS))
                raise Failed(plain(str(error))) from None
            refuse_shortage(islice(transform.error_log, MOST_PROBLEMS))
            if report is None:
                raise Failed("it says nothing")
            return report

        return apply

    def _by_saxon(self, path: str, stylesheet: etree._Element) -> Apply:
        compiled = self._saxon.compile(path, stylesheet)

        def apply(root: etree._Element) -> Iterable[etree._Element]:
            report = compiled.transform(root, _path_of(root), {}, "result:/psthreads/report.xml").output
            # The text may be larger than a parser takes from elsewhere: it is what Saxon wrote.
            return etree.fromstring(report.encode(), etree.XMLParser(huge_tree=True, resolve_entities=False))

        return apply

    @cached_property
    def _saxon(self) -> Saxon:
        return Saxon(self._files, self._locator, self._includer)


def _path_of(root: etree._Element) -> str:
    address = root.getroottree().docinfo.URL or ""
    return address.removeprefix("group://") if address.startswith("group://") else "/document.xml"
