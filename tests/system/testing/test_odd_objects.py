"""The harness with exceptions and objects whose methods raise: it says what a worker says."""

from __future__ import annotations

import logging

import pytest

from psthreads.domain.model import Status, clean
from psthreads.testing import run
from tests.support.odd_objects import ODD_ERRORS, failing, telling


@pytest.mark.parametrize("how", ODD_ERRORS)
def test_an_exception_that_cannot_be_shown_ends_a_run_with_a_sentence(how: str) -> None:
    result = run(failing, {"how": how})
    assert (result.status, clean(result.message)) == (Status.FAILED, ODD_ERRORS[how])
    assert result.log == ["Last words"]


def test_objects_that_cannot_be_shown_are_reported_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own raise what such an object raises.
    result = run(telling)
    assert (result.status, result.message) == (Status.COMPLETED, "The end")
    assert "[a Unprintable that cannot be shown: ZeroDivisionError]" in result.messages
    assert result.bars["bar"].current is None
