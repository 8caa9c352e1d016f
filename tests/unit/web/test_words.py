"""How the pages say times, durations and counts."""

from __future__ import annotations

import pytest

from psthreads.web.pages import words

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "said"),
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
def test_a_duration_is_told_in_its_two_greatest_units(ms: int, said: str) -> None:
    assert words.duration(ms) == said


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (-HOUR, "just now"),  # a clock of another machine
        (4 * SECOND, "just now"),
        (59 * SECOND, "59 s ago"),
        (61 * SECOND, "1 min ago"),
        (23 * HOUR, "23 h ago"),
        (40 * DAY, "40 d ago"),
    ],
)
def test_a_moment_is_told_by_how_long_ago_it_was(before: int, said: str) -> None:
    assert words.ago(10 * DAY - before, 10 * DAY) == said


def test_counts_sizes_and_long_texts_are_told_as_people_read_them() -> None:
    assert words.number(1_204_318) == "1,204,318"
    assert [words.many(count, "thread") for count in (0, 1, 1_200)] == ["0 threads", "1 thread", "1,200 threads"]
    assert words.many(2, "entry", "entries") == "2 entries"
    assert [words.size(of) for of in (0, 999, 1_200, 999_990, 10**13)] == [
        "0 B",
        "999 B",
        "1.2 kB",
        "1.0 MB",
        "10.0 TB",
    ]
    assert words.short("short") == "short"
    assert words.short("x" * 200) == "x" * 160 + "…"
    for text in ("界" * 300, "<&>" * 300, "\U0001f600'" * 300, "x" * 300):
        assert words.weight(words.cut(text, 100)) <= 100 < words.weight(text)
        assert words.weight(words.cut(text, 100)) > 50
