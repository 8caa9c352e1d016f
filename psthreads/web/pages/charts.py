"""Small charts, drawn as SVG on the server: each has a title, a description, and a table of its figures.

The drawing holds no text, so that it can stretch to any width; text stands around it. Series differ in pattern as well
as in colour; the style sheet sets both by the name of the series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

_HEIGHT: Final = 100
_WIDTH: Final = 240
_GAP: Final = 0.3  # of a label's width, left empty
_COLUMN: Final = 0.92  # of a column's width, drawn
_LEAST: Final = 1.0  # the smallest height, at which a column is still visible


@dataclass(frozen=True, slots=True)
class Series:
    """A figure for each label. `name` is also a class of the style sheet."""

    name: str
    figures: Sequence[int]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a drawing, in the drawing's units."""

    name: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Columns:
    """A column chart, drawn by its template. `id` is the prefix of its elements' ids."""

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
    """A range chart. A row is: name, median and 95th percentile in ms, count, and both durations in drawing units."""

    template: ClassVar[str] = "chart-ranges.html"
    id: str
    title: str
    description: str
    rows: Sequence[tuple[str, int, int, int, float, float]]
    width: int = _WIDTH


def columns(
    chart_id: str, title: str, description: str, labels: Sequence[str], stacks: Sequence[Sequence[Series]]
) -> Columns:
    """Return a column chart over time: for each label the stacks side by side, each with its series piled up."""
    sums = [sum(figures) for stack in stacks for figures in zip(*(series.figures for series in stack), strict=True)]
    greatest = max(sums, default=0)
    return Columns(
        id=chart_id,
        title=title,
        description=description,
        labels=labels,
        series=[series for stack in stacks for series in stack],
        boxes=list(_boxes(len(labels), stacks, greatest)),
        greatest=greatest,
    )


def _boxes(count: int, stacks: Sequence[Sequence[Series]], greatest: int) -> Iterator[Box]:
    place = _WIDTH / max(1, count)
    width = place * (1 - _GAP) / max(1, len(stacks))
    for position in range(count):
        for number, stack in enumerate(stacks):
            left, top = place * (position + _GAP / 2) + width * number, float(_HEIGHT)
            for series in stack:
                if figure := series.figures[position]:
                    height = max(_LEAST, _HEIGHT * figure / greatest)
                    top = max(0.0, top - height)
                    yield Box(series.name, round(left, 2), round(top, 2), round(width * _COLUMN, 2), round(height, 2))


def ranges(chart_id: str, title: str, description: str, rows: Sequence[tuple[str, int, int, int]]) -> Ranges:
    """Return bars on one logarithmic scale. A row is: name, median and 95th percentile in ms, count."""
    greatest = max((percentile for _, _, percentile, _ in rows), default=1)

    def length(ms: int) -> float:
        return round(_WIDTH * math.log1p(ms) / math.log1p(max(1, greatest)), 1)

    return Ranges(
        id=chart_id,
        title=title,
        description=description,
        rows=[(*row, length(row[1]), length(row[2])) for row in rows],
    )
