"""Runs stylesheets by Saxon, in a child process that is confined already.

By itself, Saxon reads every file, the network and the environment. Here it may use `data:` addresses only, which carry
what they stand for; the child's environment is empty before its isolate begins, and results are kept in memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from psthreads.processes.bounded.files import Files
from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.catalogs.locating import Locator
from psthreads.processes.xml.includes import Includer, url
from psthreads.processes.xml.parsing import plain
from psthreads.processes.xml.saxon.modules import Writer
from psthreads.processes.xml.saxon.reading import FILES, MISSING, GroupFiles, as_text

ABSENT: Final = "this needs Saxon, which is not installed here: pip install 'psthreads[saxon]' for the workers"
"""The end of a sentence on what cannot be done without the extra."""

MOST_MESSAGES: Final = 100
"""The messages of one transformation that are kept."""

_FEATURE: Final = "http://saxon.sf.net/feature/"
_JAXP: Final = "parserProperty?uri=http://www.oracle.com/xml/jaxp/properties/"
_UNLIMITED: Final = ("maxElementDepth", "elementAttributeLimit", "maxXMLNameLimit")  # Our own parser has limits.
_MOST_ROUNDS: Final = 50  # of a transformation that needs ever more documents
_PLACE: Final = re.compile(r"(?:on|at) line (\d+)(?: column \d+)? (?:of|in) (\S+)")
_MOST_REASONS: Final = 3


class Failed(Exception):
    """A transformation that failed. The text is the reason."""


@dataclass(frozen=True, slots=True)
class Transformation:
    """What a transformation produced. `results` are values by address."""

    output: str
    messages: list[str]
    results: dict[str, Any]


class Saxon:
    """Saxon for one group; raises Unusable if it is not installed. For a child process that is confined."""

    def __init__(self, files: Files, locator: Locator, includer: Includer) -> None:
        try:
            import saxonche  # noqa: PLC0415 (an extra, and 100 MB)
        except ImportError:
            raise Unusable(ABSENT) from None
        os.environ.clear()
        os.chdir("/")  # A stylesheet can ask for the working directory.
        self.processor: Any = saxonche.PySaxonProcessor(license=False)
        # Before anything else of the processor: later values do not count.
        self.processor.set_configuration_property(f"{_FEATURE}allowedProtocols", "data")
        for limit in _UNLIMITED:
            self.processor.set_configuration_property(f"{_FEATURE}{_JAXP}{limit}", "0")
        self._error: type[Exception] = saxonche.PySaxonApiError
        self._files = files
        self._locator = locator
        self._includer = includer

    def compile(self, path: str, root: etree._Element) -> SaxonStylesheet:
        """Compile the stylesheet of this path, whose root element is changed; raises Unusable."""
        return SaxonStylesheet(self, path, root)

    def node(self, root: etree._Element, path: str) -> Any:
        """Return a document as a node of Saxon."""
        builder = self.processor.new_document_builder()
        builder.set_base_uri(url(path))
        return builder.parse_xml(xml_text=as_text(root))

    def serialized(self, value: Any, properties: Mapping[str, str]) -> str:
        """Return a value as text, by properties such as `method`; raises Failed."""
        parameters = etree.Element(f"{{{_OUTPUT}}}serialization-parameters", nsmap={"output": _OUTPUT})
        for name, setting in properties.items():
            etree.SubElement(parameters, f"{{{_OUTPUT}}}{name}", value=setting)
        xpath = self.processor.new_xpath_processor()
        for name, item in (("value", value), ("parameters", self.node(parameters, "/"))):
            xpath.declare_variable(name)
            xpath.set_parameter(name, item)
        try:
            return str(xpath.evaluate_single("serialize($value, $parameters/*)"))
        except self._error as error:
            raise Failed(plain(str(error))) from None

    def group_files(self) -> GroupFiles:
        """Return a new map of what a stylesheet reads."""
        return GroupFiles(self._files, self._locator, self._includer, self.processor)

    def writer(self) -> Writer:
        """Return what writes a stylesheet for Saxon."""
        return Writer(self._includer, self._locator.reference)

    @property
    def error(self) -> type[Exception]:
        """The exception that Saxon raises."""
        return self._error


class SaxonStylesheet:
    """A compiled stylesheet."""

    def __init__(self, saxon: Saxon, path: str, root: etree._Element) -> None:
        self._saxon = saxon
        self.written = saxon.writer().write(path, root)
        self._files = saxon.group_files()
        try:
            compiler = saxon.processor.new_xslt30_processor()
            self._compiled = compiler.compile_stylesheet(stylesheet_text=self.written.text, encoding="UTF-8")
        except saxon.error as error:
            raise Unusable(self._reason(error)) from None

    def transform(
        self, root: etree._Element, path: str, parameters: Mapping[str, str], base_output: str
    ) -> Transformation:
        """Transform a document of the group; raises Failed."""
        node = self._saxon.node(root, path)
        for _ in range(_MOST_ROUNDS):
            # A new one each time: what the last one has kept of its messages and results would stay.
            executable = self._compiled.clone()
            executable.set_save_xsl_message(True)
            executable.set_capture_result_documents(True, raw_result=True)
            executable.set_property("!encoding", "UTF-8")
            for name, value in parameters.items():
                executable.set_parameter(name, self._saxon.processor.make_string_value(value))
            executable.set_parameter(FILES, self._files.map)
            failure = ""
            output = ""
            try:
                output = executable.transform_to_string(xdm_node=node, base_output_uri=base_output)
            except self._saxon.error as error:
                failure = self._reason(error)
            messages, missing = _messages(executable.get_xsl_messages())
            try:
                if self._files.add(missing):
                    continue
            except Unusable as error:
                raise Failed(str(error)) from None
            if failure:
                is_own = "terminated by xsl:message" in failure and messages
                raise Failed(messages[-1] if is_own else failure)
            return Transformation(output or "", messages[:MOST_MESSAGES], executable.get_result_documents() or {})
        raise Failed("it needs ever more documents")

    def _reason(self, error: Exception) -> str:
        """Return what Saxon says, with its places in the group."""
        texts: list[str] = []
        for text in re.split(r"\n(?=Error|Static error)", str(error).strip()):
            match = _PLACE.search(text)
            place = ""
            if match:
                place = f"{self.written.place(match[2].rstrip(':'), int(match[1]))}: "
                text = _PLACE.sub("", text)  # noqa: PLW2901 (the rest of it)
            texts.append(f"{place}{' '.join(text.split())}")
        texts = [text for text in texts if text][:_MOST_REASONS]
        return plain("; ".join(texts)) or "Saxon failed, and does not say why"


def _messages(values: Any) -> tuple[list[str], list[str]]:
    """Return a transformation's own messages, and what it misses."""
    messages, missing = [], []
    for index in range(values.size if values is not None else 0):
        text = values.item_at(index).string_value
        if text.startswith(MISSING):
            missing.append(text[len(MISSING) + 1 :])
        else:
            messages.append(plain(text))
    return messages, missing


_OUTPUT: Final = "http://www.w3.org/2010/xslt-xquery-serialization"
