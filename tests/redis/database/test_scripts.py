"""The runner of Lua scripts, with a Redis that forgets them whenever it likes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.identity.throttles import Guess, Throttles
from psthreads.threads.store import ThreadStore


@pytest.fixture
def forgetful(redis: Redis, config: Config) -> Iterator[Redis]:
    """A Redis that is told to forget its scripts again and again, as fast as one connection can."""
    ended = threading.Event()

    def forget() -> None:
        with Redis.from_url(config.redis_url) as client:
            while not ended.is_set():
                client.script_flush()

    thread = threading.Thread(target=forget)
    thread.start()
    yield redis
    ended.set()
    thread.join()


def test_no_script_fails_while_redis_forgets_scripts(forgetful: Redis, config: Config) -> None:
    store, directory = ThreadStore(forgetful, config), Directory(forgetful)
    throttles = Throttles(forgetful, config)
    for _ in range(200):
        assert store.count("active") == 0
        assert directory.members() == ()
        throttles.admit_guess(Guess("jjones", "192.0.2.7"))
