"""REDIS_URL with Sentinels: real ones, over a real primary and its replica, through planned and forced failovers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from chaos.failover.replicated_redis import ReplicatedRedis
from psthreads.admin import doctor, settings_checks
from psthreads.authoring.plugins import load
from psthreads.database.connection import check_server, connect, translate_errors
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, Unavailable
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor

PASSWORD = "sentinels-password"


@pytest.fixture(scope="module")
def group() -> Iterator[ReplicatedRedis]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    with ReplicatedRedis(folder, "--appendfsync", "no", password=PASSWORD) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def redis(group: ReplicatedRedis) -> Iterator[Redis]:
    group.wait_until_whole()
    with connect(group.url, 4) as client:
        client.flushall()
        yield client


def writes(redis: Redis) -> bool:
    with suppress(RedisError):
        return bool(redis.set("ps:test", 1))
    return False


def port_of(redis: Redis) -> int:
    return int(redis.config_get("port")["port"])  # type: ignore[arg-type] # redis-py's types


def test_connections_follow_a_planned_failover_also_those_that_block(
    group: ReplicatedRedis, redis: Redis, config: Config
) -> None:
    config = replace(config, redis_url=group.url)
    before = group.primary()
    store = ThreadStore(redis, config)
    taken: list[str] = []

    def take() -> None:
        while not taken:
            with suppress(Unavailable):
                if entry := store.take(20):
                    taken.append(entry)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    messages: Any = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call] # redis-py's own
    messages.subscribe("ps:test")
    wait_for(lambda: before.ask("INFO", "clients")["blocked_clients"] == 1, 10)
    group.fail_over()
    wait_for(lambda: group.primary() is not before, 20)
    # The Sentinels do so, too, eight seconds later.
    before.ask("REPLICAOF", "127.0.0.1", group.primary().port)
    wait_for(lambda: writes(redis), 5)
    assert port_of(redis) == group.primary().port
    redis.rpush("rq:queue:psthreads", "x")
    wait_for(lambda: taken == ["x"], 5)
    before.ask("CLIENT", "KILL", "TYPE", "pubsub")  # As the Sentinels do, with those that wait for commands, too.

    def hears() -> bool:
        with suppress(RedisError):
            redis.publish("ps:test", "y")
            return bool(messages.get_message(timeout=0.2))
        return False

    wait_for(hears, 5)
    assert len(redis.connection_pool._connections) <= 4  # type: ignore[attr-defined]


def refusal_of(url: str) -> str:
    with connect(url) as client, pytest.raises(Unavailable) as refusal, translate_errors():
        client.ping()
    return refusal.value.message


def test_wrong_addresses_of_sentinels_are_told_apart(group: ReplicatedRedis) -> None:
    assert "give sentinel_password" in refusal_of(group.url.partition("?")[0])
    assert "check the name" in refusal_of(group.url.replace("/storm/", "/strom/"))


def test_a_sentinel_as_a_plain_redis_is_explained(group: ReplicatedRedis) -> None:
    host = group.url.partition("://")[2].partition(",")[0]
    with connect(f"redis://:{PASSWORD}@{host}") as client, pytest.raises(ConfigError, match="names a Sentinel as if"):
        check_server(client)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://h:1/main", ["without a password", "the Sentinel on h without", "can be read on the way"]),
        ("rediss+sentinel://u:p@h:1/main?sentinel_password=x", []),
        ("redis+sentinel://127.0.0.1:1,h:2/main?sentinel_password=x", ["without a password", "can be read on the way"]),
        ("redis+sentinel://127.0.0.1:1,localhost:2/main", []),
    ],
)
def test_the_doctor_reads_addresses_of_sentinels(config: Config, url: str, words: list[str]) -> None:
    problems = [str(each) for each in settings_checks.redis_url(replace(config, redis_url=url))]
    assert len(problems) == len(words)
    for word, problem in zip(words, problems, strict=True):
        assert word in problem


def test_a_thread_survives_the_death_of_the_primary_below_its_worker_and_commands_wait(
    group: ReplicatedRedis, redis: Redis, config: Config
) -> None:
    config = replace(config, redis_url=group.url, outage=30, lost_after=60)
    store = ThreadStore(redis, config)
    with supervisor(config):
        thread = start(Engine(redis, config, store, load(config.processes)), "count", to=30, pause=0.1)
        wait_for(lambda: store.fetch(thread.id).message.startswith("At "), 20)
        wait_for(lambda: redis.wait(1, 1000) == 1, 10)
        group.primary().kill()
        command = [sys.executable, "-m", "psthreads", "admin", "group", "list"]
        environment = {**os.environ, **config.to_env()}
        listed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
        assert listed.returncode == 0, listed.stderr
        assert not any("does not answer" in str(problem) for problem in doctor.examine(config))
        assert ended(store, thread).status is Status.COMPLETED
        assert store.fetch(thread.id).restarts == 0
