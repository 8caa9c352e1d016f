"""What a process's function returns, in a real worker: until the command line and the page show it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import ended, start
from tests.system.stack import worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=(*config.processes, "tests.support.output_processes"))


def test_a_value_is_the_threads_result_and_work_that_nothing_ran_is_a_failure(
    config: Config, engine: Engine, store: ThreadStore, redis: Redis
) -> None:
    with worker(config):
        threads = {
            kind: ended(store, start(engine, "returning", kind=kind))
            for kind in ("dict", "coroutine", "generator", "bytes", "large", "none")
        }
    value = threads["dict"]
    assert (value.status, value.message) == (Status.COMPLETED, "Worked")
    assert value.result == '{"words": 2, "<b>": ["é", null], "password": "[masked]"}'
    for kind in ("coroutine", "generator"):
        assert threads[kind].status is Status.FAILED
        assert threads[kind].message.startswith(f"The function returned a {kind}, which nothing runs")
    for kind, reason in (("bytes", "it is a bytes"), ("large", "it takes more than 65,536 bytes as JSON")):
        thread = threads[kind]
        assert (thread.status, thread.warnings, thread.has_result) == (Status.COMPLETED, 1, False)
        lines = [event.message for event in store.log(thread.id).events if event.level is Level.WARN]
        assert lines[0].startswith(f"What the function returned is not kept as the thread's result: {reason}")
    assert not threads["none"].has_result
    assert not any("never awaited" in event.message for event in store.log(threads["coroutine"].id).events)
