"""Reads the parameters that the services themselves take; a wrong one is a 400 that names it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from flask import request

from psthreads.authoring.parameter import Bounds, Parameter
from psthreads.domain.errors import BadParameter

_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
_LONGEST_WAIT: Final = 30.0


def given(parameter: Parameter) -> Any:
    """The value of a declared parameter, its default when absent."""
    text = request.values.get(parameter.wire)
    if text is not None:
        return parameter.read(text)
    return "" if parameter.default is None else parameter.default


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
    if request.blueprint is None:
        return request.path.startswith("/dashboard")
    return request.blueprint.endswith("pages")


def preferred_wait() -> float | None:
    """For how long the client prefers to wait (RFC 7240, section 4.3), in seconds; None for not at all."""
    if "HTTP_PREFER" not in request.environ:
        return None
    found = _WAIT.search(",".join(request.headers.getlist("Prefer")))
    return min(float(found[1]), _LONGEST_WAIT) if found else None
