"""What we rely on in RQ: where one of these fails, RQ has changed, and `jobs.py` or `rq_adapter.py` must follow."""

from __future__ import annotations

import inspect
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis
from rq import Queue, Worker, command, worker_registration
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Status
from psthreads.threads import crew, jobs
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.worker.rq_adapter import RQWorker
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor, worker

# Overridden: RQ must go on calling them, so.
WORKER_OVERRIDDEN = {
    "handle_payload": "message",
}
JOB_OVERRIDDEN = {
    "__init__": "id=..., connection=..., serializer=...",
    "send_webhooks": "status, exc_string=...",
    "save_meta": "",
    "to_dict": "include_meta=..., include_result=...",
}
WORKER_CALLED = {
    "bootstrap": "logging_level=..., date_format=..., log_format=...",
    "teardown": "",
    "serialize": "",
}
# What is called with a few of its parameters, by their names.
CALLED_BY_NAME: dict[Callable[..., Any], tuple[str, ...]] = {
    Worker.__init__: (
        *("queues", "connection", "job_class", "serializer", "worker_ttl", "job_monitoring_interval"),
        "log_job_description",
    ),
    Queue.__init__: ("name", "connection", "job_class", "serializer"),
    Job.create: ("func", "kwargs", "id", "connection", "description", "origin", "timeout", "status"),
    Job.key_for: ("job_id",),
    command.send_command: ("connection", "worker_name", "command"),
    command.parse_payload: ("payload",),
    worker_registration.register: ("worker", "pipeline"),
}
PROPERTIES = {
    Worker: ("executions_key", "key"),
    Job: ("func", "func_name", "instance", "args", "kwargs", "success_callback", "failure_callback"),
}


def takes(function: Callable[..., Any]) -> str:
    """The names of the parameters, each with a mark where it has a default."""
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name not in {"self", "cls"}]
    return ", ".join(each.name + ("" if each.default is each.empty else "=...") for each in parameters)


def fail(sentence: str) -> None:
    pytest.fail(sentence, pytrace=False)


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        *((Worker, *each) for each in {**WORKER_OVERRIDDEN, **WORKER_CALLED}.items()),
        *((Job, *each) for each in JOB_OVERRIDDEN.items()),
    ],
)
def test_a_method_takes_what_we_rely_on(owner: type, name: str, expected: str) -> None:
    method = getattr(owner, name, None)
    if method is None:
        fail(f"RQ's {owner.__name__} has no method {name} any more.")
    elif takes(method) != expected:
        fail(f"RQ's {owner.__name__}.{name} takes ({takes(method)}) where we rely on ({expected}).")


@pytest.mark.parametrize(("ours", "names"), [(RQWorker, WORKER_OVERRIDDEN), (jobs.ThreadJob, JOB_OVERRIDDEN)])
def test_ours_override_all_of_these_and_take_the_same(ours: type, names: dict[str, str]) -> None:
    assert {name: takes(vars(ours)[name]) for name in names} == names


@pytest.mark.parametrize(("function", "names"), CALLED_BY_NAME.items())
def test_a_function_knows_the_parameters_that_we_give_it(function: Callable[..., Any], names: tuple[str, ...]) -> None:
    if missing := set(names) - set(inspect.signature(function).parameters):
        fail(f"RQ's {function.__qualname__} has no parameter {', '.join(sorted(missing))} any more.")


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in PROPERTIES.items() for name in names])
def test_what_is_read_as_a_property_is_one(owner: type, name: str) -> None:
    if not isinstance(getattr(owner, name, None), property):
        fail(f"RQ's {owner.__name__}.{name} is no property any more.")


def test_rq_reads_the_status_that_the_scripts_write(redis: Redis, engine: Engine, store: ThreadStore) -> None:
    def status() -> JobStatus:
        return Job.fetch(thread.id, redis, JSONSerializer).get_status()

    thread = start(engine, "count")
    assert status() is JobStatus.QUEUED
    assert store.claim(thread.id, "token", "worker")
    assert status() is JobStatus.STARTED
    store.finish(thread.id, "token", Outcome(Status.COMPLETED, "Done"))
    assert status() is JobStatus.FINISHED
    thread = start(engine, "count")
    engine.cancel(thread, by=BY)
    assert status() is JobStatus.CANCELED


def keys_of(redis: Redis) -> set[str]:
    return {key.decode() for key in redis.scan_iter("rq:*")}


