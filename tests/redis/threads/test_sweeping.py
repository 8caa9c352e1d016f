"""Claims about what is removed from the documents' disk, when, and that nothing else is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask
from redis import Redis

from psthreads.documents.installation import Installation
from psthreads.documents.layout import Documents
from psthreads.documents.sweeping import Ownerless, SweepRules
from psthreads.domain.config import Config
from psthreads.domain.model import Outcome, Status
from psthreads.identity.quotas import Quotas
from psthreads.threads import file_sweeper
from psthreads.threads.file_sweeper import FileSweeper
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.backends import StoredFiles, in_both
from tests.support.people import People
from tests.support.threads import BY, new_thread
from tests.support.waiting import wait_for

MINUTE, HOUR, DAY = 60, 3600, 86_400


class Disk:
    """The documents' folder, with files that look as old as they are said to be."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, age: float) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content")
        return self.aged(file, age)

    def folder(self, path: str, age: float) -> Path:
        self.put(f"{path}/below/file", age)
        return self.aged(self.root / path, age)

    @staticmethod
    def aged(path: Path, age: float) -> Path:
        moment = time.time() - age
        os.utime(path, (moment, moment))
        return path


def expire(redis: Redis, thread_id: str) -> None:
    """Do as Redis does at the end of the thread's retention."""
    redis.delete(f"rq:job:{thread_id}")
    redis.zadd("ps:tombstones", {thread_id: 1}, xx=True)


def pass_ticks(redis: Redis, installation: Installation, seconds: int) -> None:
    redis.hincrby("ps:installation", "ticks", seconds)
    assert installation.check() is None


@pytest.fixture
def disk(config: Config) -> Disk:
    return Disk(config.documents)


@pytest.fixture
def files(config: Config) -> StoredFiles:
    return StoredFiles(config)


@pytest.fixture
def sweeper(redis: Redis, config: Config, store: ThreadStore, installation: Installation) -> FileSweeper:
    return FileSweeper(config, store, installation, Quotas(redis, config))


@pytest.fixture
def running(redis: Redis, store: ThreadStore) -> str:
    thread_id = store.create(new_thread(redis))
    assert store.claim(thread_id, "t", "w")
    return thread_id


@pytest.fixture
def ended(redis: Redis, store: ThreadStore) -> str:
    thread_id = store.create(new_thread(redis))
    assert store.claim(thread_id, "t", "w")
    assert store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done"))
    return thread_id


@in_both("backend")
def test_results_are_removed_with_their_thread_and_not_before(
    files: StoredFiles, sweeper: FileSweeper, running: str, ended: str, redis: Redis, store: ThreadStore
) -> None:
    kept = [
        files.put(f"results/7/a-{running}.zip", 40 * DAY),
        files.put(f"results/7/a-{ended}.zip", 40 * DAY),
        files.put(f"results/server/a-{uuid4().hex}.zip", 50 * MINUTE),
        files.put("results/7/of-nobody.zip", 40 * DAY),
    ]
    assert sweeper.sweep() == 0
    assert all(map(files.has, kept))
    expire(redis, ended)
    deleted = store.create(new_thread(redis))
    store.cancel(deleted, BY)
    gone = [kept[1], *(files.put(f"results/{group}/a-{deleted}.zip") for group in ("7", "8", "server"))]
    store.delete(deleted, BY)
    assert sweeper.sweep() == len(gone)
    assert not any(map(files.has, gone))
    assert all(map(files.has, set(kept) - set(gone)))


@in_both("backend")
def test_a_missing_record_alone_removes_nothing_for_days(
    files: StoredFiles, sweeper: FileSweeper, ended: str, running: str, redis: Redis, installation: Installation
) -> None:
    results = [files.put(f"results/7/a-{thread_id}.zip", 400 * DAY) for thread_id in (ended, running, uuid4().hex)]
    redis.delete(f"rq:job:{ended}", f"rq:job:{running}", "ps:tombstones")
    for days in (1, 3, 2):
        assert sweeper.sweep() == 0
        pass_ticks(redis, installation, days * DAY)
    assert sweeper.sweep() == 0
    pass_ticks(redis, installation, DAY)
    assert sweeper.sweep() == 3
    assert not any(map(files.has, results))


