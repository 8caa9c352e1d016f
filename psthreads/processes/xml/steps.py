"""The steps of a check that can take too long, each named while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

Step = Callable[[str], AbstractContextManager[None]]
"""Begins a step with the schema of this path; the block is the step."""


def _freely(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Steps:
    """How to begin each step. `given_up` says why schemas are not tried again, by their paths."""

    compiling: Step = _freely
    applying: Step = _freely
    given_up: Mapping[str, str] = field(default_factory=dict)
