"""Running failed tests again, alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.again import run_again

PASSES = "tests/unit/test_again.py::test_nothing"
FAILS = "tests/unit/test_again.py::no_such_test"


def test_nothing() -> None: ...


def record(cache: Path, *failed: str) -> Path:
    folder = cache / "v" / "cache"
    folder.mkdir(parents=True)
    (folder / "lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))
    return cache


def test_tests_that_pass_alone_pass_and_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_again(1, record(tmp_path, PASSES)) == 0
    assert f"{PASSES} failed beside other tests, and passed alone" in capfd.readouterr().out


@pytest.mark.parametrize("failed", [[FAILS], [], [PASSES, PASSES + "2"]], ids=["fails again", "none", "too many"])
def test_a_second_failure_none_or_too_many_fail(failed: list[str], tmp_path: Path) -> None:
    assert run_again(1, record(tmp_path, *failed)) != 0


def test_no_record_of_a_run_fails(tmp_path: Path) -> None:
    assert run_again(3, tmp_path) == 1
