"""Dramatiq: its defaults, which acknowledge late, and results kept."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

_URL = os.environ.get("REDIS_URL", "unix:///")
_KEPT_MS = 24 * 3600 * 1000

broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL), store_results=True, result_ttl=_KEPT_MS))
dramatiq.set_broker(broker)


@dramatiq.actor  # type: ignore[untyped-decorator] # Dramatiq is not installed here
def nothing() -> None:
    """Do nothing."""


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        nothing.send()
