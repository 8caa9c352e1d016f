"""Records and jobs that somebody has changed in Redis: a worker runs nothing of them, and goes on.

`tests/system/worker/test_worker.py` has the jobs that name other functions, more arguments, or are pickled.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import ACME, ended, new_thread, start
from tests.system.stack import worker

SECRET = "what-is-outside-of-every-group"


def forge(redis: Redis, thread_id: str, **changed: Any) -> None:
    key = f"rq:job:{thread_id}"
    meta = json.loads(redis.hget(key, "meta") or b"{}")
    redis.hset(key, "meta", json.dumps(meta | changed))


@pytest.mark.parametrize("changed", [{"groupid": "../.."}, {"memberid": "../../.."}, {"groupid": 1.5}])
def test_a_group_or_member_that_is_no_number_names_no_folder(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, changed: dict[str, Any]
) -> None:
    config.documents.mkdir(parents=True)
    (config.documents.parent / "secret.xml").write_text(SECRET)
    forged = start(engine, "validate", ACME)
    forge(redis, forged.id, **changed)
    fine = start(engine, "count")
    with worker(config):
        assert ended(store, fine).status is Status.COMPLETED
        done = ended(store, forged)
    assert done.status is Status.FAILED
    assert done.message == "Not run: its record could not be read"
    assert not any("secret" in event.message for event in store.log(forged.id).events)


@pytest.mark.parametrize(
    "values",
    [{"to": "many"}, {"to": [1]}, {"to": {"a": 1}}, {"to": None}, {"to": True}, {"mark": 5}],
)
def test_values_that_no_request_could_have_had_are_refused(
    redis: Redis, store: ThreadStore, config: Config, values: dict[str, Any]
) -> None:
    new = new_thread(redis)
    fields = {**new.fields, "data": zlib.compress(json.dumps(["count", None, [], values]).encode())}
    thread_id = store.create(replace(new, fields=fields))
    with worker(config):
        done = ended(store, store.fetch(thread_id))
    assert (done.status, done.message) == (Status.FAILED, "The job's data does not fit the process 'count'")


@pytest.mark.parametrize("data", [[["count"], None, [], {}], ["count", None, [], 5], [{"a": 1}, None, [], [1]], [], 5])
def test_job_data_of_another_form_is_refused(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, data: Any
) -> None:
    new = new_thread(redis)
    fields = {**new.fields, "data": zlib.compress(json.dumps(data).encode())}
    thread_id = store.create(replace(new, fields=fields))
    fine = start(engine, "count")
    with worker(config):
        done = ended(store, store.fetch(thread_id), 5)
        assert done.status is Status.FAILED
        assert "data" in done.message or done.message == "This worker knows no process named ''"
        assert ended(store, fine).status is Status.COMPLETED


def test_callbacks_and_webhooks_of_a_job_are_never_followed(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    thread = start(engine, "count")
    redis.hset(
        f"rq:job:{thread.id}",
        mapping={
            "success_callback_name": "os.getcwd",
            "failure_callback_name": "os.getcwd",
            "stopped_callback_name": "os.getcwd",
            "dependency_ids": json.dumps(["0" * 32]),
            "timeout": "1",
        },
    )
    with worker(config):
        assert ended(store, thread).status is Status.COMPLETED
