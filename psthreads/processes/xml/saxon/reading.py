"""Lets stylesheets read documents of their group: by functions in XSLT that look into a map, which starts empty.

Saxon's home edition cannot call Python. So a function that misses something says so in a message and answers with
nothing. The transformation is then made again, with that in the map, until it misses nothing more. Its result counts
only then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from lxml import etree

from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.endings import is_xml
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer, url
from psthreads.processes.xml.saxon.expressions import NAMESPACE

FILES: Final = f"{{{NAMESPACE}}}files"
"""The name of the stylesheet's parameter that is the map."""

MISSING: Final = "psthreads-misses"
"""How a message begins that says what is missing."""

_SEPARATOR: Final = "\n"
_MOST_FILES: Final = 2_000  # for one stylesheet
_MOST_BYTES: Final = 64 * 1024 * 1024
_DEEPEST: Final = 16  # folders in folders
_ENCODINGS: Final = ("utf-8-sig", "utf-16")
_XSL: Final = "{http://www.w3.org/1999/XSL/Transform}"
# Written out, since the declarations become those of a stylesheet with other prefixes.
_PREFIXES: Final = {
    "psthreads:": f"Q{{{NAMESPACE}}}",
    "map:": "Q{http://www.w3.org/2005/xpath-functions/map}",
    "xs:": "Q{http://www.w3.org/2001/XMLSchema}",
}
_START: Final = f"""\
<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="3.0">
<xsl:param name="psthreads:files" as="map(*)" select="map{{}}" version="3.0"/>
<xsl:function name="psthreads:get" as="item()*" cache="yes" version="3.0">
  <xsl:param name="kind" as="xs:string"/><xsl:param name="base" as="xs:string"/><xsl:param name="href" as="xs:string"/>
  <xsl:variable name="key" select="string-join(($kind, $base, $href), '&#10;')"/>
  <xsl:choose>
    <xsl:when test="map:contains($psthreads:files, $key)"><xsl:sequence select="$psthreads:files($key)"/></xsl:when>
    <xsl:otherwise><xsl:message select="concat('{MISSING}&#10;', $key)"/>
      <xsl:choose>
        <xsl:when test="$kind = 'doc'"><xsl:document/></xsl:when>
        <xsl:when test="$kind = 'text'"><xsl:sequence select="''"/></xsl:when>
      </xsl:choose>
    </xsl:otherwise>
  </xsl:choose>
</xsl:function>
<xsl:function name="psthreads:had" as="item()*" version="3.0">
  <xsl:param name="kind" as="xs:string"/><xsl:param name="base" as="xs:string"/><xsl:param name="href" as="xs:string"/>
  <xsl:variable name="item" select="psthreads:get($kind, $base, $href)"/>
  <xsl:sequence select="if ($item instance of map(*))
    then error(QName('http://www.w3.org/2005/xqt-errors', 'err:FODC0002'), $item('error')) else $item"/>
</xsl:function>
</xsl:stylesheet>"""
# The functions for one base: their names and parameters, what they return, and how they do it.
_HREF: Final = "href as xs:string?"
_FUNCTIONS: Final = (
    ("doc", (_HREF,), "document-node()?", "if (empty($href)) then () else psthreads:had('doc', BASE, $href)"),
    (
        "doc-available",
        (_HREF,),
        "xs:boolean",
        "exists($href) and not(psthreads:get('doc', BASE, $href) instance of map(*))",
    ),
    (
        "document",
        ("uri as item()*",),
        "node()*",
        "for $x in $uri return psthreads:had('doc', string(($x[. instance of node()]/base-uri(), BASE)[1]), $x)",
    ),
    (
        "document",
        ("uri as item()*", "base as node()"),
        "node()*",
        "for $each in $uri return psthreads:had('doc', string((base-uri($base), BASE)[1]), string($each))",
    ),
    ("collection", (), "item()*", "psthreads:had('collection', BASE, '')?*"),
    ("collection", (_HREF,), "item()*", "psthreads:had('collection', BASE, string($href))?*"),
    ("uri-collection", (), "xs:anyURI*", "psthreads:had('uris', BASE, '')?* ! xs:anyURI(.)"),
    ("uri-collection", (_HREF,), "xs:anyURI*", "psthreads:had('uris', BASE, string($href))?* ! xs:anyURI(.)"),
    *(
        (name, (_HREF, *more), kind, expression.replace("TEXT", "psthreads:had('text', BASE, $href)"))
        for more in ((), ("encoding as item()?",))
        for name, kind, expression in (
            ("unparsed-text", "xs:string?", "if (empty($href)) then () else TEXT"),
            ("unparsed-text-lines", "xs:string*", "if (empty($href)) then () else tokenize(TEXT, '\\r\\n|\\r|\\n')"),
            (
                "unparsed-text-available",
                "xs:boolean",
                "exists($href) and not(psthreads:get('text', BASE, $href) instance of map(*))",
            ),
        )
    ),
    ("json-doc", (_HREF,), "item()?", "if (empty($href)) then () else parse-json(psthreads:had('text', BASE, $href))"),
    (
        "json-doc",
        (_HREF, "options as map(*)"),
        "item()?",
        "if (empty($href)) then () else parse-json(psthreads:had('text', BASE, $href), $options)",
    ),
)


