"""Schematron, ISO's and version 1.5: schemas, which are turned into stylesheets, and what they find."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
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
from psthreads.processes.xml.saxon import schematron as later
from psthreads.processes.xml.saxon.engine import Saxon
from psthreads.processes.xml.saxon.schematron import LaterRules

_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_SVRL: Final = "{http://purl.oclc.org/dsdl/svrl}"
_ALL: Final = "#ALL"
_FIRST_BINDINGS: Final = frozenset({"xslt", "xslt1", "xpath", "exslt"})


@dataclass(frozen=True, slots=True)
class SchematronRules:
    """A compiled Schematron schema.

    Failed asserts and successful reports are findings, unless their `role` is that of a warning or of information.
    """

    path: str
    compiled: etree.XSLT

    def is_for(self, _namespace: str) -> bool:
        """Do as Schema: rules may be about elements of any namespace."""
        return True

    def findings(self, root: etree._Element) -> list[Finding]:
        """Do as Schema."""
        try:
            report = self.compiled(root).getroot()
        except etree.XSLTApplyError as error:
            refuse_shortage(islice(error.error_log, MOST_PROBLEMS))
            raise Unusable(f"the schema {self.path} cannot be applied: {plain(str(error))}") from None
        refuse_shortage(islice(self.compiled.error_log, MOST_PROBLEMS))
        if report is None:
            raise Unusable(f"the schema {self.path} cannot be applied: it says nothing")
        return list(islice(_reported(root, report), MOST_PROBLEMS + 1))


class Schematron:
    """Compiles Schematron schemas."""

    def __init__(self, files: Files, locator: Locator, includer: Includer) -> None:
        self._files = files
        self._locator = locator
        self._includer = includer

    def rules(self, path: str, root: etree._Element, phase: str, *, is_required: bool) -> SchematronRules | LaterRules:
        """Return the compiled schema, with its includes inserted before.

        A phase that the schema does not have is no reason to refuse it, unless it is required. Raises Unusable.
        """
        if root.tag != f"{{{SCH}}}schema":
            raise Unusable(f"its root element is '{etree.QName(root).localname}', and must be 'schema'")
        binding = root.get("queryBinding", "xslt").lower()
        if binding not in _FIRST_BINDINGS | later.BINDINGS:
            raise Unusable(f"it needs the query language '{plain(binding)}', which is not supported")
        _choose_phase(root, phase, is_required=is_required)
        if binding in later.BINDINGS:
            try:
                saxon = self._saxon
            except Unusable as error:
                raise Unusable(f"its query language is {binding}, and {error}") from None
            return later.rules(saxon, path, root)
        expand, translate = self._skeleton
        translated = translate(expand(root)).getroot()
        # Notes on every rule that was tried would fill the memory, and nobody reads them.
        for note in list(translated.iter(f"{_SVRL}fired-rule", f"{_SVRL}active-pattern")):
            parent = note.getparent()
            if parent is not None:
                parent.remove(note)
        stylesheet = self._includer.parse_again(path, translated)
        if next(stylesheet.iter(f"{_XSL}include", f"{_XSL}import"), None) is not None:
            raise Unusable("it includes a stylesheet")
        return SchematronRules(path, etree.XSLT(stylesheet, access_control=etree.XSLTAccessControl.DENY_ALL))

    @cached_property
    def _saxon(self) -> Saxon:
        return Saxon(self._files, self._locator, self._includer)

    @cached_property
    def _skeleton(self) -> tuple[etree.XSLT, etree.XSLT]:
        """ISO Schematron's own stylesheets, which turn a schema into a stylesheet."""
        folder = importlib.resources.files("lxml") / "isoschematron/resources/xsl/iso-schematron-xslt1"
        deny = etree.XSLTAccessControl.DENY_ALL
        with (
            importlib.resources.as_file(folder / "iso_abstract_expand.xsl") as expand,
            importlib.resources.as_file(folder / "iso_svrl_for_xslt1.xsl") as translate,
        ):
            return (
                etree.XSLT(etree.parse(expand), access_control=deny),
                etree.XSLT(etree.parse(translate), access_control=deny),
            )


def _choose_phase(root: etree._Element, phase: str, *, is_required: bool) -> None:
    """Make a phase the default; raises Unusable where there is none of that name, or the schema's own is none."""
    phases = {each.get("id", "") for each in root.iter(f"{{{SCH}}}phase")} | {_ALL}
    if phase in phases:
        root.set("defaultPhase", phase)
    elif is_required and phase != "#DEFAULT":
        raise Unusable(f"it has no phase '{plain(phase)}'")
    default = root.get("defaultPhase", _ALL)
    if default not in phases:
        raise Unusable(f"its default phase '{plain(default)}' is none of its phases")


def _reported(root: etree._Element, report: etree._Element) -> Iterator[Finding]:
    for finding in report.iter(f"{_SVRL}failed-assert", f"{_SVRL}successful-report"):
        if finding.get("role", "").lower().startswith(("warn", "info")):
            continue
        try:
            nodes = root.xpath(finding.get("location", "/*"))
        except etree.XPathError:
            nodes = []
        element = next((node for node in nodes if etree.iselement(node)), root)
        text = " ".join("".join(finding.itertext()).split())
        yield Finding(element, text or "A rule of the schema is broken")
