"""How the pages show times, durations, counts and statuses."""

from __future__ import annotations

import pytest

from psthreads.domain.model import Status
from psthreads.web.pages import formatting

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (42, "42 ms"),
        (430, "0.4 s"),
        (1_000, "1 s"),
        (9_990, "9.9 s"),
        (12_900, "12 s"),
        (3 * MINUTE + 5 * SECOND, "3 min 5 s"),
        (2 * HOUR, "2 h"),
        (2 * HOUR + 14 * MINUTE + 59 * SECOND, "2 h 14 min"),
        (3 * DAY + 4 * HOUR, "3 d 4 h"),
        (400 * DAY, "400 d"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(ms: int, text: str) -> None:
    assert formatting.duration(ms) == text


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (-HOUR, "just now"),  # a clock of another machine
        (4 * SECOND, "just now"),
        (59 * SECOND, "59 s ago"),
        (61 * SECOND, "1 min ago"),
        (23 * HOUR, "23 h ago"),
        (40 * DAY, "40 d ago"),
    ],
)
def test_a_time_is_shown_by_how_long_ago_it_was(before: int, text: str) -> None:
    assert formatting.ago(10 * DAY - before, 10 * DAY) == text


def test_counts_sizes_and_long_texts_are_shown_as_people_read_them() -> None:
    assert formatting.number(1_204_318) == "1,204,318"
    assert [formatting.pluralize(count, "thread") for count in (0, 1, 1_200)] == [
        "0 threads",
        "1 thread",
        "1,200 threads",
    ]
    assert formatting.pluralize(2, "entry", "entries") == "2 entries"
    assert [formatting.size(of) for of in (0, 999, 1_200, 999_990, 10**13)] == [
        "0 B",
        "999 B",
        "1.2 kB",
        "1.0 MB",
        "10.0 TB",
    ]
    assert formatting.short("short") == "short"
    assert formatting.short("x" * 200) == "x" * 160 + "…"
    for text in ("界" * 300, "<&>" * 300, "\U0001f600'" * 300, "x" * 300):
        assert formatting.html_size(formatting.cut(text, 100)) <= 100 < formatting.html_size(text)
        assert formatting.html_size(formatting.cut(text, 100)) > 50


def test_statuses_are_shown_in_peoples_words() -> None:
    words = [formatting.status_word(kind) for kind in ("active", "finished", *Status)]
    assert words == [
        *("Active", "Finished"),
        *("Waiting", "Running", "Warning", "Error", "Completed", "Failed", "Cancelled"),
    ]