def declarations(bases: Iterable[str]) -> list[etree._Element]:
    """Return the declarations that a stylesheet needs, with the functions for each base."""
    start = etree.fromstring(_START)
    for number, base in enumerate(bases):
        quoted = "'" + base.replace("'", "''") + "'"
        for name, parameters, kind, expression in _FUNCTIONS:
            function = etree.SubElement(start, f"{_XSL}function", {"as": kind, "version": "3.0"})
            function.set("name", f"psthreads:{name}.{number}")
            for parameter in parameters:
                parameter_name, _, parameter_kind = parameter.partition(" as ")
                etree.SubElement(function, f"{_XSL}param", {"name": parameter_name, "as": parameter_kind})
            etree.SubElement(function, f"{_XSL}sequence", select=expression.replace("BASE", quoted))
    for element in start.iter("*"):
        for name, value in element.attrib.items():
            for prefix, full in _PREFIXES.items():
                value = value.replace(prefix, full)  # noqa: PLW2901 (the same value, with one prefix after the other)
            element.set(name, value)
    return list(start)


class GroupFiles:
    """What one stylesheet has read of its group, as a map for it."""

    def __init__(self, files: Files, locator: Locator, includer: Includer, processor: Any) -> None:
        self._files = files
        self._locator = locator
        self._includer = includer
        self._processor = processor
        self._map: dict[Any, Any] = {}
        self._keys: set[str] = set()
        self._documents: dict[str, Any] = {}
        self._bytes = 0

    @property
    def map(self) -> Any:
        """The map as a value of Saxon."""
        return self._processor.make_map(self._map)

    def add(self, missing: Iterable[str]) -> bool:
        """Read what is missing, and tell whether anything is new."""
        new = [key for key in dict.fromkeys(missing) if key not in self._keys]
        for key in new:
            if len(self._keys) >= _MOST_FILES:
                raise Unusable(f"the stylesheet reads more than {_MOST_FILES:,} documents")
            self._keys.add(key)
            kind, base, href = (*key.split(_SEPARATOR, 2), "", "")[:3]
            self._map[self._processor.make_string_value(key)] = self._item(kind, base, href)
        return bool(new)

    def _item(self, kind: str, base: str, href: str) -> Any:
        try:
            if kind in {"collection", "uris"}:
                return self._collection(base, href, only_addresses=kind == "uris")
            path = self._path(base, href)
            return self._document(path) if kind == "doc" else self._processor.make_string_value(self._text(path))
        except (PsthreadsError, Unusable, OSError) as error:
            make = self._processor.make_string_value
            return self._processor.make_map({make("error"): make(str(error))})

    def _collection(self, base: str, href: str, *, only_addresses: bool) -> Any:
        """Return the documents of a folder, chosen as Saxon's collections are: `folder?select=*.xml;recurse=yes`."""
        if not href:
            raise Unusable("there is no default collection: name a folder of the group")
        options = dict(part.partition("=")[::2] for part in re.split("[;&]", urlsplit(href).query))
        select, recurse = unquote(options.get("select", "")), options.get("recurse", "no") == "yes"
        values = []
        for path in self._names(self._path(base, href), select, recurse=recurse, depth=0):
            value = self._processor.make_string_value(url(path)) if only_addresses else self._document(path)
            values.append(value)
        return self._processor.make_array(values)

    def _names(self, folder: str, select: str, *, recurse: bool, depth: int) -> Iterator[str]:
        for name, is_folder in sorted(self._files.entries(folder)):
            path = f"{folder.rstrip('/')}/{name}"
            if not is_folder:
                if fnmatchcase(name, select) if select else is_xml(name):
                    yield path
            elif recurse and depth < _DEEPEST:
                yield from self._names(path, select, recurse=recurse, depth=depth + 1)

    def _path(self, base: str, href: str) -> str:
        path = unquote(urlsplit(base).path) or "/"
        return self._locator.reference(path, href) if urlsplit(href)._replace(fragment="").geturl() else path

    def _document(self, path: str) -> Any:
        if path not in self._documents:
            if len(self._documents) >= _MOST_FILES:
                raise Unusable(f"the stylesheet reads more than {_MOST_FILES:,} documents")
            root = self._includer.parse(path, self._read(path))
            builder = self._processor.new_document_builder()
            builder.set_base_uri(url(path))
            self._documents[path] = builder.parse_xml(xml_text=as_text(root))
        return self._documents[path]

    def _text(self, path: str) -> str:
        data = self._read(path)
        try:
            return data.decode(_ENCODINGS[data[:2] in {b"\xff\xfe", b"\xfe\xff"}])
        except UnicodeDecodeError:
            raise Unusable(f"{path} is neither UTF-8 nor UTF-16") from None

    def _read(self, path: str) -> bytes:
        data = self._includer.read(path)
        self._bytes += len(data)
        if self._bytes > _MOST_BYTES:
            raise Unusable(f"the stylesheet reads more than {_MOST_BYTES // 1024 // 1024} MB")
        return data


def as_text(root: etree._Element) -> str:
    """Return a document as Saxon reads it: without its document type, but with what stands around its root element."""
    before = [etree.tostring(node, encoding="unicode", with_tail=False) for node in root.itersiblings(preceding=True)]
    after = [etree.tostring(node, encoding="unicode", with_tail=False) for node in root.itersiblings()]
    return "".join((*reversed(before), etree.tostring(root, encoding="unicode", with_tail=False), *after))
