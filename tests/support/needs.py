"""Leaving out tests for what a machine lacks: never unseen, and not at all where CI is set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

import pytest

from tests.support.machine import Missing, find_program, may_leave_out

_MARK = "left out: "


def needs(*programs: str) -> None:
    """Leave the test out where one of these programs is missing."""
    for name in programs:
        try:
            find_program(name)
        except Missing as error:
            leave_out(error)


def leave_out(error: Missing) -> NoReturn:
    """Leave the test out, or fail it where CI is set."""
    if may_leave_out():
        pytest.skip(f"{_MARK}{error}")
    pytest.fail(str(error), pytrace=False)


def leave_out_anywhere(sentence: str) -> NoReturn:
    """Leave the test out, also where CI is set: for what a machine of this project need not have."""
    pytest.skip(f"{_MARK}{sentence}")


def summary(reports: Iterable[Any]) -> list[str]:
    """Return a sentence for each thing for which tests were left out, given the reports of skipped tests."""
    reasons = Counter(str(report.longrepr[2]).partition(_MARK)[2] for report in reports)
    return [
        f"{count:,} {'test was' if count == 1 else 'tests were'} left out. {reason}"
        for reason, count in reasons.items()
        if reason
    ]
