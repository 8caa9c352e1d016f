"""The routes below /api/v1, each with its declaration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flask import Flask
from werkzeug.routing import Rule

from psthreads.web.api import starts
from psthreads.web.http.operation import Operation, Who, declared
from psthreads.web.http.routing import API_PREFIX
from psthreads.web.services import Services

TAGS: Final = {
    "service": "Services",
    "process": "Starting threads",
    "file": "Files and streams",
    "open": "Open",
}
"""The parts of the document, with their titles."""

_OMITTED: Final = frozenset({"HEAD", "OPTIONS"})
_STREAMS: Final = frozenset({"*/*", "text/event-stream", "text/plain"})


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one path below /api/v1."""

    method: str
    path: str
    rule: Rule
    operation: Operation


def described(app: Flask, services: Services) -> list[Described]:
    """Return every declared method and path, sorted; the paths that end in a format are left out."""
    items = []
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(f"{API_PREFIX}/") or "suffix" in rule.arguments:
            continue
        path = re.sub(r"<(?:[^<>:]*:)?(\w+)>", r"{\1}", rule.rule.removeprefix(API_PREFIX))
        if operation := _operation(app, services, rule):
            items += [Described(method, path, rule, operation) for method in (rule.methods or set()) - _OMITTED]
    return sorted(items, key=lambda item: (item.path, item.method))


def tag_of(item: Described) -> str:
    """Return the part of the document that the operation belongs to."""
    if item.rule.endpoint.startswith("starts"):
        return "process"
    if item.operation.who is Who.EVERYBODY:
        return "open"
    media = {kind for answer in item.operation.answers.values() for kind in answer.media}
    return "file" if media & _STREAMS else "service"


def _operation(app: Flask, services: Services, rule: Rule) -> Operation | None:
    blueprint, _, name = rule.endpoint.rpartition(".")
    if blueprint.rstrip("0123456789") == "starts":
        process = services.registry.find(name)
        return starts.declaration(process) if process is not None else None
    return declared(app.view_functions[rule.endpoint])
