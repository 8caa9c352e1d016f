"""Finds and compiles the schemas that apply to a document, and keeps them for a run."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final, NamedTuple, Protocol

from lxml import etree

from psthreads.domain.errors import DocumentNotFound, PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.findings import SILENT, Finding, Places
from psthreads.processes.xml.includes import RNG, SCH, XSD, Absent, Includer, schema_of
from psthreads.processes.xml.locating import Locator
from psthreads.processes.xml.namespaces import xsd_namespaces
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain, refuse_shortage
from psthreads.processes.xml.relaxng.schema import RelaxNgSchema
from psthreads.processes.xml.steps import Steps

FOLDER: Final = "/schemas"
"""The folder of a group's schemas: `<local name of the root element>.xsd`, `.rng` and `.sch`."""

_KINDS: Final = {XSD: "XML Schema", RNG: "RELAX NG", SCH: "Schematron"}

_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_BARE_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_SVRL: Final = "{http://purl.oclc.org/dsdl/svrl}"
_LONGEST_NAME: Final = 200


class Schema(Protocol):
    """A compiled schema."""

    @property
    def path(self) -> str:
        """Its path in the group."""

    def is_for(self, namespace: str) -> bool:
        """Tell whether it may say anything of a document whose root element is in this namespace."""

    def findings(self, root: etree._Element) -> list[Finding]:
        """Return the document's problems, MOST_PROBLEMS + 1 of them at most."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A compiled XML Schema. `has_ids` says whether it may have values that no two elements may share.

    `namespaces` are those of the root elements that it describes, or None for any.
    """

    path: str
    compiled: etree.XMLSchema
    has_ids: bool = False
    namespaces: frozenset[str] | None = None

    def is_for(self, namespace: str) -> bool:
        """Do as Schema."""
        return self.namespaces is None or namespace in self.namespaces

    @property
    def streaming(self) -> etree.XMLSchema | None:
        """The schema in a form that needs no tree, if that says the same."""
        # Without a tree, libxml2 does not see that an xs:ID is there twice.
        return None if self.has_ids else self.compiled

    def findings(self, root: etree._Element) -> list[Finding]:
        """Do as Schema."""
        try:
            is_valid = self.compiled.validate(root)
        except etree.LxmlError as error:
            raise Unusable(f"the schema {self.path} cannot be applied: {plain(str(error))}") from None
        if is_valid:
            return []
        log = list(islice(self.compiled.error_log, MOST_PROBLEMS + 1))
        refuse_shortage(log)
        places = Places(root)
        return [Finding(places.of(entry), entry.message) for entry in log] or [Finding(root, SILENT)]


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


class Applicable(NamedTuple):
    """The schemas that apply to a document, each once; why others cannot be used; and why yet others do not apply."""

    schemas: list[Schema]
    unusable: list[str]
    notes: list[str]


