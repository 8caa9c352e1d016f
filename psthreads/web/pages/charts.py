"""Small charts, drawn as SVG on the server: each with a title and a description, and a table of its figures behind it.

The drawing has no text of its own, so that it can be as wide as the window lets it; what is written stands around it.
The kinds differ in their pattern as well as in their colour, which the style sheet gives by their names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

_HEIGHT: Final = 100
_WIDTH: Final = 240
_GAP: Final = 0.3  # of a label's place, left free
_APART: Final = 0.92  # of a column's place, drawn
_LEAST: Final = 1.0  # what is there at all is seen, however small it is


@dataclass(frozen=True, slots=True)
class Series:
    """A figure for each label. `name` is also a class of the style sheet."""

    name: str
    figures: Sequence[int]


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a drawing, in its own units."""

    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart of columns, for its template to draw. `id` is what its elements' ids begin with."""

    template: ClassVar[str] = "chart-columns.html"
    id: str
    title: str
    description: str
    labels: Sequence[str]
    series: Sequence[Series]
    boxes: Sequence[Box]
    greatest: int
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True, slots=True)
class Ranges:
    """A chart of ranges. A row is a name, a usual and a great length in ms, of how many, and both as they are drawn."""

    template: ClassVar[str] = "chart-ranges.html"
    id: str
    title: str
    description: str
    rows: Sequence[tuple[str, int, int, int, float, float]]
    width: int = _WIDTH


def columns(
    own: str, title: str, description: str, labels: Sequence[str], stacks: Sequence[Sequence[Series]]
) -> Columns:
    """Columns over time: for each label the stacks side by side, each with its series on top of each other."""
    sums = [sum(figures) for stack in stacks for figures in zip(*(one.figures for one in stack), strict=True)]
    greatest = max(sums, default=0)
    return Columns(
        id=own,
        title=title,
        description=description,
        labels=labels,
        series=[one for stack in stacks for one in stack],
        boxes=list(_boxes(len(labels), stacks, greatest)),
        greatest=greatest,
    )


def _boxes(many: int, stacks: Sequence[Sequence[Series]], greatest: int) -> Iterator[Box]:
    place = _WIDTH / max(1, many)
    width = place * (1 - _GAP) / max(1, len(stacks))
    for position in range(many):
        for number, stack in enumerate(stacks):
            left, top = place * (position + _GAP / 2) + width * number, float(_HEIGHT)
            for one in stack:
                if figure := one.figures[position]:
                    height = max(_LEAST, _HEIGHT * figure / greatest)
                    top = max(0.0, top - height)
                    yield Box(one.name, round(left, 2), round(top, 2), round(width * _APART, 2), round(height, 2))


def ranges(own: str, title: str, description: str, rows: Sequence[tuple[str, int, int, int]]) -> Ranges:
    """For each row a name, a usual and a great length in ms, and of how many: bars on one logarithmic scale."""
    greatest = max((most for _, _, most, _ in rows), default=1)

    def share(length: int) -> float:
        return round(_WIDTH * math.log1p(length) / math.log1p(max(1, greatest)), 1)

    drawn = [(name, usual, most, count, share(usual), share(most)) for name, usual, most, count in rows]
    return Ranges(id=own, title=title, description=description, rows=drawn)
