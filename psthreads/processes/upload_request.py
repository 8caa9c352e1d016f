"""PageSeeder's parameters of an upload: its id, and the request in XML that says which files to load.

Of the request, what names files is honoured. What would change them is refused, since nothing here does it, and what
has no counterpart and changes nothing is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from lxml import etree

from psthreads.authoring.parameter import Bounds
from psthreads.documents.paths import composed, names_of
from psthreads.domain.errors import BadParameter

LONGEST: Final = 100_000
"""The most characters of a request."""

UploadId = Annotated[str, Bounds(greatest=64), "the upload, where the member keeps several apart; else all without one"]

_NAME: Final = "xmlspec"
_ROOT: Final = "upload-request"
_HARMLESS: Final = frozenset({"createxrefs", "index", "message"})
_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """The files to load, all of the zone where there are none, and what the request says of the load."""

    paths: frozenset[str] = frozenset()
    validate: bool = False
    overwrite: bool = False
    keeps: bool = False
    """Whether the request says that nothing may be overwritten."""


def parse(text: str) -> UploadRequest:
    """Return the request; an empty text asks for nothing. Raises BadParameter and UnsafePath."""
    if not text.strip():
        return UploadRequest()
    try:
        root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise BadParameter(_NAME, f"The {_NAME} is not well-formed XML: {error.msg}.") from None
    if root.tag != _ROOT:
        raise BadParameter(_NAME, f"The {_NAME} must be an element <{_ROOT}>.")
    paths: frozenset[str] = frozenset()
    flags: dict[str, bool] = {}
    for element in root.iterchildren("*"):
        if element.tag == "files":
            paths = frozenset(_paths(element))
        elif element.tag in {"validate", "overwrite"}:
            flags[str(element.tag)] = _flag(element)
        elif element.tag not in _HARMLESS:
            raise _unsupported(f"<{element.tag!s}>")
    overwrite = flags.get("overwrite")
    return UploadRequest(paths, flags.get("validate", False), overwrite is True, overwrite is False)


def _paths(files: etree._Element) -> Iterator[str]:
    for element in files.iterchildren("*"):
        if element.tag != "file":
            raise _unsupported(f"<{element.tag!s}> in <files>")
        if others := sorted(set(element.attrib) - {"path", "name", "type"}):
            raise _unsupported(f"the attribute '{others[0]}' of <file>")
        if len(element):
            raise _unsupported(f"<{element[0].tag!s}> in <file>")
        if not (names := names_of(element.get("path", ""))):
            raise BadParameter(_NAME, f"A <file> of the {_NAME} has no path.")
        yield composed("/" + "/".join(names))
    if not len(files):
        raise BadParameter(_NAME, f"<files> of the {_NAME} names no file: leave it out to load all.")


def _flag(element: etree._Element) -> bool:
    if element.get("summary", "false") != "false":
        raise _unsupported(f"the attribute 'summary' of <{element.tag!s}>")
    value = _TRUTH.get((element.text or "").strip())
    if value is None:
        raise BadParameter(_NAME, f"<{element.tag!s}> of the {_NAME} must be true or false.")
    return value


def _unsupported(what: str) -> BadParameter:
    return BadParameter(_NAME, f"The {_NAME} has {what}, which this server cannot do: leave it out.")
