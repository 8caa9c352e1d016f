"""The settings that are the same for all processes, whatever the environments say."""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from psthreads.admin import redis_checks
from psthreads.admin.problems import Severity
from psthreads.database.scripts import literal
from psthreads.database.shared_settings import NAMES, SharedSettings, differences
from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Status
from psthreads.local.programs import SUPERVISOR
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.threads import ACME, new_thread
from tests.support.waiting import wait_for
from tests.system.stack import Program, web

SLOTS = f"ps:slots:{ACME.id}"
PROCESSES = "ps:settings:processes"


def process(redis: Redis, name: str, **environment: str) -> SharedSettings:
    """A running process with these settings in its environment."""
    settings = SharedSettings(
        redis, Config.from_env({f"PSTHREADS_{key}": value for key, value in environment.items()}), name
    )
    settings.agree()
    return settings


def in_force(redis: Redis, name: str = "group_threads") -> str:
    value = redis.hget("ps:settings", name)
    assert isinstance(value, bytes)
    return value.decode()


def test_what_one_process_is_set_to_is_in_force_for_all(redis: Redis, store: ThreadStore) -> None:
    process(redis, "workers")
    assert not redis.exists("ps:settings"), "a default that nobody names is not written down"
    process(redis, "web", GROUP_THREADS="1")
    assert in_force(redis) == "1"
    for _ in range(2):
        store.create(new_thread(redis))  # This process would start four.
    assert redis.llen("rq:queue:psthreads") == 1


def test_without_any_running_process_each_has_its_own(redis: Redis, config: Config) -> None:
    store = ThreadStore(redis, replace(config, group_threads=2))
    for _ in range(4):
        store.create(new_thread(redis))
    assert redis.llen("rq:queue:psthreads") == 2
    assert not redis.exists("ps:settings")


