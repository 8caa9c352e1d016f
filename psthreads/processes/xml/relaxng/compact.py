"""Turns RELAX NG's compact syntax into its XML syntax, with rnc2rng.

rnc2rng would open what a schema includes, and knows no `external`, no annotation after a pattern, and one kind of
quotation marks. So its tokens are changed before it parses them: inclusions become parts with a name, which are made
inclusions again in the XML; annotations, which say nothing about what is valid, are left out.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.parsing import plain

_RNG: Final = "{http://relaxng.org/ns/structure/1.0}"
_TYPES: Final = "http://www.w3.org/2001/XMLSchema-datatypes"
_MARK: Final = "psthreads.inclusion."
_ESCAPE: Final = re.compile(r"\\x+\{([0-9A-Fa-f]{1,6})\}")
_COMMENT_OR_LITERAL: Final = re.compile(
    r"""#[^\r\n]*|\"\"\"(.*?)\"\"\"|'''(.*?)'''|"([^"\r\n]*)"|'([^'\r\n]*)'|>>\s*[^\s\[]+""", re.DOTALL
)
# For rnc2rng, a literal has no quotation mark and no line break in it.
_STAND_INS: Final = {'"': "\ue000", "\n": "\ue001", "&": "\ue002", "<": "\ue003"}
_WRITTEN: Final = {"\ue000": "&quot;", "\ue001": "&#10;", "\ue002": "&amp;", "\ue003": "&lt;"}


def xml_of(data: bytes) -> bytes:
    """Return a schema in XML syntax; raises Unusable, with the line, where it cannot be understood."""
    from rnc2rng import parser, serializer  # noqa: PLC0415 (its tables take a tenth of a second, and few need them)

    source = _text(data)
    inclusions: list[tuple[str, str]] = []
    tokens = _Tokens([], inclusions)
    state = SimpleNamespace(fn=None, path="", lines=source.splitlines())
    try:
        tokens = _Tokens(list(parser.lex(source)), inclusions)
        tree = parser.parser.parse(iter(tokens.changed()), state=state)
        text = serializer.XMLSerializer().toxml(tree)
    except parser.ParseError as error:
        _, line, column = error.location
        raise Unusable(f"line {line + 1}, column {column + 1}: this is not RELAX NG's compact syntax") from None
    except Exception as error:  # noqa: BLE001 (the library has no exception of its own for what it does not know)
        raise Unusable(_reason(error, tokens)) from None
    for stand_in, written in _WRITTEN.items():
        text = text.replace(stand_in, written)
    try:
        root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        raise Unusable("rnc2rng cannot write it as XML") from None
    _mend(root, has_namespace=tokens.has_namespace)
    _include(root, inclusions)
    return etree.tostring(root)


def _reason(error: Exception, tokens: _Tokens) -> str:
    """Return what an exception means that rnc2rng does not mean to raise."""
    if isinstance(error, AssertionError) and error.args:
        return f"the prefix '{plain(str(error.args[0]))}' is not declared"
    position = getattr(error, "source_pos", None)
    place = f"line {position.lineno}" if position is not None else ""
    place = place or ("at its end" if tokens.is_over else "")
    return f"{place}{': ' if place else ''}this is not RELAX NG's compact syntax, or rnc2rng does not know it"


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in {BOM_UTF16_BE, BOM_UTF16_LE} else "utf-8"
    try:
        text = data.removeprefix(BOM_UTF8).decode(encoding)
        text = _ESCAPE.sub(lambda match: _STAND_INS.get(chr(int(match[1], 16)), chr(int(match[1], 16))), text)
    except (UnicodeDecodeError, ValueError, OverflowError):
        raise Unusable("its text is neither UTF-8 nor UTF-16") from None
    return _COMMENT_OR_LITERAL.sub(_quoted, text.replace("\r\n", "\n"))


def _quoted(match: re.Match[str]) -> str:
    value = next((group for group in match.groups() if group is not None), None)
    if value is None:
        return "~" if match[0].startswith(">>") else ""  # Before a bracket, a tilde has no other meaning.
    # The line breaks follow, so that the lines of what comes after stay the same.
    return f'"{"".join(_STAND_INS.get(character, character) for character in value)}"' + "\n" * value.count("\n")


