"""Changes the XPath expressions of a stylesheet: functions that read files become others, which the engine serves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

NAMESPACE: Final = "urn:psthreads:group"
"""The namespace of the functions that read documents of the group."""

READING: Final = frozenset(
    {
        "doc",
        "doc-available",
        "document",
        "collection",
        "uri-collection",
        "unparsed-text",
        "unparsed-text-lines",
        "unparsed-text-available",
        "json-doc",
    }
)
"""The functions of XPath and XSLT that read, by the address of what they read."""

_FUNCTIONS: Final = "http://www.w3.org/2005/xpath-functions"
# A comment, a string, a variable, or a name; all else stays as it is.
_TOKEN: Final = re.compile(
    r"""(?P<comment>\(:)|(?P<string>"[^"]*"|'[^']*')|(?P<variable>\$\s*(?:Q\{[^}]*\}|[\w.-]+:)?[\w.-]+)"""
    r"""|(?P<name>(?:Q\{(?P<uri>[^}]*)\}|(?P<prefix>[^\W\d][\w.-]*):(?![:*]))?(?P<local>[^\W\d][\w.-]*))(?=\s*[(#])"""
    r"""|[^\W\d][\w.-]*|[^\w"'($]+|.""",
    re.DOTALL,
)
_COMMENT_MARK: Final = re.compile(r"\(:|:\)")
_AVT_MARK: Final = re.compile(r"""[{}]|"[^"]*"|'[^']*'|\(:""")


def rewritten(expression: str, suffix: Callable[[], str], namespaces: Mapping[str | None, str]) -> str:
    """Return an expression in which each function of READING is one of NAMESPACE whose name ends in a suffix."""
    parts: list[str] = []
    at = 0
    while match := _TOKEN.match(expression, at):
        at = match.end()
        if match["comment"]:
            at = _end_of_comment(expression, at)
            parts.append(" ")
            continue
        name = match["local"]
        if name and _is_standard(match, namespaces):
            if name in READING:
                parts.append(f"Q{{{NAMESPACE}}}{name}{suffix()}")
                continue
            if name == "document-uri":  # Saxon knows it of what it has read itself only.
                parts.append("base-uri")
                continue
        parts.append(match[0])
    return "".join(parts)


def rewritten_template(text: str, suffix: Callable[[], str], namespaces: Mapping[str | None, str]) -> str:
    """Return an attribute or a text in which the expressions in braces are rewritten."""
    if "{" not in text:
        return text
    return "".join(
        rewritten(part, suffix, namespaces) if is_expression else part for part, is_expression in _parts(text)
    )


def _is_standard(match: re.Match[str], namespaces: Mapping[str | None, str]) -> bool:
    if match["uri"] is not None:
        return match["uri"].strip() == _FUNCTIONS
    return match["prefix"] is None or namespaces.get(match["prefix"], "") == _FUNCTIONS


def _end_of_comment(text: str, at: int) -> int:
    depth = 1
    while depth and (mark := _COMMENT_MARK.search(text, at)):
        depth += 1 if mark[0] == "(:" else -1
        at = mark.end()
    return at if not depth else len(text)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a value template, and whether each is an expression."""
    at = start = 0
    while (at := text.find("{", at)) >= 0:
        if text.startswith("{{", at):
            at += 2
            continue
        yield text[start : at + 1], False
        end = _end_of_expression(text, at + 1)
        yield text[at + 1 : end], True
        at = start = end
    yield text[start:], False


def _end_of_expression(text: str, at: int) -> int:
    depth = 1
    while mark := _AVT_MARK.search(text, at):
        at = mark.end()
        if mark[0] == "(:":
            at = _end_of_comment(text, at)
        elif mark[0] in "{}":
            depth += 1 if mark[0] == "{" else -1
            if not depth:
                return mark.start()
    return len(text)
