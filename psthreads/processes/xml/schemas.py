"""The schemas that apply to a document: found, compiled, and kept for a run."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final, NamedTuple, Protocol

from lxml import etree

from psthreads.documents.layout import GroupFolder
from psthreads.domain.errors import DocumentNotFound, PsthreadsError
from psthreads.processes.xml.includes import RNG, SCH, XSD, Includer, Unusable, gathered, inside
from psthreads.processes.xml.parsing import MOST_PROBLEMS, plain

FOLDER: Final = "/schemas"
"""Where a group keeps its schemas: `<local name of the root element>.xsd`, `.rng` and `.sch`."""

_KINDS: Final = {XSD: "XML Schema", RNG: "RELAX NG", SCH: "Schematron"}

_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_BARE_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
_SVRL: Final = "{http://purl.oclc.org/dsdl/svrl}"
_LONGEST_NAME: Final = 200


class Finding(NamedTuple):
    """An element of a document, and what is wrong with it."""

    element: etree._Element
    text: str


class Schema(Protocol):
    """A compiled schema."""

    @property
    def path(self) -> str:
        """Where it stands in the group."""

    def findings(self, root: etree._Element) -> list[Finding]:
        """What is wrong with the document, one more than MOST_PROBLEMS when there is more."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A compiled XML Schema or RELAX NG schema."""

    path: str
    compiled: etree.XMLSchema | etree.RelaxNG

    @property
    def streaming(self) -> etree.XMLSchema | None:
        """The schema in a form that needs no tree, which is only there for XML Schema."""
        return self.compiled if isinstance(self.compiled, etree.XMLSchema) else None

    def findings(self, root: etree._Element) -> list[Finding]:
        """As Schema says."""
        try:
            if self.compiled.validate(root):
                return []
        except etree.LxmlError as error:
            return [Finding(root, str(error))]
        log = list(islice(self.compiled.error_log, MOST_PROBLEMS + 2))
        # Only what follows this message of libxml2's RELAX NG says anything.
        useful = [entry for entry in log if "element , got nothing" not in entry.message] or log
        places = _Places(root)
        return [Finding(places.at(entry.path), entry.message) for entry in useful[: MOST_PROBLEMS + 1]]


@dataclass(frozen=True, slots=True)
class Rules:
    """A compiled Schematron schema.

    A failed assert and a successful report are findings, unless their `role` is a warning's or
    an information's.
    """

    path: str
    compiled: etree.XSLT

    def findings(self, root: etree._Element) -> list[Finding]:
        """As Schema says."""
        try:
            report = self.compiled(root).getroot()
        except etree.XSLTApplyError as error:
            raise Unusable(f"the schema {self.path} cannot be applied: {plain(str(error))}") from None
        return list(islice(_reported(root, report), MOST_PROBLEMS + 1))


class Schemas:
    """The schemas of one group, each compiled once in a run."""

    def __init__(self, folder: GroupFolder) -> None:
        self._folder = folder
        self._includer = Includer(folder)
        # Results hold what went wrong, too, for a schema that many documents name fails once.
        self._compiled = lru_cache(maxsize=64)(self._compile)
        self._of_group = lru_cache(maxsize=256)(self._find)

    def of_root(self, name: str) -> list[Schema] | None:
        """The group's for a root element of this local name; None where one of them cannot be had."""
        schemas = self._of_group(name)
        return None if isinstance(schemas, Unusable) else schemas

    def of(self, root: etree._Element, path: str) -> list[Schema]:
        """The schemas that the document names, and the group's for its root element, each once.

        Raises Unusable for the first that cannot be had.
        """
        schemas = self._of_group(str(root.tag).rpartition("}")[2])
        if isinstance(schemas, Unusable):
            raise schemas
        if not _names_some(root):
            return schemas
        named = _usable([self._compiled(kind, parts) for kind, parts in _named(root, path)])
        if isinstance(named, Unusable):
            raise named
        return list({schema.path: schema for schema in [*schemas, *named]}.values())

    # Inside.

    def _find(self, name: str) -> list[Schema] | Unusable:
        found: list[Schema | Unusable] = []
        for kind, ending in ((XSD, "xsd"), (RNG, "rng"), (SCH, "sch")):
            path = f"{FOLDER}/{name[:_LONGEST_NAME]}.{ending}"
            try:
                self._folder.resolve(path)
            except DocumentNotFound:
                continue
            except PsthreadsError as error:
                found.append(Unusable(error.message))
            else:
                found.append(self._compiled(kind, (("", path),)))
        return _usable(found)

    def _compile(self, kind: str, parts: tuple[tuple[str, str], ...]) -> Schema | Unusable:
        path = parts[0][1]
        try:
            return self._ready(path, kind, parts)
        except Unusable as error:
            reason = str(error)
        except etree.LxmlError as error:
            reason = plain(str(error))
        return Unusable(f"the schema {path} cannot be used: {reason}")

    def _ready(self, path: str, kind: str, parts: tuple[tuple[str, str], ...]) -> Schema:
        if len(parts) > 1:
            return Grammar(path, self._includer.xsd("/", gathered(parts)))
        data = self._includer.read(path)
        root = self._includer.parsed(path, data)
        actual = etree.QName(root).namespace or ""
        if actual not in _KINDS or kind not in {"", actual}:
            raise Unusable(f"it is not {_KINDS.get(kind, 'XML Schema, RELAX NG or Schematron')}")
        if actual == XSD:
            return Grammar(path, self._includer.xsd(path, data))
        if actual == RNG:
            return Grammar(path, etree.RelaxNG(self._includer.rng(path, root)))
        return Rules(path, self._rules(path, self._includer.sch(path, root)))

    def _rules(self, path: str, root: etree._Element) -> etree.XSLT:
        binding = root.get("queryBinding", "xslt").lower()
        if binding not in {"xslt", "xslt1", "xpath", "exslt"}:
            raise Unusable(f"it asks for the query language '{plain(binding)}', and there is only xslt")
        expand, translate = self._skeleton
        translated = translate(expand(root)).getroot()
        # Notes on every rule that was tried would fill the memory, and nobody reads them.
        for note in list(translated.iter(f"{_SVRL}fired-rule", f"{_SVRL}active-pattern")):
            above = note.getparent()
            if above is not None:
                above.remove(note)
        stylesheet = self._includer.whole(path, translated)
        if next(stylesheet.iter(f"{_XSL}include", f"{_XSL}import"), None) is not None:
            raise Unusable("it includes a stylesheet")
        return etree.XSLT(stylesheet, access_control=etree.XSLTAccessControl.DENY_ALL)

    @cached_property
    def _skeleton(self) -> tuple[etree.XSLT, etree.XSLT]:
        """ISO Schematron's own stylesheets: they turn a schema into a stylesheet that checks by it."""
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


