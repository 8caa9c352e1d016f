"""What a check says of a document: one of four things, which are never taken for each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from psthreads.processes.xml.parsing import DocumentProblem

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

    def encode(self) -> bytes:
        """Return it as bytes."""
        problems = [(problem.line, problem.column, problem.text, problem.schema) for problem in self.problems]
        return json.dumps((problems, self.schemas, self.unchecked, self.notes)).encode()


def decode(data: bytes) -> Verdict:
    """Return the verdict that was encoded; where the bytes are none, one that says so."""
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
