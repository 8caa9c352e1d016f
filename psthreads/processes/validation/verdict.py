"""What a check says of a document: one of four things, which are never taken for each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from psthreads.processes.xml.parsing import DocumentProblem

_SHORT: Final = 1_000  # bytes
UNREADABLE: Final = "the answer of its check cannot be read"


class VerdictKind(StrEnum):
    """The four kinds of verdicts."""

    VALID = "valid"
    """A schema applied, and every one that did has nothing against the document."""

    WELL_FORMED = "well-formed"
    """It is XML, and no schema applied."""

    INVALID = "invalid"
    """It is not XML, or has a problem by a schema."""

    UNCHECKED = "not-checked"
    """It has no problem so far, but could not be checked to the end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one document.

    `schemas` are the paths of those that applied. `unchecked` says what could not be checked and why, and `notes` which
    schemas did not apply for another reason; both are ends of sentences.
    """

    problems: tuple[DocumentProblem, ...] = ()
    schemas: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> VerdictKind:
        """Which of the four it is."""
        if self.problems:
            return VerdictKind.INVALID
        if self.unchecked:
            return VerdictKind.UNCHECKED
        return VerdictKind.VALID if self.schemas else VerdictKind.WELL_FORMED


def encode(verdict: Verdict) -> bytes:
    """Return a verdict as bytes."""
    return _encoded(verdict) if verdict.problems else _encoded_once(verdict)


def decode(data: bytes) -> Verdict:
    """Return the verdict that was encoded; where the bytes are none, one that says so."""
    return _decoded_once(data) if len(data) <= _SHORT else _decoded(data)


def _encoded(verdict: Verdict) -> bytes:
    problems = [(problem.line, problem.column, problem.text, problem.schema) for problem in verdict.problems]
    return json.dumps((problems, verdict.schemas, verdict.unchecked, verdict.notes)).encode()


def _decoded(data: bytes) -> Verdict:
    try:
        problems, *others = json.loads(data)
        schemas, unchecked, notes = (tuple(str(text) for text in texts) for texts in others)
        return Verdict(
            tuple(DocumentProblem(int(line), int(at), str(text), str(schema)) for line, at, text, schema in problems),
            schemas,
            unchecked,
            notes,
        )
    except (ValueError, TypeError):
        return Verdict(unchecked=(UNREADABLE,))


# Most verdicts of a validation are one of a few.
_encoded_once = lru_cache(maxsize=64)(_encoded)
_decoded_once = lru_cache(maxsize=64)(_decoded)