class Schemas:
    """The schemas of one group, each compiled once in a run."""

    def __init__(self, files: Files, locator: Locator, includer: Includer, steps: Steps) -> None:
        self._files = files
        self._locator = locator
        self._includer = includer
        self._steps = steps
        # The caches hold errors, too: a schema that many documents name fails once.
        self._compiled = lru_cache(maxsize=64)(self._compile)
        self._of_group = lru_cache(maxsize=256)(self._find)
        self._of_namespace = lru_cache(maxsize=256)(self._choose)

    def of_root(self, name: str) -> list[Schema] | None:
        """Return the group's schemas for a root element's local name; None if one of them is unusable."""
        schemas, unusable = _sorted(self._of_group(name))
        return None if unusable else schemas

    def of(self, root: etree._Element, path: str) -> Applicable:
        """Return the group's schemas for the root element and those that the document names."""
        name = etree.QName(root)
        group = self._of_namespace(name.namespace or "", name.localname)
        if not _names_schemas(root):
            return group
        own: list[Schema | Unusable] = []
        notes = list(group.notes)
        for kind, parts in _references(root):
            if kind not in {"", *_KINDS}:
                own.append(Unusable(f"it names a schema of the kind '{plain(kind)}', which is not supported"))
                continue
            try:
                located = [(namespace, self._located(namespace, href, path, notes)) for namespace, href in parts]
            except Unusable as error:
                own.append(error)
                continue
            if located := [(namespace, target) for namespace, target in located if target]:
                own.append(self._compiled(kind, tuple(located)))
        schemas, unusable = _sorted(own)
        schemas = list({schema.path: schema for schema in [*group.schemas, *schemas]}.values())
        return Applicable(schemas, [*group.unusable, *unusable], notes)

    def _located(self, namespace: str, href: str, path: str, notes: list[str]) -> str:
        """Return the path of a schema that a document names, or "" with a note."""
        try:
            target = self._locator.reference(path, href)
            if self._locator.has(target):
                return target
            reason = "the group does not have it"
        except Absent as error:
            if target := self._locator.namespace(namespace):
                return target
            reason = str(error)
        notes.append(f"the schema '{plain(href)}' could not be had: {reason}")
        return ""

    def _find(self, name: str) -> list[Schema | Unusable]:
        schemas: list[Schema | Unusable] = []
        for kind, ending in ((XSD, "xsd"), (RNG, "rng"), (RNG, "rnc"), (SCH, "sch")):
            path = f"{FOLDER}/{name[:_LONGEST_NAME]}.{ending}"
            try:
                self._files.resolve(path)
            except DocumentNotFound:
                continue
            except PsthreadsError as error:
                schemas.append(Unusable(error.message))
            else:
                schemas.append(self._compiled(kind, (("", path),)))
        return schemas

    def _choose(self, namespace: str, name: str) -> Applicable:
        """Return the group's schemas for root elements of a namespace, by its catalog and by their name."""
        schemas, unusable = _sorted(self._of_group(name))
        suitable = [schema for schema in schemas if schema.is_for(namespace)]
        notes = [
            f"the schema {schema.path} is not for elements {_of(namespace)}"
            for schema in schemas
            if schema not in suitable
        ]
        try:
            path = self._locator.namespace(namespace)
        except Unusable as error:
            return Applicable(suitable, [*unusable, str(error)], notes)
        if path and all(schema.path != path for schema in suitable):
            schema = self._compiled("", (("", path),))
            if isinstance(schema, Unusable):
                unusable.append(str(schema))
            else:
                suitable.append(schema)
        return Applicable(suitable, unusable, notes)

    def _compile(self, kind: str, parts: tuple[tuple[str, str], ...]) -> Schema | Unusable:
        path = parts[0][1]
        if reason := self._steps.given_up.get(path):
            return Unusable(reason)
        try:
            with self._steps.compiling(path):
                return self._load(path, kind, parts)
        except Unusable as error:
            reason = str(error)
        except etree.LxmlError as error:
            refuse_shortage(islice(error.error_log, MOST_PROBLEMS))
            reason = plain(str(error))
        except (MemoryError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 (whatever a library raises, it is about this schema)
            reason = f"it cannot be compiled: {type(error).__name__}: {plain(str(error))}"
        return Unusable(f"the schema {path} cannot be used: {reason}")

    def _load(self, path: str, kind: str, parts: tuple[tuple[str, str], ...]) -> Schema:
        if len(parts) > 1:
            return Grammar(path, *self._includer.xsd("/", schema_of(parts)))
        data = self._includer.read(path)
        root = self._includer.parse(path, data)
        actual = etree.QName(root).namespace or ""
        if actual not in _KINDS or kind not in {"", actual}:
            raise Unusable(f"it is not {_KINDS.get(kind, 'XML Schema, RELAX NG or Schematron')}")
        if actual == XSD:
            return Grammar(path, *self._includer.xsd(path, data), xsd_namespaces(root))
        if actual == RNG:
            return RelaxNgSchema(path, self._includer.rng(path, root))
        return SchematronRules(path, self._rules(path, self._includer.sch(path, root)))

    def _rules(self, path: str, root: etree._Element) -> etree.XSLT:
        if root.tag != f"{{{SCH}}}schema":
            raise Unusable(f"its root element is '{etree.QName(root).localname}', and must be 'schema'")
        binding = root.get("queryBinding", "xslt").lower()
        if binding not in {"xslt", "xslt1", "xpath", "exslt"}:
            raise Unusable(f"it needs the query language '{plain(binding)}', and only xslt is supported")
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
        return etree.XSLT(stylesheet, access_control=etree.XSLTAccessControl.DENY_ALL)

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


def _sorted(schemas: list[Schema | Unusable]) -> tuple[list[Schema], list[str]]:
    """Return the schemas, and the reasons of those that are unusable."""
    unusable = [str(schema) for schema in schemas if isinstance(schema, Unusable)]
    return [schema for schema in schemas if not isinstance(schema, Unusable)], unusable


def _names_schemas(root: etree._Element) -> bool:
    # Cheap: it is called for every document, and most name none.
    return root.getprevious() is not None or root.get(_LOCATION) is not None or root.get(_BARE_LOCATION) is not None


def _of(namespace: str) -> str:
    return f"of the namespace '{plain(namespace)}'" if namespace else "without a namespace"


def _references(root: etree._Element) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the schemas that the document names: the kind or "", and pairs of namespace and address."""
    pairs = (root.get(_LOCATION) or "").split()
    parts = [(pairs[at], pairs[at + 1]) for at in range(0, len(pairs) - 1, 2)]
    bare = root.get(_BARE_LOCATION)
    if bare:
        parts.append(("", bare.strip()))
    if parts:
        yield XSD, parts
    if root.getprevious() is None:
        return
    for node in root.itersiblings(etree.PI, preceding=True):
        if _target(node) == "xml-model":
            yield node.get("schematypens") or "", [("", node.get("href") or "")]


def _target(instruction: etree._Element) -> str:
    # To the stubs, an instruction is an element.
    return str(getattr(instruction, "target", ""))


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
