"""Reads stylesheets and the documents that they transform, of one group."""

from __future__ import annotations

from lxml import etree

from psthreads.domain.errors import PsthreadsError
from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml import parsing as _parsing
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer, url
from psthreads.processes.xml.parsing import NotWellFormed
from psthreads.processes.xml.reading import Reader, Reading
from psthreads.processes.xml.stylesheets.outputs import NotTransformed
from psthreads.processes.xml.xinclude import Inclusions


class TransformSource:
    """What a stylesheet is made from, and what it is applied to."""

    def __init__(self, files: Files, *, xinclude: bool = False) -> None:
        self.files = files
        self.locator = Locator(files)
        reader = Reader(self.locator, Includer(files))
        self.includer = Includer(files, parse=lambda data, path: reader.read(data, path).root)
        self._reader = reader
        self._inclusions = Inclusions(reader, self.locator, self.includer) if xinclude else None

    def stylesheet(self, path: str, resolver: etree.Resolver | None = None) -> etree._Element:
        """Return the root element of a stylesheet, which loads others by the resolver; raises Unusable."""
        try:
            data = self.includer.expanded(path, self.includer.read(path))
            return _parsing.parse(data, _parsing.parser(resolver), url(path))
        except NotWellFormed as error:
            raise Unusable(f"it is not well-formed: {error}") from None
        except PsthreadsError as error:
            raise Unusable(error.message) from None

    def document(self, data: bytes, path: str) -> Reading:
        """Read a document that is to be transformed; raises NotTransformed."""
        try:
            reading = self._reader.read(data, path)
            return self._inclusions.expanded(reading, path) if self._inclusions is not None else reading
        except (NotWellFormed, PsthreadsError, Unusable) as error:
            raise NotTransformed(str(error)) from None


def notes(reading: Reading) -> list[str]:
    """Return what is to be said of a document beside the stylesheet's messages."""
    if not reading.absent:
        return []
    return [f"its DTD could not be had, nor the default values of its attributes: {reading.absent}"]
