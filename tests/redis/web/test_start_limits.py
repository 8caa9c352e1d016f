"""A member, and a group, may have so many threads started in a while."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.identity.start_limits import StartLimit
from psthreads.threads.store import ThreadStore
from tests.support.guessing import Caller
from tests.support.people import People
from tests.support.threads import new_thread


def start(
    caller: Caller, people: People, who: str, group: str = "acme", key: str = "", process: str = "samples/count"
) -> TestResponse:
    headers = people.bearer(who) | ({"Idempotency-Key": key} if key else {})
    return caller.http.post(f"/members/{who}/groups/{group}/{process}", headers=headers)


def test_a_member_may_start_so_many_threads(config: Config, people: People) -> None:
    caller = Caller(replace(config, starts_per_member="3/hour"))
    assert [start(caller, people, "manager").status_code for _ in range(4)] == [202, 202, 202, 429]
    refused = start(caller, people, "manager")
    assert "Member 'manager' has started" in refused.text
    assert 3_500 < int(refused.headers["Retry-After"]) <= 3_601
    assert start(caller, people, "contributor").status_code == 202


def test_a_group_may_have_so_many_threads_started(config: Config, people: People) -> None:
    caller = Caller(replace(config, starts_per_group="3/hour", starts_per_member="5/hour"))
    statuses = [start(caller, people, who).status_code for who in ("manager", "manager", "contributor", "contributor")]
    assert statuses == [202, 202, 202, 429]
    assert "in group 'acme'" in start(caller, people, "contributor").text
    assert start(caller, people, "outsider", "other").status_code == 202
    # What the group's limit refused did not use the member's up.
    people.directory.by(SETUP).set_membership(people.members["manager"], people.other, Role.MANAGER)
    assert [start(caller, people, "manager", "other").status_code for _ in range(2)] == [202, 202]


def test_a_repeat_with_the_same_key_is_no_other_start(config: Config, people: People) -> None:
    caller = Caller(replace(config, starts_per_member="1/hour"))
    first = start(caller, people, "manager", key="k")
    assert first.status_code == 202
    assert [start(caller, people, "manager", key="k").data for _ in range(3)] == [first.data] * 3
    assert start(caller, people, "manager", key="other").status_code == 429


def test_a_refused_start_leaves_nothing_and_its_key_can_be_used_later(
    config: Config, people: People, redis: Redis
) -> None:
    caller = Caller(replace(config, starts_per_member="1/hour"))
    assert start(caller, people, "manager").status_code == 202
    before = set(redis.keys())
    assert start(caller, people, "manager", key="k").status_code == 429
    assert set(redis.keys()) == before
    redis.delete(*redis.keys("ps:limit:*"))
    assert start(caller, people, "manager", key="k").status_code == 202


def test_a_start_that_is_sent_twice_counts_once(redis: Redis, store: ThreadStore) -> None:
    limit = StartLimit("ps:limit:starts/1", 5, 60_000, "jjones", "Too many")
    new = replace(new_thread(redis), limits=[limit])
    for _ in range(2):  # The first answer was lost.
        assert store.create(new) == new.id
    assert redis.llen(limit.key) == 1


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_a_start_counts_once_with_checks_too_and_also_where_they_refuse_it(
    config: Config, people: People, redis: Redis, path: str
) -> None:
    caller = Caller(replace(config, starts_per_member="5/minute", starts_per_group="5/minute"))
    answer = start(caller, people, "manager", process=f"validate?path={path}")
    assert answer.status_code == (404 if path else 202)
    keys = redis.keys("ps:limit:*")
    assert [redis.llen(key) for key in keys] == [1, 1]
    assert all(50 < redis.ttl(key) <= 60 for key in keys)


def test_of_the_starts_only_the_latest_are_kept(config: Config, people: People, redis: Redis) -> None:
    caller = Caller(replace(config, starts_per_member="2/second"))
    statuses: list[int] = []
    while statuses.count(202) < 5:
        statuses.append(start(caller, people, "manager").status_code)
    assert redis.llen(redis.keys("ps:limit:*")[0]) <= 2


def test_starts_without_a_limit_are_not_counted(config: Config, people: People, redis: Redis) -> None:
    caller = Caller(replace(config, starts_per_member="off"))
    assert start(caller, people, "manager").status_code == 202
    assert not redis.keys("ps:limit*")
