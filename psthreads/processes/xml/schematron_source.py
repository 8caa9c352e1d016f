"""Turns Schematron schemas into stylesheets, which libxslt or Saxon applies (ISO/IEC 19757-3).

Each pattern is a mode, and each rule a template in it: the first rule that matches a node is the one that applies. A
variable of a pattern is global in its stylesheet, so patterns with different variables of one name are in different
ones. What a stylesheet makes of a document is an element `report` with an element for each rule that is broken.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from psthreads.processes.bounded.inside import Unusable
from psthreads.processes.xml.includes import SCH, url
from psthreads.processes.xml.parsing import plain
from psthreads.processes.xml.saxon.modules import XSLT

OUTSIDE: Final = "#outside"
"""The start of a place in another document, whose address follows."""

_SCH: Final = f"{{{SCH}}}"
_XSL: Final = f"{{{XSLT}}}"
_PRIVATE: Final = "urn:psthreads:schematron"
_PREFIX: Final = "psthreads-schematron"
_KNOWN: Final = frozenset(
    {"ns", "let", "pattern", "phase", "diagnostics", "properties", "title", "p", "param", "rules", "library"}
)
_ALL: Final = "#ALL"
_PLACE: Final = (
    f"if (root() is ${_PREFIX}:main)"
    " then string-join(ancestor-or-self::* ! ('/*[' || 1 + count(preceding-sibling::*) || ']'))"
    " else '#outside' || base-uri(root())"
)


class SchematronSource:
    """A schema with its abstract patterns and rules resolved; raises Unusable if it breaks the rules of Schematron.

    Its includes are inserted before. With `is_later`, the stylesheets are XSLT 3.0, else 1.0. A phase that the schema
    does not have is no reason to refuse it, unless it is required.
    """

    def __init__(
        self, root: etree._Element, path: str, phase: str = "", *, is_later: bool = False, is_required: bool = False
    ) -> None:
        self._root = root
        self._path = path
        self._is_later = is_later
        unknown = [each for each in root.iterchildren(f"{_SCH}*") if _name(each) not in _KNOWN]
        if unknown:
            raise Unusable(f"it has a '{_name(unknown[0])}', which is of a later edition of Schematron")
        self._abstract = {each.get("id", ""): each for each in root.iter(f"{_SCH}pattern") if _is_abstract(each)}
        self._texts = {
            each.get("id", ""): each
            for parent in root.iter(f"{_SCH}diagnostics", f"{_SCH}properties")
            for each in parent.iterchildren(f"{_SCH}diagnostic", f"{_SCH}property")
        }
        self._phase = self._active_phase(phase, is_required=is_required)
        self._scopes = [root] if self._phase is None else [root, self._phase]
        self._patterns = [each for each in map(self._concrete, self._active()) if each is not None]

    def stylesheets(self) -> Iterator[etree._Element]:
        """Yield the stylesheets that together apply the schema."""
        remaining = self._patterns or [etree.Element(f"{_SCH}pattern")]
        while remaining:
            variables: dict[str, str] = {}
            together: list[etree._Element] = []
            later: list[etree._Element] = []
            for pattern in remaining:
                lets = [each for scope in (*self._scopes, pattern) for each in scope.iterchildren(f"{_SCH}let")]
                own = {each.get("name", ""): each.get("value", "") for each in lets}
                if all(variables.get(name, value) == value for name, value in own.items()):
                    variables |= own
                    together.append(pattern)
                else:
                    later.append(pattern)
            yield self._stylesheet(together)
            remaining = later

    def _active_phase(self, phase: str, *, is_required: bool) -> etree._Element | None:
        phases = {each.get("id", ""): each for each in self._root.iter(f"{_SCH}phase")}
        if phase == _ALL or phase in phases:
            return phases.get(phase)
        if is_required and phase != "#DEFAULT":
            raise Unusable(f"it has no phase '{plain(phase)}'")
        default = self._root.get("defaultPhase", _ALL)
        if default != _ALL and default not in phases:
            raise Unusable(f"its default phase '{plain(default)}' is none of its phases")
        return phases.get(default)

    def _active(self) -> list[etree._Element]:
        patterns = [
            each
            for parent in (self._root, *self._root.iterchildren(f"{_SCH}rules", f"{_SCH}library"))
            for each in parent.iterchildren(f"{_SCH}pattern")
        ]
        if self._phase is None:
            return patterns
        names = {each.get("pattern", "") for each in self._phase.iterchildren(f"{_SCH}active")}
        if absent := names - {each.get("id", "") for each in patterns}:
            raise Unusable(f"its phase names '{plain(min(absent))}', which is none of its patterns")
        return [each for each in patterns if each.get("id", "") in names]

    def _concrete(self, pattern: etree._Element) -> etree._Element | None:
        """Return a pattern with its parameters put in; None for an abstract one."""
        if _is_abstract(pattern):
            return None
        name = pattern.get("is-a")
        if name is None:
            return pattern
        if name not in self._abstract:
            raise Unusable(f"a pattern is said to be a '{plain(name)}', and there is no abstract pattern of this name")
        values = {each.get("name", ""): each.get("value", "") for each in pattern.iterchildren(f"{_SCH}param")}
        made = copy.deepcopy(self._abstract[name])
        for default in list(made.iterchildren(f"{_SCH}param")):
            values.setdefault(default.get("name", ""), default.get("value", ""))
            made.remove(default)
        del made.attrib["abstract"]

        def put_in(text: str | None) -> str:
            # A full stop may be in a name, and at its end rather ends a sentence.
            return re.sub(r"\$([\w-]+(?:\.[\w-]+)*)", lambda match: values.get(match[1], match[0]), str(text or ""))

        for element in made.iter("*"):
            for key, value in element.attrib.items():
                element.set(key, put_in(value))
            element.text, element.tail = put_in(element.text), put_in(element.tail)
        return made

    def _stylesheet(self, patterns: list[etree._Element]) -> etree._Element:
        prefixes: dict[str | None, str] = {
            each.get("prefix", ""): each.get("uri", "")
            for each in self._root.iterchildren(f"{_SCH}ns")
            if each.get("prefix")
        }
        nsmap: dict[str | None, str] = {**self._root.nsmap, **prefixes, "xsl": XSLT, _PREFIX: _PRIVATE}
        nsmap.pop(None, None)
        sheet = etree.Element(f"{_XSL}stylesheet", {"version": "3.0" if self._is_later else "1.0"}, nsmap)
        for name in ("xpath-default-namespace", f"{_XSL}xpath-default-namespace"):
            if name in self._root.attrib:
                sheet.set("xpath-default-namespace", str(self._root.attrib[name]))
        sheet.getroottree().docinfo.URL = url(self._path)
        sheet.extend(copy.deepcopy(each) for each in self._root.iterchildren(f"{_XSL}*"))
        etree.SubElement(sheet, f"{_XSL}output", method="xml", indent="no")
        etree.SubElement(sheet, f"{_XSL}variable", name=f"{_PREFIX}:main", select="/")
        # A variable of a pattern hides one of the schema.
        lets = {
            each.get("name", ""): each
            for scope in (*self._scopes, *patterns)
            for each in scope.iterchildren(f"{_SCH}let")
        }
        sheet.extend(self._variable(each) for each in lets.values())
        main = etree.SubElement(sheet, f"{_XSL}template", match="/")
        report = etree.SubElement(main, "report")
        for number, pattern in enumerate(patterns):
            mode = f"{_PREFIX}:pattern{number}"
            documents = pattern.get("documents")
            if documents is not None and not self._is_later:
                raise Unusable("a pattern is about other documents, which needs the query language xslt2 or xslt3")
            select = "/" if documents is None else f"({documents}) ! document(string(.), ${_PREFIX}:main)"
            etree.SubElement(report, f"{_XSL}apply-templates", {"select": select, "mode": mode})
            # What no rule is about is looked into. Most rules are about elements, and to see nothing else is faster.
            contexts = "".join(each.get("context", "") for each in pattern.iterchildren(f"{_SCH}rule"))
            inner = "node()" if "(" in contexts else "*"
            inner = f"@*|{inner}" if "@" in contexts or "attribute" in contexts else inner
            rest = etree.SubElement(sheet, f"{_XSL}template", match="/|@*|node()", mode=mode, priority="0")
            etree.SubElement(rest, f"{_XSL}apply-templates", {"select": inner, "mode": mode})
            sheet.extend(self._templates(pattern, mode, inner))
        return sheet

    def _templates(self, pattern: etree._Element, mode: str, inner: str) -> Iterator[etree._Element]:
        abstract = {
            each.get("id", ""): each
            for scope in (self._root, pattern)
            for each in scope.iter(f"{_SCH}rule")
            if _is_abstract(each)
        }
        every = list(pattern.iterchildren(f"{_SCH}rule"))
        for index, rule in enumerate(every):
            if _is_abstract(rule):
                continue
            context = rule.get("context", "")
            template = etree.Element(f"{_XSL}template", match=context, mode=mode, nsmap=_prefixes(rule))
            template.set("priority", str(len(every) - index))
            for each in self._content(rule, abstract, ()):
                if each.tag == f"{_SCH}let":
                    template.append(self._variable(each))
                elif each.tag in {f"{_SCH}assert", f"{_SCH}report"}:
                    template.append(self._test(each, rule))
                elif str(each.tag).startswith(_XSL):
                    template.append(copy.deepcopy(each))
            etree.SubElement(template, f"{_XSL}apply-templates", {"select": inner, "mode": mode})
            yield template

    def _content(
        self, rule: etree._Element, abstract: dict[str, etree._Element], ancestors: tuple[str, ...]
    ) -> Iterator[etree._Element]:
        for each in rule.iterchildren("*"):
            if each.tag != f"{_SCH}extends":
                yield each
                continue
            name = each.get("rule", "")
            if name not in abstract or name in ancestors:
                raise Unusable(f"a rule extends '{plain(name)}', which is not an abstract rule, or extends itself")
            yield from self._content(abstract[name], abstract, (*ancestors, name))

    def _test(self, test: etree._Element, rule: etree._Element) -> etree._Element:
        expression = test.get("test", "")
        if not expression.strip():
            raise Unusable(f"{'an assertion' if test.tag == f'{_SCH}assert' else 'a report'} has no test")
        condition = f"not({expression})" if test.tag == f"{_SCH}assert" else expression
        branch = etree.Element(f"{_XSL}if", test=condition, nsmap=_prefixes(test))
        finding = etree.SubElement(branch, "finding")
        place = etree.SubElement(finding, f"{_XSL}attribute", name="place")
        if self._is_later:
            subject = test.get("subject") or rule.get("subject") or "."
            each = etree.SubElement(place, f"{_XSL}for-each", select=f"(({subject})[. instance of node()], .)[1]")
            etree.SubElement(each, f"{_XSL}value-of", select=_PLACE)
        else:
            each = etree.SubElement(place, f"{_XSL}for-each", select="ancestor-or-self::*")
            each.text = "/*["
            etree.SubElement(each, f"{_XSL}value-of", select="1 + count(preceding-sibling::*)").tail = "]"
        if role := test.get("role"):
            finding.set("role", role.replace("{", "{{").replace("}", "}}"))
        self._copy_text(test, finding)
        for name in test.get("diagnostics", "").split() + test.get("properties", "").split():
            if name in self._texts:  # Without it, the verdict is the same.
                etree.SubElement(finding, f"{_XSL}text").text = " "
                self._copy_text(self._texts[name], finding)
        return branch

    def _copy_text(self, source: etree._Element, target: etree._Element) -> None:
        """Copy a text of Schematron, with what is computed in it."""
        _add_text(target, source.text)
        for child in source:
            if isinstance(child.tag, str):
                name = _name(child) if child.tag.startswith(_SCH) else ""
                if child.tag.startswith(_XSL):
                    made = copy.deepcopy(child)
                    made.tail = None
                    target.append(made)
                elif name in {"value-of", "name"}:
                    select = child.get("select") or child.get("path") or "name()"
                    value = etree.SubElement(target, f"{_XSL}value-of", select=select)
                    if self._is_later:
                        value.set("separator", " ")
                else:
                    self._copy_text(child, target)
            _add_text(target, child.tail)

    def _variable(self, let: etree._Element) -> etree._Element:
        variable = etree.Element(f"{_XSL}variable", name=let.get("name", ""), nsmap=_prefixes(let))
        if self._is_later and (kind := let.get("as")):
            variable.set("as", kind)
        if "value" in let.attrib:
            variable.set("select", let.get("value", ""))
        else:
            variable.text = let.text
            variable.extend(copy.deepcopy(each) for each in let)
        return variable


def _add_text(target: etree._Element, text: str | None) -> None:
    if text:
        etree.SubElement(target, f"{_XSL}text").text = text


def _prefixes(element: etree._Element) -> dict[str | None, str]:
    return {prefix: uri for prefix, uri in element.nsmap.items() if prefix is not None}


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def _is_abstract(element: etree._Element) -> bool:
    return element.get("abstract") == "true"
