"""Keeps Redis out of these tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def server() -> None:
    pytest.fail("This test needs Redis: move it to tests/redis.", pytrace=False)
