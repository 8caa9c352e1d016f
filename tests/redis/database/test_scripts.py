"""The runner of Lua scripts, with a Redis that forgets them whenever it likes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.identity.throttles import Guess, Throttles
from psthreads.threads.scripts import ThreadScripts
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


def test_a_script_has_only_what_it_uses_of_the_preludes(redis: Redis, config: Config) -> None:
    texts = {name: script.script for name, script in ThreadScripts(redis, config)._scripts.items()}
    assert len(texts["lead"]) < 500
    assert all(name in texts["start"] for name in ("write_audit", "local function audit", "local function clock"))
    assert "write_audit" not in texts["finish"]
    assert "local function promote" not in texts["report"]
    for text in texts.values():
        redis.script_load(text)  # It compiles.