def test_rq_writes_the_keys_that_we_rely_on(redis: Redis) -> None:
    names = jobs.key_names("contract")
    queue = Queue("contract", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue("builtins.print", kwargs={"a": 1})
    expected = {names["QUEUES"], names["QUEUE"], jobs.key(job.id), names["JOB"] + job.id}
    if keys_of(redis) != expected:
        fail(f"RQ's enqueue writes {sorted(keys_of(redis))} where we rely on {sorted(expected)}.")
    assert redis.lrange(names["QUEUE"], 0, -1) == [job.id.encode()]
    assert redis.smembers(names["QUEUES"]) == {names["QUEUE"].encode()}
    fields = cast("dict[bytes, bytes]", redis.hgetall(jobs.key(job.id)))

    someone = Worker([queue], connection=redis, serializer=JSONSerializer)
    someone.register_birth()  # type: ignore[no-untyped-call] # RQ's own
    keys = keys_of(redis)
    result = Queue.dequeue_any([queue], 1, redis, serializer=JSONSerializer)
    assert result is not None
    if keys_of(redis) - keys != {names["TAKEN"]}:
        fail(f"RQ's dequeue_any writes {sorted(keys_of(redis) - keys)} where we rely on {names['TAKEN']}.")
    assert redis.lrange(names["TAKEN"], 0, -1) == [job.id.encode()]

    keys = keys_of(redis)
    execution = someone.prepare_execution(result[0])
    both = f"{job.id}:{execution.id}"
    executions = jobs.executions_key(someone.key)
    expected = {names["STARTED"], executions}
    if not expected <= keys_of(redis) - keys:
        fail(f"RQ's prepare_execution writes {sorted(keys_of(redis) - keys)} where we rely on {sorted(expected)}.")
    assert redis.zrange(names["STARTED"], 0, -1) == [both.encode()]
    assert redis.smembers(executions) == {both.encode()}
    key = someone.key.encode()
    assert redis.smembers(jobs.WORKERS) == redis.smembers(jobs.workers_key("contract")) == {key}
    assert redis.hget(key, "state") == jobs.BUSY.encode() == WorkerStatus.BUSY.value.encode()
    assert {field.encode() for field in jobs.WORKER_FIELDS} - set(redis.hkeys(key)) == {jobs.TROUBLE.encode()}
    assert key.decode() == jobs.worker_key(someone.name)

    ours = jobs.fields(process="builtins.print", values={"a": 1}, title="A", queue="contract")
    assert jobs.values(fields[b"data"]) == jobs.values(ours["data"]) == {"a": 1}
    if missing := {field.decode() for field, value in fields.items() if value} - set(ours):
        fail(f"RQ's enqueue writes the fields {', '.join(sorted(missing))} of a job, and we do not.")


def test_fifty_threads_leave_nothing_of_rqs_behind_but_their_records(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    hows = ("warn", "error", "raise", "kill", "os-exit")
    with supervisor(replace(config, workers=2)) as program:
        threads = [start(engine, "count", to=1) for _ in range(24)]
        threads += [start(engine, "end", how=hows[number % len(hows)]) for number in range(20)]
        threads += [start(engine, "sleep", mark=str(tmp_path / f"mark{number}")) for number in range(6)]
        engine.cancel(threads[0], by=BY)
        for number, thread in enumerate(threads):
            if number >= 44:
                engine.cancel(thread, by=BY)
            ended(store, thread)
        # A thread that was cancelled in the queue is taken from it by a worker.
        wait_for(lambda: not redis.exists("rq:queue:psthreads", "rq:queue:psthreads:intermediate"))
        os.kill(program.pid, signal.SIGTERM)
        assert program.process is not None
        assert program.process.wait(20) == 0
    records = {jobs.key(thread.id) for thread in threads}
    remaining = {key: redis.ttl(key) for key in keys_of(redis) - records}
    assert remaining.pop("rq:queues") == -1
    # A worker's record outlives it by a minute.
    short = re.compile(r"rq:worker:[0-9a-f]{32}")
    assert [key for key, ttl in remaining.items() if not short.fullmatch(key) or not 0 < ttl <= 62] == []
    assert len(remaining) <= 2
    assert redis.smembers(jobs.WORKERS) == set()


def test_a_worker_that_is_killed_leaves_only_what_expires(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    with worker(config) as program:
        thread = start(engine, "sleep", mark=str(tmp_path / "mark"))
        wait_for((tmp_path / "mark").exists)
        os.kill(program.pid, signal.SIGKILL)
    janitor = Janitor(redis, config, store)
    wait_for(lambda: (janitor.sweep(), store.fetch(thread.id).status.is_final)[1])
    wait_for(lambda: (janitor.sweep(), crew.look(redis, config).lost)[1])
    remaining = {key: redis.ttl(key) for key in keys_of(redis)}
    assert {key for key, ttl in remaining.items() if ttl == -1} == {"rq:queues"}
    assert redis.smembers(jobs.WORKERS) == set()


def test_an_execution_that_no_thread_knows_is_forgotten(redis: Redis, config: Config) -> None:
    # A worker that died after it had noted the execution, and before it had claimed the thread.
    started = jobs.key_names(config.queue)["STARTED"]
    redis.zadd(started, {"old:one": time.time() - 3_700, "new:one": time.time() + 60})
    crew.forget_lost(redis, config.queue)
    assert redis.zrange(started, 0, -1) == [b"new:one"]
