"""Real programs on a Redis and a documents' folder that do not belong together."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.model import Status, Thread
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.command_line import operate
from tests.support.people import People
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor, web


@dataclass
class Site:
    """A Redis of its own, whose folder can be exchanged, and what is reached through it."""

    server: RedisServer
    config: Config
    engine: Engine

    @property
    def store(self) -> ThreadStore:
        return self.engine.store

    def copy(self, name: str) -> Path:
        """Copy the folder of Redis as it is now."""
        target = self.server.folder.with_name(name)
        shutil.copytree(self.server.folder / "appendonlydir", target)
        return target

    def exchange(self, copy: Path | None) -> None:
        """Kill Redis, and start it on this copy, or on nothing."""
        self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir")
        if copy is not None:
            shutil.copytree(copy, self.server.folder / "appendonlydir")
        self.server.start()

    def ticks(self) -> int:
        with Redis.from_url(self.config.redis_url) as redis:
            return int(redis.hget("ps:installation", "ticks") or 0)

    def later(self) -> None:
        """Wait until the janitor has counted on, so that a copy from before is older."""
        now = self.ticks()
        wait_for(lambda: self.ticks() > now + 1)

    def doctor(self) -> str:
        return operate(self.config, "doctor").output

    def is_refused(self, why: str) -> bool:
        """Return whether some process says that it does not work here, and why."""
        return f"{os.uname().nodename}:" in self.doctor() and why in self.doctor()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    with RedisServer(folder / "redis") as server:
        config = Config(
            redis_url=server.url,
            port=free_port(),
            workers=1,
            documents=tmp_path / "documents",
            processes=("psthreads.processes", "tests.support.sample_processes"),
            grace=1,
            heartbeat=0.5,
            lost_after=4,
            outage=0,
        )
        with Redis.from_url(server.url) as redis:
            engine = Engine(redis, config, ThreadStore(redis, config), load(config.processes))
            yield Site(server, config, engine)
    shutil.rmtree(folder)


def runs(mark: Path, thread: Thread) -> int:
    return mark.read_text().split().count(thread.id) if mark.exists() else 0


def test_an_older_redis_under_running_workers_runs_nothing_twice(site: Site, tmp_path: Path) -> None:
    mark, held = tmp_path / "mark", tmp_path / "held"
    with supervisor(site.config) as program:
        wait_for(lambda: site.engine.workers() == 1)
        holding = start(site.engine, "sleep", mark=str(held))
        wait_for(held.exists)
        once = start(site.engine, "count", mark=str(mark))
        again = start(site.engine, "restartable", mark=str(mark))
        older = site.copy("older")
        site.engine.cancel(holding, by=BY, force=True)
        for thread in (once, again):
            assert ended(site.store, thread).status is Status.COMPLETED
        site.later()
        mark_of_running = tmp_path / "running"
        start(site.engine, "spin", mark=str(mark_of_running))
        wait_for(mark_of_running.exists)
        horse = [child for child in program.children() if child.ppid() != program.pid]
        assert horse

        site.exchange(older)
        wait_for(lambda: not any(child.is_running() for child in horse))
        wait_for(lambda: site.is_refused("Redis is older than the documents"))
        wait_for(lambda: site.engine.workers() == 0)
        assert "serious" in site.doctor()
        assert site.store.fetch(once.id).status is Status.INITIALISED
        assert (runs(mark, once), runs(mark, again)) == (1, 1)

        assert operate(site.config, "admin installation adopt --yes").exit_code == 0
        assert ended(site.store, again).status is Status.COMPLETED
        thread = site.store.fetch(once.id)
        assert (thread.status, runs(mark, once)) == (Status.FAILED, 1)
        assert "it is not known whether it ran after that" in thread.message
        assert site.store.fetch(holding.id).status is Status.FAILED


def test_an_empty_redis_costs_nothing_once_the_right_one_is_back(site: Site, tmp_path: Path) -> None:
    with Redis.from_url(site.config.redis_url) as redis:
        people = People(Directory(redis, config=site.config), Documents(site.config.documents))
    for number in range(25):  # Fewer would be sent at once, without a thread.
        people.acme_folder.write(f"/documents/{number}.xml", b"<a/>")
    base, bearer = f"http://127.0.0.1:{site.config.port}", people.bearer("contributor")
    with supervisor(site.config), web(site.config):
        wait_for(lambda: answers(f"{base}/readyz", 200))
        export = requests.post(
            f"{base}/members/contributor/groups/acme/export.json", headers={**bearer, "Prefer": "wait=20"}, timeout=30
        ).json()
        file = f"{base}/ps/member-resource/acme/{export['zip']}"
        assert requests.get(file, headers=bearer, timeout=10).status_code == 200
        for path in (site.config.documents / "results").rglob("*.zip"):
            os.utime(path, (time.time() - 7200,) * 2)
        site.later()
        right = site.copy("right")
        site.exchange(None)
        wait_for(lambda: answers(f"{base}/readyz", 503))
        wait_for(lambda: site.is_refused("Redis is new, or not the one of these documents"))
        assert requests.get(file, headers=bearer, timeout=10).status_code in {401, 503}
        site.exchange(right)
        wait_for(lambda: answers(f"{base}/readyz", 200))
        wait_for(lambda: answers(file, 200, **bearer))
        wait_for(lambda: site.engine.workers() == 1)


def test_workers_with_another_folder_run_nothing_and_all_are_told(site: Site, tmp_path: Path) -> None:
    with Redis.from_url(site.config.redis_url) as redis:
        people = People(Directory(redis, config=site.config), Documents(site.config.documents))
    wrong = replace(site.config, documents=tmp_path / "elsewhere")
    base, bearer = f"http://127.0.0.1:{site.config.port}", people.bearer("contributor")
    with web(site.config):
        wait_for(lambda: answers(f"{base}/readyz", 200))
        with supervisor(wrong):
            wait_for(lambda: answers(f"{base}/readyz", 503))
            wait_for(lambda: site.is_refused(f"The documents' folder {wrong.documents} is not the one of this Redis"))
            answer = requests.post(f"{base}/members/contributor/groups/acme/validate", headers=bearer, timeout=10)
            assert answer.status_code == 503
            assert "folder is not the one of this Redis" in answer.text
            assert operate(site.config, "doctor").exit_code == 1
            assert site.engine.workers() == 0
            assert not wrong.documents.exists()
        with supervisor(site.config):
            wait_for(lambda: site.engine.workers() == 1)
            wait_for(lambda: answers(f"{base}/readyz", 200))


def answers(url: str, status: int, **headers: str) -> bool:
    try:
        return requests.get(url, headers=headers, timeout=10).status_code == status
    except requests.ConnectionError:
        return False
