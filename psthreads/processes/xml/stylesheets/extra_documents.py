"""Lets stylesheets of XSLT 1.0 write several results, by `exsl:document` and its like, without writing to the disk.

The instruction becomes one of our own, which keeps what it is to write.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from psthreads.processes.xml.parsing import plain
from psthreads.processes.xml.stylesheets.outputs import FurtherResults

NAMESPACE: Final = "urn:psthreads:results"
NAME: Final = "document"

_PREFIX: Final = "psthreads-results"
_XSL: Final = "http://www.w3.org/1999/XSL/Transform"
_INSTRUCTIONS: Final = (
    "{http://exslt.org/common}document",
    f"{{{_XSL}}}document",
    "{http://icl.com/saxon}output",
    "{http://www.jclark.com/xt}document",
)
_YES: Final = frozenset({"yes", "true", "1"})


def rewritten(root: etree._Element, address: str) -> etree._Element:
    """Return a stylesheet in which instructions that write documents are ours; `address` is its own."""
    instructions = list(root.iter(*_INSTRUCTIONS))
    if not instructions:
        return root
    for instruction in instructions:
        attributes = {str(name): str(value) for name, value in instruction.attrib.items()}
        ours = etree.Element(f"{{{NAMESPACE}}}{NAME}", nsmap={_PREFIX: NAMESPACE})
        # An element without a namespace has its attributes' expressions evaluated.
        holder = etree.SubElement(ours, "result", attributes)
        holder.text = instruction.text
        holder.extend(list(instruction))
        ours.tail = instruction.tail
        parent = instruction.getparent()
        if parent is not None:
            parent.replace(instruction, ours)
    attributes = {str(name): str(value) for name, value in root.attrib.items()}
    names = f"{attributes.get('extension-element-prefixes', '')} {_PREFIX}".strip()
    new = etree.Element(
        root.tag, attributes | {"extension-element-prefixes": names}, {**root.nsmap, _PREFIX: NAMESPACE}
    )
    new.text = root.text
    new.extend(list(root))
    new.getroottree().docinfo.URL = address
    return new


class ExtraDocuments(etree.XSLTExtension):
    """The instruction. `results` are those of the current document, and `failure` is why one could not be kept."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with another document."""
        self.results = FurtherResults()
        self.failure: Exception | None = None

    def execute(
        self,
        context: object,
        _self_node: etree._Element,
        _input_node: etree._Element,
        _output_parent: etree._Element | None,
    ) -> None:
        """Do as XSLTExtension."""
        written = etree.Element("written")
        self.process_children(context, written)
        holder = next(iter(written), None)
        if holder is None or self.failure is not None:
            return
        try:
            address = holder.get("href") or holder.get("file") or ""
            self.results.add(address, _serialized(holder))
        except Exception as error:
            self.failure = error
            raise


def _serialized(holder: etree._Element) -> bytes:
    root = next(holder.iterchildren("*"), None)
    method = holder.get("method") or ("html" if root is not None and str(root.tag).lower() == "html" else "xml")
    encoding = holder.get("encoding") or "utf-8"
    try:
        if method == "text":
            return "".join(holder.itertext()).encode(encoding, errors="replace")
        parts = [_declaration(holder, root, method, encoding), (holder.text or "").encode(encoding)]
        for node in holder:
            etree.cleanup_namespaces(node)
            parts.append(
                etree.tostring(
                    node,
                    encoding=encoding,
                    method="html" if method == "html" else "xml",
                    xml_declaration=False,
                    pretty_print=holder.get("indent") in _YES,
                )
            )
    except (LookupError, UnicodeEncodeError):
        raise ValueError(f"'{plain(encoding)}' is not an encoding for this result") from None
    return b"".join(parts)


def _declaration(holder: etree._Element, root: etree._Element | None, method: str, encoding: str) -> bytes:
    text = ""
    if method != "html" and holder.get("omit-xml-declaration") not in _YES:
        standalone = holder.get("standalone")
        text = f'<?xml version="1.0" encoding="{encoding}"' + (f' standalone="{standalone}"' if standalone else "")
        text += "?>\n"
    public, system = holder.get("doctype-public"), holder.get("doctype-system")
    if root is not None and (system or (public and method == "html")):
        named = f' PUBLIC "{public}"' if public else " SYSTEM"
        text += f"<!DOCTYPE {str(root.tag) if method == 'html' else etree.QName(root).localname}{named}"
        text += (f' "{system}"' if system else "") + ">\n"
    return text.encode(encoding)
