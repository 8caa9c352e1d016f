"""The check of a connection that waits in the pool: what it sees, and that gevent makes it no slower."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from psthreads.database.connection import connect
from psthreads.domain.config import Config
from tests.support.checkout import ROOT
from tests.support.waiting import wait_for

# Its own and redis-py's way, which gevent makes some ten times slower, on the same connection in turns.
TIMES = """
from gevent import monkey
monkey.patch_all()
import os, timeit
from psthreads.database.connection import connect

with connect(os.environ["REDIS_URL"]) as redis:
    redis.ping()
    connection = redis.connection_pool.get_connection()
    checks = (connection.can_read, lambda: super(type(connection), connection).can_read())
    times = [min(timeit.repeat(check, number=50, repeat=20)) for check in checks]
    print(times[0] < times[1] / 2)
"""


def test_a_connection_is_checked_for_what_its_server_has_sent_or_closed(redis: Redis, config: Config) -> None:
    with connect(config.redis_url, connections=1) as client:
        number = client.client_id()
        connection = client.connection_pool.get_connection()
        assert not connection.can_read()
        connection.send_command("PING")  # and nobody reads the answer
        wait_for(connection.can_read, 5)
        connection.read_response()
        assert not connection.can_read()
        redis.client_kill_filter(_id=str(number))
        with pytest.raises(RedisConnectionError):
            wait_for(connection.can_read, 5)
        client.connection_pool.release(connection)
        assert client.client_id() != number


def test_under_gevent_the_check_does_not_take_as_long_as_an_answer(config: Config) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": config.redis_url}
    done = subprocess.run(
        [sys.executable, "-c", TIMES], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stdout.strip() == "True", done.stderr
