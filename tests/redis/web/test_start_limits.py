"""A member, and a group, may have so many threads started in a while."""

from __future__ import annotations

from dataclasses import replace

from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from tests.support.guessing import Caller
from tests.support.people import People


def start(caller: Caller, people: People, who: str, group: str = "acme", key: str = "") -> TestResponse:
    headers = people.bearer(who) | ({"Idempotency-Key": key} if key else {})
    return caller.http.post(f"/members/{who}/groups/{group}/samples/count", headers=headers)


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


def test_starts_without_a_limit_are_not_counted(config: Config, people: People, redis: Redis) -> None:
    caller = Caller(replace(config, starts_per_member="off"))
    assert start(caller, people, "manager").status_code == 202
    assert not redis.keys("ps:limit*")
