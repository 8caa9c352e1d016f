"""The proxy that cuts one program from Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chaos.proxy import Proxy
from psthreads.domain.config import Config


@pytest.fixture
def proxy(config: Config) -> Iterator[Proxy]:
    with Proxy(config.redis_url) as proxy:
        yield proxy


@pytest.fixture
def cut_off(proxy: Proxy) -> Iterator[Redis]:
    """A client behind the proxy."""
    with Redis.from_url(proxy.url, socket_timeout=0.2, retry=None) as client:
        yield client


def test_what_a_cut_held_back_arrives_late(proxy: Proxy, cut_off: Redis, redis: Redis) -> None:
    assert cut_off.set("a", "before")
    proxy.cut()
    with pytest.raises(RedisTimeoutError):
        cut_off.set("a", "during")
    assert redis.get("a") == b"before"
    proxy.mend()
    assert cut_off.get("a") is not None


def test_requests_arrive_though_answers_do_not(proxy: Proxy, cut_off: Redis, redis: Redis) -> None:
    assert cut_off.ping()  # A new connection would wait for the answer to its greeting.
    proxy.cut_answers()
    with pytest.raises(RedisTimeoutError):
        cut_off.set("a", "during")
    assert redis.get("a") == b"during"


def test_closed_connections_can_be_made_again_once_it_is_mended(proxy: Proxy, cut_off: Redis) -> None:
    assert cut_off.ping()
    proxy.close()
    with pytest.raises(RedisConnectionError):
        cut_off.ping()
    with pytest.raises(RedisConnectionError):
        cut_off.ping()
    proxy.mend()
    assert cut_off.ping()
