"""Settings under which guessing has an effect soon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from psthreads.domain.config import Config


@pytest.fixture
def strict(config: Config) -> Config:
    return replace(config, failures_per_account="3/10 seconds", failures_per_address="6/10 seconds", lock_after=0)


@pytest.fixture
def locking(config: Config) -> Config:
    loose = "1000/minute"
    return replace(config, failures_per_account=loose, failures_per_address=loose, lock_after=5)
