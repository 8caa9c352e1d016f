"""Datatypes of RELAX NG: whether a text is of a type, or is a value.

XML Schema's types are libxml2's, each with its parameters as an XML Schema of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.parsing import plain
from psthreads.processes.xml.relaxng.names import inherited, kind_of, patterns_in

_XSD: Final = "{http://www.w3.org/2001/XMLSchema}"
_TYPES: Final = frozenset({"http://www.w3.org/2001/XMLSchema-datatypes", "http://www.w3.org/2001/XMLSchema"})
_IDS: Final = "http://relaxng.org/ns/compatibility/datatypes/1.0"
_OF_IDS: Final = frozenset({"ID", "IDREF", "IDREFS"})
# What these types say beyond the form of a name is of the document as a whole, and not of RELAX NG.
_AS_NAMES: Final = {"ID": "NCName", "IDREF": "NCName", "ENTITY": "NCName", "IDREFS": "NCName", "ENTITIES": "NCName"}
_LISTS: Final = frozenset({"IDREFS", "ENTITIES"})
_QUALIFIED: Final = frozenset({"QName", "NOTATION"})
_ANY_TEXT: Final = frozenset({"string", "token", "normalizedString"})
_PARAMETERS: Final = frozenset(
    [
        "length",
        "minLength",
        "maxLength",
        "pattern",
        "minInclusive",
        "maxInclusive",
        "minExclusive",
        "maxExclusive",
        "totalDigits",
        "fractionDigits",
    ]
)
_MOST_PARAMETERS: Final = 50
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_MOST_ANSWERS: Final = 4_096
_LONGEST_KNOWN: Final = 200

Namespaces = dict[str | None, str]
"""The namespaces of a place in a document, by prefix."""


class ValueType:
    """A type or a value: tells of texts whether they are of it."""

    def __init__(self, test: Callable[[str, Namespaces], bool], *, needs_namespaces: bool = False) -> None:
        self.needs_namespaces = needs_namespaces
        self._test = test
        self._answers: dict[str, bool] = {}

    def allows(self, text: str, namespaces: Callable[[], Namespaces]) -> bool:
        """Tell whether a text is of this type; `namespaces` returns those of its place."""
        if self.needs_namespaces:
            return self._test(text, namespaces())
        is_allowed = self._answers.get(text)
        if is_allowed is None:
            is_allowed = self._test(text, {})
            if len(text) <= _LONGEST_KNOWN:
                if len(self._answers) >= _MOST_ANSWERS:
                    self._answers.clear()
                self._answers[text] = is_allowed
        return is_allowed


def words(text: str) -> list[str]:
    """Return what white space, as XML knows it, separates."""
    return [word for word in _SPACE.split(text) if word]


def type_of_data(pattern: etree._Element, library: str) -> ValueType:
    """Return the type of a `data` pattern of a library; raises Unusable for one that is not known."""
    name = pattern.get("type", "").strip()
    parameters = [
        (each.get("name", "").strip(), each.text or "") for each in patterns_in(pattern) if kind_of(each) == "param"
    ]
    if name in _ANY_TEXT and library in {"", *_TYPES} and not parameters:
        return ValueType(lambda _text, _namespaces: True)
    _refuse_unknown(pattern, library, name)
    if len(parameters) > _MOST_PARAMETERS or not {parameter for parameter, _ in parameters} <= _PARAMETERS:
        raise Unusable(f"line {pattern.sourceline}: its type has parameters that are not known, or too many")
    if name in _QUALIFIED:
        return ValueType(lambda text, namespaces: _qualified(text, namespaces) is not None, needs_namespaces=True)
    if name in _LISTS:
        single = _test_of(pattern, _AS_NAMES[name], [])
        return ValueType(lambda text, _: bool(words(text)) and all(map(single, words(text))))
    test = _test_of(pattern, _AS_NAMES.get(name, name), parameters)
    return ValueType(lambda text, _: test(text))


def type_of_value(pattern: etree._Element, library: str) -> ValueType:
    """Return the type of a `value` pattern; raises Unusable for one that is not known."""
    name, value = pattern.get("type", "").strip(), pattern.text or ""
    if "type" not in pattern.attrib:
        library, name = "", "token"
    if (not library and name == "token") or name in _LISTS:
        return ValueType(lambda text, _: words(text) == words(value))
    if not library and name == "string":
        return ValueType(lambda text, _: text == value)
    _refuse_unknown(pattern, library, name)
    if name in _QUALIFIED:
        expected = _qualified(value, {**pattern.nsmap, None: inherited(pattern, "ns")})
        return ValueType(lambda text, namespaces: _qualified(text, namespaces) == expected, needs_namespaces=True)
    test = _test_of(pattern, _AS_NAMES.get(name, name), [("enumeration", value)])
    return ValueType(lambda text, _: test(text))


def _refuse_unknown(pattern: etree._Element, library: str, name: str) -> None:
    if library not in _TYPES and not (library == _IDS and name in _OF_IDS):
        where = f"the datatype library '{plain(library)}'" if library else "RELAX NG itself"
        raise Unusable(f"line {pattern.sourceline}: the type '{plain(name)}' of {where} is not known")


def _qualified(text: str, namespaces: Namespaces) -> tuple[str, str] | None:
    """Return the namespace and the local name that a text stands for; None if it is no name, or its prefix unknown."""
    text = text.strip(" \t\r\n")
    prefix, colon, local = text.rpartition(":")
    if not all(map(_schema_test("NCName", ()), (prefix, local) if colon else (local,))):
        return None
    if not colon:
        return namespaces.get(None) or "", local
    namespace = namespaces.get(prefix)
    return None if namespace is None else (namespace, local)


def _test_of(pattern: etree._Element, name: str, parameters: list[tuple[str, str]]) -> Callable[[str], bool]:
    try:
        return _schema_test(name, tuple(parameters))
    except etree.LxmlError as error:
        raise Unusable(f"line {pattern.sourceline}: its type cannot be used: {plain(str(error))}") from None


@lru_cache(maxsize=256)
def _schema_test(name: str, parameters: tuple[tuple[str, str], ...]) -> Callable[[str], bool]:
    """Return a test for texts of a type of XML Schema with parameters, each of which restricts it further."""
    root = etree.Element(f"{_XSD}schema", nsmap={"xs": _XSD[1:-1]})
    holder = etree.SubElement(root, f"{_XSD}element", name="v")
    restrictions = []
    for _ in parameters:
        holder = etree.SubElement(etree.SubElement(holder, f"{_XSD}simpleType"), f"{_XSD}restriction")
        restrictions.append(holder)
    holder.set("base" if parameters else "type", f"xs:{name}")
    for restriction, (facet, value) in zip(restrictions, parameters, strict=True):
        etree.SubElement(restriction, f"{_XSD}{facet}", value=value)
    schema = etree.XMLSchema(root)
    element = etree.Element("v")

    def test(text: str) -> bool:
        element.text = text
        return schema.validate(element)

    return test
