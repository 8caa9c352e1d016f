"""Who works: real workers, idle and busy, ended in order and lost."""

from __future__ import annotations

import signal
from pathlib import Path

from redis import Redis

from psthreads.domain.config import Config
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import worker


def test_a_worker_is_idle_then_busy_with_a_thread_then_lost(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    janitor = Janitor(redis, config, store)
    assert crew.look(redis, config) == crew.Crew((), (), 0)
    with worker(config) as program:
        (idle,) = wait_for(lambda: crew.look(redis, config).workers)
        assert (idle.is_busy, idle.thread_id, idle.is_late) == (False, "", False)
        assert idle.heartbeat_age < config.lost_after + 2
        thread = start(engine, "sleep", mark=str(tmp_path / "mark"))
        wait_for((tmp_path / "mark").exists)
        (busy,) = wait_for(lambda: [each for each in crew.look(redis, config).workers if each.is_busy])
        assert (busy.name, busy.is_busy, busy.thread_id) == (idle.name, True, thread.id)
        assert store.fetch(thread.id).worker == busy.name
        assert program.process is not None
        program.process.kill()

        def is_lost() -> bool:
            janitor.sweep()
            return bool(crew.look(redis, config).lost)

        wait_for(is_lost)
        seen = crew.look(redis, config)
        assert seen.total == 0
        assert [name for name, _ in seen.lost] == [idle.name]
        assert crew.count(redis, config.queue) == 0


def test_a_worker_that_only_stood_still_is_there_again(
    redis: Redis, engine: Engine, config: Config, store: ThreadStore
) -> None:
    janitor = Janitor(redis, config, store)
    with worker(config) as program:
        ended(store, start(engine, "count"))
        (before,) = wait_for(lambda: crew.look(redis, config).workers)
        assert program.process is not None
        program.process.send_signal(signal.SIGSTOP)

        def is_lost() -> bool:
            janitor.sweep()
            return bool(crew.look(redis, config).lost)

        wait_for(is_lost)
        program.process.send_signal(signal.SIGCONT)
        (after,) = wait_for(lambda: crew.look(redis, config).workers)
        assert (after.name, after.host, after.pid) == (before.name, before.host, before.pid)
        wait_for(lambda: not is_lost())
        assert crew.count(redis, config.queue) == 1


def test_a_worker_that_ends_in_order_is_not_lost(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config
) -> None:
    janitor = Janitor(redis, config, store)
    with worker(config) as program:
        ended(store, start(engine, "count"))
        assert program.process is not None
        program.process.terminate()
        assert program.process.wait(20) == 0
        janitor.sweep()
        assert crew.look(redis, config) == crew.Crew((), (), 0)


def test_what_was_lost_more_than_a_day_ago_is_forgotten(redis: Redis, config: Config) -> None:
    redis.zadd("ps:lost-workers", {"old": 1})
    redis.sadd(f"rq:workers:{config.queue}", "rq:worker:new")
    crew.forget_lost(redis, config.queue)
    assert [name for name, _ in crew.look(redis, config).lost] == ["new"]


def test_a_worker_that_has_run_many_threads_shows_the_one_that_it_runs(
    redis: Redis, engine: Engine, config: Config, store: ThreadStore, tmp_path: Path
) -> None:
    with worker(config):
        for thread in [start(engine, "count", to=1) for _ in range(30)]:
            ended(store, thread)
        (idle,) = wait_for(lambda: [each for each in crew.look(redis, config).workers if not each.is_busy])
        assert idle.thread_id == ""
        running = start(engine, "sleep", mark=str(tmp_path / "mark"))
        wait_for((tmp_path / "mark").exists)
        (busy,) = wait_for(lambda: [each for each in crew.look(redis, config).workers if each.is_busy])
        assert (busy.is_busy, busy.thread_id) == (True, running.id)
        assert redis.scard(f"rq:worker:{busy.name}:executions") == 1
        engine.cancel(running, by=BY)
        ended(store, running)
        wait_for(lambda: not crew.look(redis, config).workers[0].is_busy)
        assert crew.look(redis, config).workers[0].thread_id == ""
