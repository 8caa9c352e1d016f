"""Finds and compiles the schemas that apply to a document, and keeps them for a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple, Protocol

from lxml import etree

from psthreads.domain.errors import DocumentNotFound, PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import xsd11
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.findings import SILENT, Finding, Places
from psthreads.processes.xml.includes import RNG, SCH, SCH_15, XSD, Absent, Includer, schema_of
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain, refuse_shortage
from psthreads.processes.xml.relaxng.schema import RelaxNgSchema
from psthreads.processes.xml.schematron import Schematron
from psthreads.processes.xml.steps import Steps

FOLDER: Final = "/schemas"
"""The folder of a group's schemas: `<local name of the root element>.xsd`, `.rng` and `.sch`."""

_KINDS: Final = {XSD: "XML Schema", RNG: "RELAX NG", SCH: "Schematron", SCH_15: "Schematron"}

_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_BARE_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
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


class Applicable(NamedTuple):
    """The schemas that apply to a document, each once; why others cannot be used; and why yet others do not apply."""

    schemas: list[Schema]
    unusable: list[str]
    notes: list[str]


class Schemas:
    """The schemas of one group, each compiled once in a run."""

    def __init__(self, files: Files, locator: Locator, includer: Includer, steps: Steps, phase: str = "") -> None:
        self._files = files
        self._locator = locator
        self._includer = includer
        self._steps = steps
        self._phase = phase
        self._schematron = Schematron(files, locator, includer)
        # The caches hold errors, too: a schema that many documents name fails once.
        self._compiled = lru_cache(maxsize=64)(self._compile)
        self._of_group = lru_cache(maxsize=256)(self._find)
        self._of_namespace = lru_cache(maxsize=256)(self._choose)

    def of_root(self, name: str) -> list[Schema] | None:
        """Return the group's schemas for a root element's local name; None if one of them is unusable."""
        schemas, unusable = self._of_group(name)
        return None if unusable else schemas

    def of(self, root: etree._Element, path: str) -> Applicable:
        """Return the group's schemas for the root element and those that the document names."""
        name = etree.QName(root)
        group = self._of_namespace(name.namespace or "", name.localname)
        if not _names_schemas(root):
            return group
        own: list[Schema | Unusable] = []
        notes = list(group.notes)
        if len((root.get(_LOCATION) or "").split()) % 2:
            notes.append("its xsi:schemaLocation is not made of pairs, and its last part was left out")
        for kind, parts, phase in _references(root):
            if kind not in {"", *_KINDS}:
                own.append(Unusable(f"it names a schema of the kind '{plain(kind)}', which is not supported"))
                continue
            try:
                located = [(namespace, self._located(namespace, href, path, notes)) for namespace, href in parts]
            except Unusable as error:
                own.append(error)
                continue
            if located := [(namespace, target) for namespace, target in located if target]:
                own.append(self._compiled(kind, tuple(located), phase))
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

    def _find(self, name: str) -> tuple[list[Schema], list[str]]:
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
        return _sorted(schemas)

    def _choose(self, namespace: str, name: str) -> Applicable:
        """Return the group's schemas for root elements of a namespace, by its catalog and by their name."""
        schemas, reasons = self._of_group(name)
        unusable = list(reasons)
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

    def _compile(self, kind: str, parts: tuple[tuple[str, str], ...], phase: str = "") -> Schema | Unusable:
        path = parts[0][1]
        if reason := self._steps.given_up.get(path):
            return Unusable(reason)
        try:
            with self._steps.compiling(path):
                return self._load(path, kind, parts, phase)
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

    def _load(self, path: str, kind: str, parts: tuple[tuple[str, str], ...], phase: str) -> Schema:
        if len(parts) > 1:
            return self._grammar(path, "/", schema_of(parts), None)
        data = self._includer.read(path)
        root = self._includer.parse(path, data)
        actual = etree.QName(root).namespace or ""
        actual, kind = (SCH if each == SCH_15 else each for each in (actual, kind))
        if actual not in _KINDS or kind not in {"", actual}:
            raise Unusable(f"it is not {_KINDS.get(kind, 'XML Schema, RELAX NG or Schematron')}")
        if actual == XSD:
            return self._grammar(path, path, data, _namespaces(root))
        if actual == RNG:
            return RelaxNgSchema(path, self._includer.rng(path, root))
        return self._schematron.rules(
            path, self._includer.sch(path, root), phase or self._phase, is_required=bool(phase)
        )

    def _grammar(self, path: str, base: str, data: bytes, namespaces: frozenset[str] | None) -> Schema:
        """Compile an XML Schema: by libxml2, or by xmlschema where it is of version 1.1 or libxml2 refuses it."""
        parts = [data]
        try:
            if not xsd11.is_later(data):
                grammar = Grammar(path, *self._includer.xsd(base, data, parts.append), namespaces)
                if not any(map(xsd11.is_later, parts)):
                    return grammar
        except Unusable as error:
            if any(map(xsd11.is_later, parts)):
                return self._later_grammar(path, base, data, namespaces)
            # What 1.1 relaxes cannot be seen, such as what an xs:all may contain.
            with suppress(Unusable):
                return self._later_grammar(path, base, data, namespaces)
            raise error from None
        return self._later_grammar(path, base, data, namespaces)

    def _later_grammar(self, path: str, base: str, data: bytes, namespaces: frozenset[str] | None) -> Schema:
        expanded = self._includer.expanded(base, data) if base == path else data
        return xsd11.LaterGrammar(path, base, expanded, self._includer, self._locator.reference, namespaces)


def _sorted(schemas: list[Schema | Unusable]) -> tuple[list[Schema], list[str]]:
    """Return the schemas, and the reasons of those that are unusable."""
    unusable = [str(schema) for schema in schemas if isinstance(schema, Unusable)]
    return [schema for schema in schemas if not isinstance(schema, Unusable)], unusable


def _namespaces(schema: etree._Element) -> frozenset[str]:
    """Return the namespaces of an XML Schema: its own, and those that it imports."""
    imports = schema.iterchildren(f"{{{XSD}}}import")
    return frozenset({schema.get("targetNamespace", ""), *(each.get("namespace", "") for each in imports)})


def _names_schemas(root: etree._Element) -> bool:
    # Cheap: it is called for every document, and most name none.
    return root.getprevious() is not None or root.get(_LOCATION) is not None or root.get(_BARE_LOCATION) is not None


def _of(namespace: str) -> str:
    return f"of the namespace '{plain(namespace)}'" if namespace else "without a namespace"


def _references(root: etree._Element) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    """Yield the schemas that the document names: the kind or "", pairs of namespace and address, and the phase."""
    pairs = (root.get(_LOCATION) or "").split()
    parts = [(pairs[at], pairs[at + 1]) for at in range(0, len(pairs) - 1, 2)]
    bare = root.get(_BARE_LOCATION)
    if bare:
        parts.append(("", bare.strip()))
    if parts:
        yield XSD, parts, ""
    if root.getprevious() is None:
        return
    for node in root.itersiblings(etree.PI, preceding=True):
        if _target(node) == "xml-model":
            yield node.get("schematypens") or "", [("", node.get("href") or "")], node.get("phase") or ""


def _target(instruction: etree._Element) -> str:
    # To the stubs, an instruction is an element.
    return str(getattr(instruction, "target", ""))