@in_both("backend")
def test_a_result_that_gets_its_thread_back_begins_anew(
    files: StoredFiles, sweeper: FileSweeper, ended: str, redis: Redis, installation: Installation
) -> None:
    result = files.put(f"results/7/a-{ended}.zip", 400 * DAY)
    record = redis.dump(f"rq:job:{ended}")
    assert record is not None
    for _ in range(2):
        redis.delete(f"rq:job:{ended}")
        assert sweeper.sweep() == 0
        pass_ticks(redis, installation, 6 * DAY)
        redis.restore(f"rq:job:{ended}", 0, record)
        assert sweeper.sweep() == 0
    assert files.has(result)


@in_both("backend")
def test_what_was_ownerless_for_another_redis_is_not_for_this_one(
    files: StoredFiles, sweeper: FileSweeper, config: Config, redis: Redis, installation: Installation
) -> None:
    result = files.put(f"results/7/a-{uuid4().hex}.zip", 400 * DAY)
    assert sweeper.sweep() == 0
    pass_ticks(redis, installation, 8 * DAY)
    Installation(redis, config, "operator").adopt()
    assert installation.check() is None
    assert sweeper.sweep() == 0
    assert files.has(result)


def test_tombstones_are_removed_once_they_were_heeded(
    sweeper: FileSweeper, running: str, ended: str, redis: Redis
) -> None:
    assert redis.zrange("ps:tombstones", 0, -1) == [ended.encode()]
    sweeper.sweep()
    assert redis.zcard("ps:tombstones") == 1  # It is due when the retention ends.
    expire(redis, ended)
    sweeper.sweep()
    assert redis.zcard("ps:tombstones") == 0


def test_temporary_files_are_removed_once_their_thread_has_ended(
    disk: Disk, sweeper: FileSweeper, running: str, ended: str
) -> None:
    kept = [
        disk.put(f"results/7/.psthreads-{running}-0123456789abcdef", 5 * DAY),
        disk.folder(f"tmp/{running}-abc", 5 * DAY),
        disk.put(f"groups/7/docs/.psthreads-{running}-0123456789abcdef", 5 * DAY),
        disk.folder(f"tmp/{ended}-abc", 5 * MINUTE),
        disk.put("tmp/export-abc.zip", 50 * MINUTE),
        disk.put("tmp/else", 23 * HOUR),
        disk.put("groups/7/docs/.psthreads-0123456789abcdef", 23 * HOUR),
        disk.put("groups/7/docs/a.psml", 400 * DAY),
        disk.put(f"groups/7/docs/{ended}.psml", 400 * DAY),
        disk.put(f"loading/7/1/{uuid4().hex}.zip", 400 * DAY),
    ]
    gone = [
        disk.put(f"results/7/.psthreads-{ended}-0123456789abcdef", 11 * MINUTE),
        disk.folder(f"tmp/{ended}-def", 11 * MINUTE),
        disk.folder(f"tmp/{uuid4().hex}-abc", 11 * MINUTE),
        disk.put("tmp/export-def.zip", 61 * MINUTE),
        disk.folder("tmp/any", 25 * HOUR),
        disk.put("results/7/.psthreads-0123456789abcdef", 25 * HOUR),
        disk.put("groups/7/docs/deep/er/.psthreads-0123456789abcdef", 25 * HOUR),
        disk.put(f"groups/8/.psthreads-{ended}-x", 11 * MINUTE),
        disk.folder("loading/7/1/.psthreads-0123456789abcdef", 25 * HOUR),
    ]
    assert sweeper.sweep() == len(gone)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)


def test_a_longer_time_limit_keeps_nameless_files_for_longer(
    redis: Redis, config: Config, disk: Disk, store: ThreadStore, installation: Installation
) -> None:
    patient = Config(**{**{name: getattr(config, name) for name in ("redis_url", "documents")}, "time_limit": 3 * DAY})
    kept = disk.put("groups/7/.psthreads-0123456789abcdef", 2 * DAY)
    assert FileSweeper(patient, store, installation, Quotas(redis, patient)).sweep() == 0
    assert kept.exists()
    assert FileSweeper(config, store, installation, Quotas(redis, config)).sweep() == 1


