"""Reads the parameters that the services themselves take; a wrong one is a 400 that names it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import request

from psthreads.errors import BadParameter
from psthreads.registry import Bounds, Parameter


def number(name: str, default: int, *, least: int, greatest: int) -> int:
    """A whole number within bounds."""
    text = request.values.get(name)
    return default if text is None else int(Parameter(name, int, default, Bounds(least, greatest)).read(text))


def flag(name: str) -> bool:
    """Yes or no; no when absent."""
    text = request.values.get(name)
    return text is not None and bool(Parameter(name, bool, False).read(text))


def choice(name: str, choices: Sequence[str], default: str) -> str:
    """One of several words."""
    text = request.values.get(name)
    if text is None:
        return default
    return str(Parameter(name, str, default, choices=tuple(choices)).read(text))


def values() -> dict[str, str]:
    """Every parameter of the query and of a form; raises BadParameter for one given twice, differently."""
    read: dict[str, str] = {}
    for name, texts in request.values.lists():
        if len(set(texts)) > 1:
            raise BadParameter(name, f"Parameter '{name}' is given more than once, and differently.")
        read[name] = texts[0]
    return read


def is_page() -> bool:
    """Whether the request is for a page that a person reads, and not for a service."""
    return request.blueprint == "pages"
