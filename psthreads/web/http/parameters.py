"""Reads the parameters of requests; a wrong one is a 400 that names it."""

from __future__ import annotations

import re
from typing import Any, Final

from flask import request

from psthreads.authoring.parameter import Parameter
from psthreads.domain.errors import BadParameter

_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
_LONGEST_WAIT: Final = 30.0
_NUMBER: Final = re.compile("[0-9]{1,15}")
_ENTRY_ID: Final = re.compile("[0-9]{1,15}-[0-9]{1,15}")


def value_of(parameter: Parameter) -> Any:
    """Return the value of a declared parameter, or its default. Raises BadParameter."""
    text = request.values.get(parameter.wire)
    if text is not None:
        return parameter.read(text)
    return "" if parameter.default is None else parameter.default


def values() -> dict[str, str]:
    """Return every parameter of the query and the form. Raises BadParameter for one with two different values."""
    single: dict[str, str] = {}
    if not (request.environ.get("QUERY_STRING") or request.environ.get("CONTENT_TYPE")):
        return single
    for name, texts in request.values.lists():
        if len(set(texts)) > 1:
            raise BadParameter(name, f"Parameter '{name}' is given more than once, and differently.")
        single[name] = texts[0]
    return single


def event_number(name: str, text: str) -> int:
    """Return the number of an event of a log. Raises BadParameter for anything else, and for more than 15 digits."""
    if not _NUMBER.fullmatch(text):
        raise BadParameter(name, f"The {name} must be the number of an event of this log.")
    return int(text)


def entry_id(name: str, text: str) -> str:
    """Return the id of a change, empty for an empty text. Raises BadParameter for what no change can have."""
    if text and not _ENTRY_ID.fullmatch(text):
        raise BadParameter(name, f"The {name} must be the id of an event of this stream, such as 1652667241924-0.")
    return text


def is_page() -> bool:
    """Return whether the request is for an HTML page, not for a service."""
    if request.blueprint is None:
        return request.path.startswith("/dashboard")
    return request.blueprint.endswith("pages")


def preferred_wait() -> float | None:
    """Return the seconds that the client prefers to wait (RFC 7240, section 4.3); None for no preference."""
    if "HTTP_PREFER" not in request.environ:
        return None
    match = _WAIT.search(",".join(request.headers.getlist("Prefer")))
    return min(float(match[1]), _LONGEST_WAIT) if match else None
