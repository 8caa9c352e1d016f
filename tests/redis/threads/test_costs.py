"""What a thread costs Redis: round trips, commands, and bytes for as long as it is kept."""

from __future__ import annotations

import json

from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from bench.threads import loops
from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Report, Status
from psthreads.threads import records
from psthreads.threads.store import ThreadStore
from tests.support.threads import new_thread

DONE = Outcome(Status.COMPLETED, "Done")


def test_a_thread_takes_three_round_trips_and_few_commands(redis: Redis, config: Config) -> None:
    figures = loops.cost(redis, config, 60)
    assert figures["thread_trips"] == 3
    assert figures["start_commands"] <= 29
    assert figures["thread_commands"] <= 84


def test_a_kept_thread_takes_less_than_two_kilobytes(redis: Redis, config: Config) -> None:
    assert loops.kept_bytes(redis, config, 200) <= 2_000


def test_what_has_ended_keeps_what_is_read_of_it_and_nothing_else(redis: Redis, store: ThreadStore) -> None:
    thread_id = store.create(new_thread(redis, restartable=True))
    assert store.claim(thread_id, "t", "w")
    store.report(thread_id, "t", Report(1, message="Now", xml="<a/>", rates='{"a": 1}'))
    running = store.fetch(thread_id)
    store.finish(thread_id, "t", DONE)
    ended = store.fetch(thread_id)
    assert (ended.xml, ended.created, ended.started) == ("<a/>", running.created, running.started)
    assert ended.heard == ended.ended >= running.heard
    assert (ended.worker, ended.rev, ended.group_name) == ("w", running.rev + 1, "acme")
    assert store.values(thread_id) == {}
    assert set(redis.hkeys(f"rq:job:{thread_id}")) == {b"data", b"meta", b"status"}
    meta = json.loads(redis.hget(f"rq:job:{thread_id}", "meta") or b"")
    assert not {*meta} & {*records.ACTIVE_ONLY, "warnings", "log_tail"}
    assert Job.fetch(thread_id, redis, JSONSerializer).get_status() is JobStatus.FINISHED


def test_records_of_the_release_before_have_all_fields_and_go_on(redis: Redis, store: ThreadStore) -> None:
    thread_id = store.create(new_thread(redis))
    key = f"rq:job:{thread_id}"
    meta = json.loads(redis.hget(key, "meta") or b"")
    redis.hset(key, "meta", json.dumps({**records.DEFAULTS, "restartable": False, "exclusive": False, **meta}))
    before = store.fetch(thread_id)
    assert store.claim(thread_id, "t", "w")
    store.finish(thread_id, "t", DONE)
    ended = store.fetch(thread_id)
    assert (ended.status, ended.is_damaged, ended.rev) == (Status.COMPLETED, False, before.rev + 2)
    assert store.page("finished").total == store.page(Status.COMPLETED).total == 1