def test_as_long_as_two_processes_differ_the_value_that_was_in_force_stays_and_the_other_is_named(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = process(redis, "web", GROUP_THREADS="1"), process(redis, "workers", GROUP_THREADS="4")
    for each in (first, second, second):
        each.agree()
    assert in_force(redis) == "1"
    (line,) = caplog.messages
    assert line.startswith("PSTHREADS_GROUP_THREADS is 4 for workers ")
    assert ", but 1 is in force because web " in line
    assert "restart those that have another" in line
    caplog.clear()
    first.withdraw()
    second.agree()
    assert in_force(redis) == "4"
    assert caplog.messages == ["PSTHREADS_GROUP_THREADS=4 is in force now."]


def test_a_rolling_deploy_changes_a_setting_once_the_last_process_has_it(redis: Redis) -> None:
    old = [process(redis, "web", RETENTION="100"), process(redis, "workers", RETENTION="100")]
    new = []
    for each in old:
        assert in_force(redis, "retention") == "100"
        each.withdraw()
        new.append(process(redis, "new", RETENTION="200.5"))
    assert in_force(redis, "retention") == "200.5"
    for each in new:
        each.withdraw()


def test_a_default_never_takes_the_place_of_a_value_that_was_agreed_on(redis: Redis) -> None:
    holder, other = process(redis, "web", RETENTION="31536000"), process(redis, "workers")
    holder.withdraw()
    other.agree()
    assert in_force(redis, "retention") == "31536000", "threads would be removed for good while the web restarts"
    process(redis, "web", RETENTION="2592000")
    assert in_force(redis, "retention") == "2592000", "by its name, the default counts as any other value"


def test_a_process_that_was_killed_counts_for_a_few_seconds_only(redis: Redis) -> None:
    process(redis, "web", RESTARTS="1")
    (record,) = cast("list[bytes]", redis.zrange(PROCESSES, 0, -1))
    alive = process(redis, "web", RESTARTS="2")
    assert in_force(redis, "restarts") == "1"
    assert 0 < redis.pttl(PROCESSES) <= 10_000
    redis.zadd(PROCESSES, {record: 1})
    alive.agree()
    assert in_force(redis, "restarts") == "2"


def test_the_doctor_names_each_difference_and_what_to_do(redis: Redis, config: Config) -> None:
    process(redis, "web", LOCK_AFTER="5")
    assert list(redis_checks.settings(redis, config)) == []
    process(redis, "workers", LOCK_AFTER="6", GROUP_CHANGES="2")
    here = replace(config, group_changes=3, explicit=frozenset({"group_changes"}))
    environment, workers = sorted(redis_checks.settings(redis, here), key=str)
    assert environment.what.startswith("PSTHREADS_GROUP_CHANGES is 3 for this environment, but 2 is in force because")
    assert workers.what.startswith("PSTHREADS_LOCK_AFTER is 6 for workers ")
    assert workers.severity is Severity.WARNING
    assert "restart" in workers.remedy
    assert len(differences(redis, here)) == 2


def test_a_groups_share_that_is_lowered_and_raised_under_way_leaves_no_slot_over(
    redis: Redis, config: Config, store: ThreadStore
) -> None:
    janitor = Janitor(redis, config, store)
    settings = process(redis, "web", GROUP_THREADS="4")
    ids = [store.create(new_thread(redis, exclusive=number % 3 == 0)) for number in range(20)]
    running: list[str] = []

    def run() -> int:
        """Claim and begin all that the queue has; returns how many run now."""
        while (thread := redis.lpop("rq:queue:psthreads")) is not None:
            assert isinstance(thread, bytes)
            assert store.claim(thread.decode(), "t", "w")
            running.append(thread.decode())
        return len(running)

    def finish() -> None:
        assert store.finish(running.pop(0), "t", Outcome(Status.COMPLETED, "Done")) is Status.COMPLETED
        assert redis.scard(SLOTS) == len(running) + redis.llen("rq:queue:psthreads")

    def change(share: str) -> None:
        nonlocal settings
        settings.withdraw()
        settings = process(redis, "web", GROUP_THREADS=share)
        janitor.sweep()

    assert run() == 4
    change("1")
    for left in (3, 2, 1):
        finish()
        assert run() == left, "a thread began although more than the share ran"
    finish()
    assert run() == 1
    change("3")
    assert run() == 3, "the threads that wait have to begin without another's end"
    while running:
        finish()
        assert run() <= 3
    assert {store.fetch(each).status for each in ids} == {Status.COMPLETED}
    assert not redis.exists(SLOTS, f"{SLOTS}:changes", "ps:waiting", f"ps:waiting:{ACME.id}", "ps:queued")
    janitor.stop()


def test_a_worker_that_beats_slowly_keeps_its_lease_between_two_beats(redis: Redis, config: Config) -> None:
    process(redis, "web", LOST_AFTER="6")
    slow = ThreadStore(redis, replace(config, heartbeat=20, lost_after=60))
    thread_id = slow.create(new_thread(redis))
    assert slow.claim(thread_id, "t", "w")
    seconds, _ = redis.time()
    lease = redis.zscore("ps:leases", thread_id)
    assert isinstance(lease, float)
    assert lease / 1000 - seconds > 55


@pytest.mark.parametrize("text", ["it's", 'a\\"b', "line\nbreak", "naïve ]] --", "\x00"])
def test_a_constant_reaches_a_script_unchanged(redis: Redis, text: str) -> None:
    assert redis.eval(f"return {literal(text)}", 0) == text.encode()
    assert redis.eval(f"return ({literal({text: [text, 2.5, True]})})[{literal(text)}][1]", 0) == text.encode()


def test_every_shared_setting_is_a_number() -> None:
    assert all(isinstance(getattr(Config(), name), int | float) for name in NAMES)


def test_web_and_workers_with_different_settings_have_one_rule_and_say_so(
    redis: Redis, config: Config, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    others = replace(config, group_threads=4)
    workers = Program(others, ["sh", "-c", f"exec {shlex.join(SUPERVISOR)} >{log} 2>&1"])
    with web(replace(config, group_threads=1)) as server:
        wait_for(lambda: redis.hget("ps:settings", "group_threads") == b"1")
        with workers:
            wait_for(lambda: log.exists() and "PSTHREADS_GROUP_THREADS is 4 for workers " in log.read_text())
        assert in_force(redis) == "1"
        (difference,) = differences(redis, config)
        assert difference.process.startswith("workers ")
        assert difference.holders[0].startswith("web ")
        assert redis.zcard(PROCESSES) == 2
        os.kill(server.pid, signal.SIGTERM)
        assert server.process is not None
        server.process.wait(20)
        assert redis.zcard(PROCESSES) == 1, "a process that ends in order stops counting as running"
