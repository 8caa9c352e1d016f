"""The client of Redis: the check of a connection that waits in the pool, lost connections and errors."""

from __future__ import annotations

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from psthreads.database.connection import connect
from psthreads.domain.config import Config
from tests.support.waiting import wait_for


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


def test_a_command_survives_the_loss_of_its_connection_and_an_error_leaves_it_open(
    redis: Redis, config: Config
) -> None:
    with connect(config.redis_url, connections=1) as client:
        lost = client.client_id()
        redis.client_kill_filter(_id=str(lost))
        assert client.set("text", "a")
        number = client.client_id()
        assert number != lost
        with pytest.raises(ResponseError):
            client.lpop("text")
        assert (client.client_id(), client.get("text")) == (number, b"a")


def test_a_pool_lends_so_many_connections_and_hands_out_none_that_was_made_before_a_fork(config: Config) -> None:
    with connect(config.redis_url, connections=1, answer_seconds=0.1) as client:
        connection = client.connection_pool.get_connection()
        with pytest.raises(RedisConnectionError):
            client.ping()
        connection.pid -= 1  # of a parent
        client.connection_pool.release(connection)
        assert not connection.is_connected
        assert client.connection_pool.get_connection() is not connection


def test_a_pool_that_was_made_anew_takes_back_no_more_connections_than_it_has_places_for(config: Config) -> None:
    with connect(config.redis_url, connections=1) as client:
        connection = client.connection_pool.get_connection()
        client.connection_pool.reset()
        client.connection_pool.release(connection)
        assert client.ping()
