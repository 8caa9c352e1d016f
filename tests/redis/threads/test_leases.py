"""The janitor goes by its own monotonic clock: whatever Redis's clock says, a renewed lease holds and no other does."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads import jobs
from psthreads.threads.janitor import Janitor
from psthreads.threads.records import Beat
from psthreads.threads.store import ThreadStore
from tests.support.threads import BY, new_thread
from tests.support.waiting import wait_for

HOURS = 2 * 3600 * 1000


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, heartbeat=0.1, lost_after=0.5)


@pytest.fixture
def janitor(redis: Redis, config: Config, store: ThreadStore) -> Janitor:
    return Janitor(redis, config, store)


def begin(redis: Redis, store: ThreadStore, *, restartable: bool = True) -> str:
    thread_id = store.create(new_thread(redis, restartable=restartable))
    assert store.claim(thread_id, "t", "w")
    return thread_id


def is_lost(janitor: Janitor, store: ThreadStore, thread_id: str) -> bool:
    janitor.sweep()
    return not store.fetch(thread_id).status.is_running


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_lost_thread_is_found_within_its_lease_whatever_became_of_the_clock(
    jump: int, redis: Redis, config: Config, store: ThreadStore, janitor: Janitor
) -> None:
    thread_id = begin(redis, store)
    redis.zincrby("ps:leases", jump, thread_id)
    since = time.monotonic()
    wait_for(lambda: is_lost(janitor, store, thread_id), 2 * config.lost_after)
    assert time.monotonic() - since > 0.7 * config.lost_after


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_lease_that_is_renewed_holds_whatever_became_of_the_clock(
    jump: int, redis: Redis, config: Config, store: ThreadStore, janitor: Janitor
) -> None:
    thread_id = begin(redis, store)
    until = time.monotonic() + 3 * config.lost_after

    def is_over() -> bool:
        store.beat(thread_id, "t")
        redis.zincrby("ps:leases", jump, thread_id)
        assert not is_lost(janitor, store, thread_id)
        return time.monotonic() > until

    wait_for(is_over)


def test_a_new_leader_observes_for_itself(redis: Redis, config: Config, store: ThreadStore, janitor: Janitor) -> None:
    thread_id = begin(redis, store)
    janitor.sweep()
    since = time.monotonic()
    wait_for(lambda: time.monotonic() - since > config.lost_after)
    redis.delete("ps:janitor")
    other = Janitor(redis, config, store)
    assert not is_lost(other, store, thread_id)
    assert not is_lost(janitor, store, thread_id), "it does not lead any more"
    assert wait_for(lambda: is_lost(other, store, thread_id), 2 * config.lost_after)


def test_one_that_observed_beside_the_leader_takes_over_in_time(
    redis: Redis, config: Config, store: ThreadStore, janitor: Janitor
) -> None:
    thread_id, other = begin(redis, store), Janitor(redis, config, store)
    janitor.sweep()
    other.sweep()
    since = time.monotonic()
    wait_for(lambda: time.monotonic() - since > 0.9 * config.lost_after)
    assert is_lost(other, store, thread_id), "the lock of the leader that died has run out by now"


def test_only_what_cannot_run_twice_may_be_silent_for_longer(redis: Redis, config: Config) -> None:
    store = ThreadStore(redis, replace(config, outage=20))
    claims = {
        (restartable, exclusive): store.claim(
            store.create(new_thread(redis, group=None, restartable=restartable, exclusive=exclusive)), "t", "w"
        )
        for restartable in (False, True)
        for exclusive in (False, True)
    }
    leases = {kind: claim and claim.lease for kind, claim in claims.items()}
    assert leases == {(False, False): 40, (True, False): 0.5, (False, True): 0.5, (True, True): 0.5}


def test_a_thread_with_a_long_lease_is_not_called_lost_before_it_has_run_out(redis: Redis, config: Config) -> None:
    config = replace(config, outage=0.5)
    store = ThreadStore(redis, config)
    thread_id, since = begin(redis, store, restartable=False), time.monotonic()
    janitor = Janitor(redis, config, store)
    wait_for(lambda: is_lost(janitor, store, thread_id))
    assert 0.7 < time.monotonic() - since < 2
    assert store.fetch(thread_id).status is Status.FAILED


def test_a_thread_that_an_older_version_claimed_has_a_lease_too(
    redis: Redis, config: Config, store: ThreadStore, janitor: Janitor
) -> None:
    thread_id = begin(redis, store)
    key, field = store.location(thread_id)
    meta = redis.hget(key, field)
    assert isinstance(meta, bytes)
    redis.hset(key, field, meta.replace(b'"lease":500,', b"").replace(b',"lease":500', b""))
    assert wait_for(lambda: is_lost(janitor, store, thread_id), 2 * config.lost_after)


def test_one_request_renews_what_several_workers_run_and_leaves_out_who_has_to_be_told_something(
    redis: Redis, config: Config, store: ThreadStore
) -> None:
    ids = {name: begin(redis, store) for name in ("owned", "cancelling", "lost", "unknown")}
    store.cancel(ids["cancelling"], BY)
    for name in ("owned", "cancelling", "lost", "idle"):
        redis.hset(jobs.worker_key(name), "state", "started")
    running = [Beat(name, thread_id, "other" if name == "lost" else "t") for name, thread_id in ids.items()]
    redis.zadd("ps:leases", dict.fromkeys(ids.values(), 1))
    assert store.beat_all([*running, Beat("idle")], 7) == (True, False, False, False, True)
    scores = {name: redis.zscore("ps:leases", thread_id) for name, thread_id in ids.items()}
    assert scores["owned"] != 1
    assert {scores[name] for name in ("cancelling", "lost", "unknown")} == {1}
    assert redis.hgetall(jobs.worker_key("unknown")) == {}
    for name, state, executions in (("owned", jobs.BUSY, {f"{ids['owned']}:t".encode()}), ("idle", jobs.IDLE, set())):
        key = jobs.worker_key(name)
        assert redis.hget(key, "state") == state.encode()
        assert 0 < redis.ttl(key) <= 7
        assert redis.smembers(jobs.executions_key(key)) == executions
    for name in ("cancelling", "lost"):
        assert redis.ttl(jobs.worker_key(name)) == -1
