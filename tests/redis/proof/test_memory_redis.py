"""The Redis in memory of the proof answers as a real server does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ResponseError

import psthreads
from proof.memory_redis import MemoryRedis
from proof.memory_values import RedisRefusal

RELAY = "return redis.call(unpack(ARGV))"


def flat(parts: Iterable[Iterable[str]]) -> list[str]:
    return [word for part in parts for word in part]


keys = st.sampled_from(("a", "b"))
words = st.sampled_from(("x", "y", "z", "10", "\xe9\x00"))
indexes = st.integers(-4, 4).map(str)
scores = st.sampled_from(("0", "1", "2", "2.5", "1000000000000", "-1"))
limits = st.one_of(scores, scores.map("({}".format), st.sampled_from(("-inf", "+inf")))
pairs = st.lists(st.tuples(scores, words), min_size=1, max_size=3).map(flat)
fields = st.lists(words, min_size=1, max_size=3)


def form(name: str, *parts: Any) -> st.SearchStrategy[list[str]]:
    """Return a strategy for a command whose arguments are these: texts, or strategies for a text or for several."""
    strategies = [st.just(part) if isinstance(part, str) else part for part in (name, *parts)]
    return st.tuples(*strategies).map(
        lambda values: [word for value in values for word in ([value] if isinstance(value, str) else value)]
    )


limit = st.one_of(st.just(()), st.tuples(st.just("LIMIT"), indexes.filter(str.isdigit), indexes.filter(str.isdigit)))
rev = st.sampled_from(([], ["REV"]))
with_scores = st.sampled_from(([], ["WITHSCORES"]))
by_score = st.tuples(limits, limits).map(list)

FORMS: dict[str, list[tuple[Any, ...]]] = {
    "GET": [(keys,)],
    "SET": [(keys, words, st.sampled_from(([], ["PX", "100000"])))],
    "INCR": [(keys,)],
    "EXISTS": [(st.lists(keys, min_size=1, max_size=2),)],
    "DEL": [(st.lists(keys, min_size=1, max_size=2),)],
    "EXPIRE": [(keys, st.sampled_from(("100", "0")))],
    "PEXPIRE": [(keys, st.sampled_from(("100000", "-1")))],
    "PERSIST": [(keys,)],
    "HGET": [(keys, words)],
    "HMGET": [(keys, fields)],
    "HGETALL": [(keys,)],
    "HSET": [(keys, st.lists(st.tuples(words, words), min_size=1, max_size=2).map(flat))],
    "HDEL": [(keys, fields)],
    "HINCRBY": [(keys, words, st.integers(-2, 2).map(str))],
    "RPUSH": [(keys, fields)],
    "LPUSH": [(keys, fields)],
    "LPOP": [(keys,), (keys, st.integers(1, 3).map(str))],
    "LINDEX": [(keys, indexes)],
    "LLEN": [(keys,)],
    "LRANGE": [(keys, indexes, indexes)],
    "LTRIM": [(keys, indexes, indexes)],
    "LREM": [(keys, "0", words)],
    "LPOS": [(keys, words), (keys, words, "MAXLEN", st.integers(0, 2).map(str))],
    "LMOVE": [(keys, keys, "LEFT", "RIGHT")],
    "SADD": [(keys, fields)],
    "SREM": [(keys, fields)],
    "SCARD": [(keys,)],
    "SISMEMBER": [(keys, words)],
    "SMEMBERS": [(keys,)],
    "SRANDMEMBER": [(keys, "9")],
    "ZADD": [(keys, pairs)],
    "ZREM": [(keys, fields)],
    "ZREMRANGEBYSCORE": [(keys, limits, limits)],
    "ZSCORE": [(keys, words)],
    "ZCARD": [(keys,)],
    "ZCOUNT": [(keys, limits, limits)],
    "ZREVRANK": [(keys, words)],
    "ZRANGE": [(keys, indexes, indexes, rev, with_scores), (keys, by_score, "BYSCORE", rev, limit, with_scores)],
}


def normal(name: str, answer: Any) -> Any:
    if isinstance(answer, list):
        answer = [normal("", each) for each in answer]
        if name == "HGETALL":
            return sorted(zip(answer[::2], answer[1::2], strict=True))
        return sorted(answer) if name in {"SMEMBERS", "SRANDMEMBER"} else answer
    return answer.encode("latin-1") if isinstance(answer, str) else answer


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of([form(name, *parts) for name, forms in FORMS.items() for parts in forms]), min_size=1, max_size=40
    )
)
def test_it_answers_as_a_server_does(redis: Redis, commands: list[list[str]]) -> None:
    redis.flushall()
    memory = MemoryRedis(0)
    for name, *args in commands:
        expected: Any
        try:
            expected = normal(name, redis.eval(RELAY, 0, name, *(word.encode("latin-1") for word in args)))
        except ResponseError as error:
            expected = error
        answer: Any
        try:
            answer = normal(name, memory.run(name, *args))
        except RedisRefusal as error:
            answer = error
        if isinstance(expected, ResponseError):
            assert isinstance(answer, RedisRefusal), (name, args, expected, answer)
        else:
            assert answer == expected, (name, args)
    assert {key.encode() for key in memory.values} == set(redis.keys())
    assert {key.encode() for key in memory.expiring} == {key for key in redis.scan_iter() if redis.pttl(key) > 0}


def test_it_knows_every_command_of_the_scripts_and_the_test_tries_each() -> None:
    package = Path(psthreads.__file__).parent
    used = {
        name
        for folder in ("threads", "audit", "database")
        for script in (package / folder / "lua").glob("*.lua")
        for name in re.findall(r"redis\.p?call\('(\w+)'", script.read_text())
    }
    commands = {name.removeprefix("_do_").upper() for name in vars(MemoryRedis) if name.startswith("_do_")}
    assert used <= commands
    assert commands - set(FORMS) == {"TIME", "XADD"}  # whose answers depend on the clock


def test_it_refuses_what_it_does_not_know() -> None:
    with pytest.raises(RedisRefusal, match="unknown command 'SPOP'"):
        MemoryRedis(0).run("SPOP", "a")
    with pytest.raises(RedisRefusal, match="not among the forms"):
        MemoryRedis(0).run("LREM", "a", "1", "x")
