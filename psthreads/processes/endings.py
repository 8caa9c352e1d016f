"""Which documents are XML: those whose names end as those of an XML format do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from psthreads.authoring.context import Context

_NAMES: Final = (
    "xml psml xsd rng sch xsl xslt svg xht xhtml rdf rss atom dita ditamap ditaval dbk docbook fo gpx kml mathml mml"
    " nvdl opf ncx owl tei odd mei musicxml nxml tmx wsdl xlf xliff xmp xpl xproc xspec bpmn xbrl gml"
)
_XML: Final = frozenset(_NAMES.split())


def is_xml(name: str, more: frozenset[str] = frozenset()) -> bool:
    """Tell whether a document's name has an extension of XML, or one of `more`, which are in small letters."""
    _, dot, ending = name.rpartition(".")
    return bool(dot) and (ending.lower() in _XML or ending.lower() in more)


def xml_test(context: Context) -> Callable[[str], bool]:
    """Return a test for names of XML documents, by the setting, too."""
    return lambda name: is_xml(name, context.xml_endings)
