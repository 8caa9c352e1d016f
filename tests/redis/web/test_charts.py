"""The charts: right in their figures, readable without seeing them, and made of text that cannot become markup."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from flask import Flask, render_template
from lxml import html

from psthreads.web.pages import charts
from psthreads.web.pages.charts import Series

HOSTILE = "<img src=x onerror=alert(1)>"


def shown(chart: charts.Columns | charts.Ranges) -> Any:
    return html.fromstring(render_template(chart.template, chart=chart))


def drawn(app: Flask, labels: list[str], *stacks: list[Series], title: str = "Threads") -> Any:
    with app.test_request_context():
        return shown(charts.columns("own", title, "By hour", labels, stacks))


def test_a_chart_is_named_described_and_has_its_figures_in_a_table(app: Flask) -> None:
    chart = drawn(app, ["10:00", "11:00"], [Series("started", [1, 2])], [Series("completed", [3, 0])])
    (plot,) = chart.xpath(".//svg[@role='img']")
    named = plot.get("aria-labelledby").split()
    assert [chart.xpath(f".//*[@id='{one}']")[0].text for one in named] == ["Threads", "By hour"]
    table = [[cell.text_content() for cell in row] for row in chart.xpath(".//table//tr")]
    assert table == [["Hour", "Started", "Completed"], ["10:00", "1", "3"], ["11:00", "2", "0"]]
    assert [one.text_content().strip() for one in chart.xpath(".//li")] == ["Started: 3", "Completed: 3"]
    assert not chart.xpath("//@style | //script")


def test_columns_are_as_high_as_their_figures_and_stand_on_each_other(app: Flask) -> None:
    chart = drawn(app, ["a", "b"], [Series("completed", [30, 0]), Series("failed", [10, 20])])
    boxes = [
        {name: float(box.get(name)) for name in ("x", "y", "width", "height")} | {"class": box.get("class")}
        for box in chart.xpath(".//svg[@role='img']/rect")
    ]
    assert [(box["class"], box["y"], box["height"]) for box in boxes] == [
        ("completed", 25.0, 75.0),
        ("failed", 0.0, 25.0),
        ("failed", 50.0, 50.0),
    ]
    assert boxes[0]["x"] == boxes[1]["x"] < boxes[2]["x"]


@pytest.mark.parametrize("figures", [[0] * 24, [1] + [0] * 23, [10**12, 1] + [0] * 22])
def test_no_figure_breaks_the_drawing_and_the_smallest_is_seen(app: Flask, figures: list[int]) -> None:
    chart = drawn(app, [f"{hour:02}:00" for hour in range(24)], [Series("failed", figures)])
    boxes = chart.xpath(".//svg[@role='img']/rect")
    assert len(boxes) == len([figure for figure in figures if figure])
    for box in boxes:
        assert float(box.get("height")) >= 1
        assert 0 <= float(box.get("y")) <= 100


def test_kinds_differ_without_their_colours(app: Flask) -> None:
    names = ("started", "completed", "failed", "cancelled")
    chart = drawn(app, ["a"], [Series(name, [1]) for name in names])
    fills = [box.get("fill") for box in chart.xpath(".//svg[@role='img']/rect")]
    assert len(set(fills)) == len(names)
    patterns = {f"url(#{one.get('id')})" for one in chart.xpath(".//pattern")}
    assert set(fills) - patterns == {"currentColor"}


def test_ranges_are_on_one_scale_and_said_in_words(app: Flask) -> None:
    rows = [("a", 10, 20, 3), ("b", 1_000, 60_000, 1), (HOSTILE, 1, 3_600_000, 2)]
    with app.test_request_context():
        chart = shown(charts.ranges("own", "Durations", "By process", rows))
    widths = [float(box.get("width")) for box in chart.xpath(".//rect[@class='percentile']")]
    assert all(shorter < longer for shorter, longer in pairwise(widths))
    assert widths[-1] == 240
    cells = [[cell.text_content().strip() for cell in row] for row in chart.xpath(".//tbody/tr")]
    assert [row[2:] for row in cells] == [["10 ms", "20 ms", "3"], ["1 s", "1 min", "1"], ["1 ms", "1 h", "2"]]
    assert "median 10 ms, 95th percentile 20 ms" in cells[0][1]
    with app.test_request_context():
        empty = shown(charts.ranges("own", "Durations", "By process", []))
    assert "No thread finished" in empty.text_content()


def test_text_in_a_chart_is_text(app: Flask) -> None:
    chart = drawn(app, [HOSTILE], [Series("failed", [1])], title=HOSTILE)
    assert not chart.xpath("//img")
    assert chart.xpath(".//figcaption")[0].text == HOSTILE
