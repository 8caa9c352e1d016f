"""Problems of a server, as its checks name them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a problem is: a serious one keeps a server in production from starting."""

    SERIOUS = "serious"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of this installation: one sentence that names it, and one with the remedy."""

    severity: Severity
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


def serious(what: str, remedy: str) -> Problem:
    """Return a problem that keeps a server in production from starting."""
    return Problem(Severity.SERIOUS, what, remedy)


def warning(what: str, remedy: str) -> Problem:
    """Return a problem that an operator should know of."""
    return Problem(Severity.WARNING, what, remedy)