def test_a_sweep_follows_no_link(disk: Disk, sweeper: FileSweeper, tmp_path: Path) -> None:
    outside = disk.put("../outside/.psthreads-0123456789abcdef", 25 * HOUR)
    (disk.root / "groups").mkdir(parents=True)
    (disk.root / "tmp").mkdir()
    (disk.root / "groups/linked").symlink_to(outside.parent)
    link = disk.root / "tmp/link"
    link.symlink_to(outside.parent)
    moment = time.time() - 2 * DAY
    os.utime(link, (moment, moment), follow_symlinks=False)
    assert sweeper.sweep() == 1
    assert not link.is_symlink()
    assert outside.exists()


@in_both("backend")
def test_a_sweep_of_nothing_removes_nothing(sweeper: FileSweeper) -> None:
    assert sweeper.sweep() == 0


def test_two_sweeps_and_threads_that_clean_up_at_the_same_time_get_along(
    disk: Disk, redis: Redis, config: Config, store: ThreadStore, installation: Installation
) -> None:
    paths = [disk.folder(f"tmp/{uuid4().hex}-abc", HOUR) for _ in range(300)]
    buried = [uuid4().hex for _ in range(300)]
    paths += [disk.put(f"results/7/a-{thread_id}.zip", 2 * HOUR) for thread_id in buried]
    redis.zadd("ps:tombstones", dict.fromkeys(buried, 1))
    sweepers = [FileSweeper(config, store, installation, Quotas(redis, config)) for _ in range(2)]
    threads = [threading.Thread(target=each.sweep) for each in sweepers]
    for thread in threads:
        thread.start()
    for path in paths[::-1]:
        if path.is_file():
            path.unlink(missing_ok=True)
    for thread in threads:
        thread.join()
    assert not any(path.exists() for path in paths)


def test_a_sweep_is_done_in_steps_that_keep_nobody_waiting(disk: Disk) -> None:
    for number in range(2_000):
        disk.put(f"results/7/{number}-{uuid4().hex}.zip", 0)
    asked: list[int] = []

    def existing(ids: Collection[str]) -> set[str]:
        asked.append(len(ids))
        return set(ids)

    documents = Documents(disk.root)
    steps = documents.sweep(SweepRules(existing, existing, existing, Ownerless(documents.records, "", 0), DAY))
    next(steps)
    assert asked == [500]
    assert sum(steps) == 0
    assert asked == [500] * 4


def test_what_is_there_of_many_ids_is_asked_in_one_round_trip(store: ThreadStore, running: str, ended: str) -> None:
    assert store.existing([running, ended, uuid4().hex]) == {running, ended}
    assert store.existing([]) == set()


@in_both("backend")
def test_the_leading_janitor_sweeps_in_the_background_and_a_download_is_gone(
    app: Flask,
    people: People,
    files: StoredFiles,
    config: Config,
    redis: Redis,
    store: ThreadStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread_id = store.create(new_thread(redis, group=people.acme))
    result = files.put(f"results/{people.acme.id}/a-{thread_id}.zip", 2 * HOUR)
    client = app.test_client(use_cookies=False)
    address, headers = f"/ps/member-resource/acme/a-{thread_id}.zip", people.bearer("contributor")
    assert client.get(address, headers=headers, buffered=True).data == b"content"
    expire(redis, thread_id)
    redis.zadd("ps:tombstones", {thread_id: 1})
    assert client.get(address, headers=headers, buffered=True).status_code == 404  # before anything was swept
    monkeypatch.setattr(file_sweeper, "_BETWEEN_SECONDS", 0.1)
    monkeypatch.setattr(file_sweeper, "_FIRST_SECONDS", 0)
    janitor = Janitor(redis, config, store)
    janitor.start()
    try:
        wait_for(lambda: not files.has(result))
    finally:
        janitor.stop()
