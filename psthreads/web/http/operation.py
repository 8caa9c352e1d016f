"""What a route is for, declared beside its view: whom it serves, which parameters it reads, how it answers.

The views read their parameters by the same declarations; openapi.py makes the document of them.
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
    """Whom a route serves, in the words of the docs."""

    EVERYBODY = "everybody"
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
    """A route and a method of it. `body` is the media types of a body, whose fields are the parameters or `fields`."""

    summary: str
    who: Who
    answers: Mapping[int, DeclaredResponse]
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


def service(meaning: str, schema: str) -> DeclaredResponse:
    """An answer of the services: XML or JSON, as it is asked for."""
    return DeclaredResponse(meaning, (XML, JSON), schema)


def declares(operation: Operation) -> Callable[[F], F]:
    """Declare what the view is for."""

    def declare(view: F) -> F:
        vars(view)[_DECLARED] = operation
        return view

    return declare


def declared(view: Callable[..., Any]) -> Operation | None:
    """What is declared of a view; None where nothing is."""
    found = vars(view).get(_DECLARED)
    return found if isinstance(found, Operation) else None


# The headers of requests that more than one route reads.

PREFER: Final = Parameter(
    "Prefer", str, "", description="wait=N holds the answer for up to N seconds, at most 30 (RFC 7240)"
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", str, "", description="the ETag of an earlier answer: 304 as long as nothing has changed"
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    str,
    "",
    Bounds(greatest=255),
    description="the same start again with the same key gives the same thread",
)
LAST_EVENT_ID: Final = Parameter(
    "Last-Event-ID", str, "", description="the id of the last event that was received: what came after it follows"
)
RANGE: Final = Parameter("Range", str, "", description="the part of the file that is wanted, such as bytes=100-")
