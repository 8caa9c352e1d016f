"""Chooses what runs a stylesheet: libxslt for XSLT 1, Saxon for all later versions."""

from __future__ import annotations

from typing import Protocol

from psthreads.processes.bounded.files import Files
from psthreads.processes.xml.saxon.modules import needs_saxon
from psthreads.processes.xml.stylesheets.by_saxon import SaxonPublication
from psthreads.processes.xml.stylesheets.libxslt import LaterVersion, Stylesheet
from psthreads.processes.xml.stylesheets.outputs import Output
from psthreads.processes.xml.stylesheets.source import TransformSource


class CompiledStylesheet(Protocol):
    """A stylesheet of a group, ready to transform documents."""

    def transform(self, data: bytes, path: str) -> Output:
        """Transform a document; raises NotTransformed, and MemoryError if memory runs out."""


def compiled(files: Files, path: str, *, xinclude: bool = False) -> CompiledStylesheet:
    """Compile a stylesheet of a group; raises Unusable, with the place, if it cannot be."""
    source = TransformSource(files, xinclude=xinclude)
    if not needs_saxon(source.stylesheet(path)):
        try:
            return Stylesheet(source, path)
        except LaterVersion:
            pass
    return SaxonPublication(source, path)
