"""What tests of threads in Redis share."""

from __future__ import annotations

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.search import ThreadSearch


@pytest.fixture
def search(redis: Redis, config: Config) -> ThreadSearch:
    return ThreadSearch(ThreadScripts(redis, config))
