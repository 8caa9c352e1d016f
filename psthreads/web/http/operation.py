"""The declarations of the API's routes, beside their views: who may use them, their parameters, their answers.

The views read their parameters by the same declarations; the package openapi makes the document from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from psthreads.authoring.parameter import Bounds, Parameter

F = TypeVar("F", bound=Callable[..., Any])

_DECLARED: Final = "operation"
XML: Final = "application/xml"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
BYTES: Final = "application/octet-stream"


class Who(Enum):
    """Who may use a route, in the words of the docs."""

    EVERYBODY = "everybody"
    MEMBER = "every signed-in member"
    INSIDER = "the group's members"
    GROUP = "contributor or higher in the group"
    SELF = "the least role of the process in the group, for themselves; administrators for anybody"
    SERVER = "administrators"


@dataclass(frozen=True, slots=True)
class DeclaredResponse:
    """One way to answer: its media types, and the name of its JSON's schema in schemas/thread.schema.json."""

    meaning: str
    media: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a route.

    `body` is the body's media types. A form has the parameters and `fields` as its fields, and needs those that have
    no default and those in `required`.
    """

    summary: str
    who: Who
    answers: Mapping[int, DeclaredResponse]
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


def service(meaning: str, schema: str) -> DeclaredResponse:
    """Return the declaration of an answer in XML or JSON."""
    return DeclaredResponse(meaning, (XML, JSON), schema)


def declares(operation: Operation) -> Callable[[F], F]:
    """Declare the operation of a view."""

    def declare(view: F) -> F:
        vars(view)[_DECLARED] = operation
        return view

    return declare


def declared(view: Callable[..., Any]) -> Operation | None:
    """Return the operation that a view declares; None where it declares none."""
    operation = vars(view).get(_DECLARED)
    return operation if isinstance(operation, Operation) else None


# The headers of requests that more than one route reads.

PREFER: Final = Parameter(
    "Prefer", str, "", description="wait=N holds the answer for up to N seconds, at most 30 (RFC 7240)"
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", str, "", description="the ETag of an earlier answer: 304 while nothing has changed"
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    str,
    "",
    Bounds(greatest=255),
    description="a repeat of the same start with the same key returns the same thread",
)
LAST_EVENT_ID: Final = Parameter(
    "Last-Event-ID", str, "", description="the id of the last event received: the stream goes on after it"
)
RANGE: Final = Parameter("Range", str, "", description="a part of the file, such as bytes=100-")