class _Tokens:
    """Changes the tokens of a schema. `has_namespace` tells whether it declares its default namespace."""

    def __init__(self, tokens: list[Any], inclusions: list[tuple[str, str]]) -> None:
        self.has_namespace = False
        self._tokens = tokens
        self._inclusions = inclusions
        self._at = 0

    def changed(self) -> Iterator[Any]:
        """Yield the tokens that rnc2rng gets; `inclusions` gets the address and the prefix of each inclusion."""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.name == "LBRACKET" or (token.name in {"CNAME", "TILDE"} and self._name(1) == "LBRACKET"):
                self._skip_annotation()
            elif token.name in {"INCLUDE", "EXTERNAL"} and self._name(1) == "LITERAL":
                yield from self._inclusion(token)
            elif token.name == "DEFAULT" and self._name(1) == "NAMESPACE":
                yield from self._default_namespace()
            else:
                self._at += 1
                yield token

    @property
    def is_over(self) -> bool:
        """True once all tokens were read."""
        return bool(self._tokens) and self._at >= len(self._tokens)

    def _name(self, ahead: int) -> str:
        at = self._at + ahead
        return str(self._tokens[at].name) if at < len(self._tokens) else ""

    def _skip_annotation(self) -> None:
        depth = 0
        while self._at < len(self._tokens):
            depth += {"LBRACKET": 1, "RBRACKET": -1}.get(self._name(0), 0)
            self._at += 1
            if not depth and self._tokens[self._at - 1].name == "RBRACKET":
                return

    def _inclusion(self, token: Any) -> Iterator[Any]:
        address, prefix = self._tokens[self._at + 1].value, ""
        self._at += 2
        if self._name(0) == "INHERIT" and self._name(1) == "EQUAL":
            prefix = str(self._tokens[self._at + 2].value) if self._name(2) else ""
            self._at += 3
        name = self._made(token, "ID", f"{_MARK}{len(self._inclusions)}")
        self._inclusions.append((str(address), prefix))
        if token.name == "EXTERNAL":
            yield name
            return
        yield from (self._made(token, "DIV", "div"), self._made(token, "LBRACE", "{"), name)
        yield from (self._made(token, "EQUAL", "="), self._made(token, "NOTALLOWED", "notAllowed"))
        if self._name(0) == "LBRACE":
            self._at += 1  # Its own end is the end.
        else:
            yield self._made(token, "RBRACE", "}")

    def _default_namespace(self) -> Iterator[Any]:
        ahead = 2 if self._name(2) == "EQUAL" else 3
        if self._name(ahead + 1) == "INHERIT":
            self._at += ahead + 2
            return
        self.has_namespace = True
        yield self._tokens[self._at]
        self._at += 1

    @staticmethod
    def _made(token: Any, name: str, value: str) -> Any:
        return type(token)(name, value, token.source_pos)


def _mend(root: etree._Element, *, has_namespace: bool) -> None:
    """Mend what rnc2rng writes wrongly, and let names without a namespace inherit that of a schema that includes it."""
    root.set("datatypeLibrary", root.get("datatypeLibrary", _TYPES))
    for parent in list(root.iter(f"{_RNG}parent")):
        parent.tag = f"{_RNG}parentRef"
    for name in _names(root, "attribute"):
        if name.get("ns") == root.get("ns", ""):
            name.set("ns", "")
    for name in _names(root, "element"):
        if not has_namespace and not name.get("ns"):
            name.attrib.pop("ns", None)


def _include(root: etree._Element, inclusions: list[tuple[str, str]]) -> None:
    """Make inclusions of the parts that stand for them."""
    marked = [part for part in root.iter(f"{_RNG}define", f"{_RNG}ref") if part.get("name", "").startswith(_MARK)]
    for part in marked:
        address, prefix = inclusions[int(part.attrib.pop("name").removeprefix(_MARK))]
        element, div = part, part.getparent()
        if part.tag == f"{_RNG}ref":
            part.tag = f"{_RNG}externalRef"
        elif div is not None:
            element, div.tag = div, f"{_RNG}include"
            div.remove(part)
        element.set("href", address)
        if prefix:
            element.set("ns", root.nsmap.get(prefix) or "")


def _names(root: etree._Element, kind: str) -> Iterator[etree._Element]:
    """Yield the names in the name classes of the elements or of the attributes."""
    for pattern in root.iter(f"{_RNG}{kind}"):
        if len(pattern) and pattern[0].tag in {f"{_RNG}name", f"{_RNG}choice"}:
            yield from pattern[0].iter(f"{_RNG}name")
