from __future__ import annotations

import pytest
from flask import Flask

from tests.clients.answers import Caller, bearer
from tests.support.people import People


@pytest.fixture
def chief(app: Flask, people: People) -> Caller:
    """An administrator."""
    return bearer(app.test_client(), people, "chief")


@pytest.fixture
def contributor(app: Flask, people: People) -> Caller:
    return bearer(app.test_client(), people, "contributor")
