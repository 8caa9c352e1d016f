"""Transforms documents of a group by a stylesheet of XSLT 2 or 3."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.saxon.engine import Failed, Saxon
from psthreads.processes.xml.stylesheets.outputs import ENDINGS, LARGEST_OUTPUT, FurtherResults, NotTransformed, Output
from psthreads.processes.xml.stylesheets.source import TransformSource, notes

_RESULTS: Final = "result:/psthreads"  # before the path of a result
_XSLT_ONLY: Final = frozenset(
    {"name", "format", "href", "type", "validation", "use-character-maps", "parameter-document"}
)
_HTML: Final = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE\s+html[^>]*>\s*)?<html[\s/>]", re.IGNORECASE | re.DOTALL
)
_ONLY_DECLARED: Final = re.compile(r"\s*(?:<\?xml[^>]*>)?\s*\Z")
_FIRST_ITEMS: Final = 100
_XHTML: Final = "http://www.w3.org/1999/xhtml"


class SaxonPublication:
    """A stylesheet that publishes documents; raises Unusable if it cannot be used, or Saxon is not installed."""

    def __init__(self, source: TransformSource, path: str) -> None:
        self._source = source
        root = source.stylesheet(path)
        try:
            self._saxon = Saxon(source.files, source.locator, source.includer)
        except Unusable as error:
            raise Unusable(f"it is a stylesheet of XSLT {_version(root)}, and {error}") from None
        self._stylesheet = self._saxon.compile(path, root)
        self._written = self._stylesheet.written
        self._method = self._written.formats.get("", {}).get("method", "")

    def transform(self, data: bytes, path: str) -> Output:
        """Do as CompiledStylesheet."""
        reading = self._source.document(data, path)
        parameters = {"path": path, "group": self._source.files.group.name}
        base = f"{_RESULTS}{quote(path)}"
        try:
            done = self._stylesheet.transform(reading.root, path, parameters, base)
            results = self._results(done.results, base[: base.rindex("/") + 1])
        except Failed as error:
            raise NotTransformed(str(error)) from None
        output = "" if results and _ONLY_DECLARED.match(done.output) else done.output
        content = output.encode()
        if len(content) > LARGEST_OUTPUT:
            raise NotTransformed(f"its output is larger than {LARGEST_OUTPUT // 1024 // 1024} MiB")
        ending = ENDINGS.get(self._method, ".xml") if self._method else (".html" if _HTML.match(output) else ".xml")
        return Output(content, ending, [*notes(reading), *done.messages], results)

    def _results(self, values: dict[str, Any], folder: str) -> dict[str, bytes]:
        results = FurtherResults()
        for address, value in sorted(values.items()):
            place, _, number = address.rpartition("#")
            properties = self._properties(int(number), value)
            # Outside of the folder it stays an address that is none of a result.
            relative = (
                place.removeprefix(folder)
                if place.startswith(folder)
                else place.removeprefix(_RESULTS).removeprefix("result:")
            )
            results.add(relative, self._saxon.serialized(value, properties).encode())
        return results.contents

    def _properties(self, number: int, value: Any) -> dict[str, str]:
        own = self._written.results[number]
        properties = self._written.formats.get(own.get("format", ""), {}) | own
        properties = {
            name: setting for name, setting in properties.items() if name not in _XSLT_ONLY and not name.startswith("{")
        }
        if "output-version" in properties:
            properties["version"] = properties.pop("output-version")
        properties.setdefault("method", _default_method(value))
        return properties | {"encoding": "UTF-8"}


def _default_method(value: Any) -> str:
    """Return the method of a result for which none is named (XSLT 3.0, section 26)."""
    nodes = [value.item_at(index) for index in range(min(value.size, _FIRST_ITEMS))]
    nodes = [child for node in nodes if node.is_node for child in _top(node.get_node_value())]
    root = next((node for node in nodes if node.node_kind_str == "element"), None)
    if root is None or root.local_name.lower() != "html":
        return "xml"
    return "xhtml" if root.name.startswith(f"Q{{{_XHTML}}}") else "html"


def _top(node: Any) -> list[Any]:
    return list(node.children) if node.node_kind_str == "document" else [node]


def _version(root: Any) -> str:
    return root.get("version") or root.get("{http://www.w3.org/1999/XSL/Transform}version") or "2 or 3"