def _usable(schemas: list[Schema | Unusable]) -> list[Schema] | Unusable:
    """The schemas, or the first reason why not."""
    usable: list[Schema] = []
    for schema in schemas:
        if isinstance(schema, Unusable):
            return schema
        usable.append(schema)
    return usable


def _names_some(root: etree._Element) -> bool:
    """Whether the document names schemas at all; most do not, and this is asked of every document."""
    return root.getprevious() is not None or root.get(_LOCATION) is not None or root.get(_BARE_LOCATION) is not None


def _named(root: etree._Element, path: str) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """What the document names: the kind where it says so, and the parts as namespace and path."""
    pairs = (root.get(_LOCATION) or "").split()
    parts = [(pairs[at], pairs[at + 1]) for at in range(0, len(pairs) - 1, 2)]
    bare = root.get(_BARE_LOCATION)
    if bare:
        parts.append(("", bare.strip()))
    if parts:
        yield XSD, tuple((namespace, inside(path, href)) for namespace, href in parts)
    if root.getprevious() is None:
        return
    for node in root.itersiblings(etree.PI, preceding=True):
        if _target(node) == "xml-model":
            kind = node.get("schematypens") or ""
            if kind not in {"", *_KINDS}:
                raise Unusable(f"it names a schema of the kind '{plain(kind)}', which is not known here")
            yield kind, (("", inside(path, node.get("href") or "")),)


class _Places:
    """Finds the elements of a document that libxml2 means by such paths as `/doc/p[3]` or `/*/*[2]`."""

    def __init__(self, root: etree._Element) -> None:
        self._root = root
        # Many findings are often about the children of one element.
        self._children: dict[tuple[etree._Element, str], list[etree._Element]] = {}

    def at(self, path: str | None) -> etree._Element:
        """The element; the last one on the way that is there, when in doubt."""
        found = self._root
        for step in (path or "").split("/")[2:]:
            name, _, number = step.rstrip("]").partition("[")
            same = self._same(found, name)
            place = int(number) - 1 if number.isdigit() else 0
            if place >= len(same):
                break
            found = same[place]
        return found

    def _same(self, above: etree._Element, name: str) -> list[etree._Element]:
        if (above, name) not in self._children:
            self._children[above, name] = [
                child for child in above.iterchildren("*") if name == "*" or name == _prefixed(child)
            ]
        return self._children[above, name]


def _target(instruction: etree._Element) -> str:
    # The stubs take an instruction for an element.
    return str(getattr(instruction, "target", ""))


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _prefixed(element: etree._Element) -> str:
    return f"{element.prefix}:{_local(element)}" if element.prefix else _local(element)


def _reported(root: etree._Element, report: etree._Element) -> Iterator[Finding]:
    for finding in report.iter(f"{_SVRL}failed-assert", f"{_SVRL}successful-report"):
        if finding.get("role", "").lower().startswith(("warn", "info")):
            continue
        try:
            places = root.xpath(finding.get("location", "/*"))
        except etree.XPathError:
            places = []
        place = next((each for each in places if etree.iselement(each)), root)
        text = " ".join("".join(finding.itertext()).split())
        yield Finding(place, text or "A rule of the schema is broken")
