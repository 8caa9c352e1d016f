"""No secret gets into the record of a thread, its log or the audit, whoever wrote the text."""

from __future__ import annotations

from dataclasses import replace

from redis import Redis

from psthreads.audit.entries import KEY, Origin
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.store import ThreadStore
from tests.support.threads import new_thread

SECRETS = "password=hunter2, card 4711"


def everything(redis: Redis) -> str:
    """Return all that Redis stores, apart from the parameters: a worker needs them as they are."""
    values: list[object] = [redis.xrange(KEY)]
    for key in redis.keys("*"):
        if redis.type(key) == b"hash":
            values.append({name: value for name, value in redis.hgetall(key).items() if name != b"data"})
        elif redis.type(key) == b"list":
            values.append(redis.lrange(key, 0, -1))
    return str(values)


def test_titles_reports_reasons_and_endings_are_masked(redis: Redis, config: Config) -> None:
    store = ThreadStore(redis, replace(config, mask=(r"card\s(\d{4})",)))
    by = Origin("jjones", 2, "192.0.2.1", SECRETS)
    for ending in ("finish", "abandon", "cancel"):
        thread_id = store.create(replace(new_thread(redis), name=SECRETS, by=by))
        store.claim(thread_id, "token", "worker")
        store.report(thread_id, "token", Report(1, message=SECRETS, lines=(Line(1, Level.INFO, SECRETS, SECRETS),)))
        if ending == "finish":
            store.finish(thread_id, "token", Outcome(Status.FAILED, SECRETS), SECRETS)
        elif ending == "abandon":
            store.abandon(thread_id, SECRETS, "token")
        else:
            store.cancel(thread_id, by)
            store.finish(thread_id, "token", Outcome(Status.FAILED, SECRETS), SECRETS)
            store.delete(thread_id, by)
        assert ending == "cancel" or "[masked]" in store.fetch(thread_id).message
    stored = everything(redis)
    assert "[masked]" in stored
    assert "hunter2" not in stored
    assert "4711" not in stored
