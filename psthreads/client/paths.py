"""Paths and values of requests, in which no name can lead to another service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from psthreads.domain.errors import BadParameter


def segment(name: str, value: str | int) -> str:
    """Return the value as one segment of a path. Raises BadParameter, with this name, for one that is none."""
    return quote(checked(name, value), safe="~")


def checked(name: str, value: str | int) -> str:
    """Return the value as text. Raises BadParameter for one that would change the path to another service's."""
    if (text := str(value)) in ("", ".", ".."):
        raise BadParameter(name, f"'{text}' is not the name of a {name}.")
    return text


def fill(route: str, names: Mapping[str, str | int | None]) -> str:
    """Return the route with these names filled in. Raises BadParameter for one that there is not."""

    def name(match: re.Match[str]) -> str:
        if (value := names.get(match[1])) is None:
            raise BadParameter(match[1], f"The route '{route}' needs a {match[1]}, and there is none.")
        return checked(match[1], value)

    # Segment by segment, so that a slash in a name does not make two segments.
    parts = (re.sub(r"\{(\w+)\}", name, part) for part in route.strip("/").split("/"))
    return "".join(f"/{segment('route', part)}" for part in parts)


def group(ref: str | int | None) -> str:
    """Return the beginning of a group's path; empty for the whole server."""
    return "" if ref is None else f"/groups/{segment('group', ref)}"


def wire(value: Any) -> Any:
    """Return the value as the server reads it."""
    return str(value).lower() if isinstance(value, bool) else value
