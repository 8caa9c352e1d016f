"""What must happen when something dies, hangs, fills up or tells the wrong time: one test for each fault.

The horse's and the worker's own deaths are in test_worker.py. Here the settings are the defaults, so that the times are
those that the README promises.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests
from redis import Redis
from redis.exceptions import ResponseError

from psthreads.authoring.plugins import load
from psthreads.database.connection import connect, durability_warning
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Status
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.needs import needs
from tests.support.people import People
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, supervisor, web, worker, worker_of

PROMISED = 15.0


@pytest.fixture
def config(server: RedisServer, tmp_path: Path) -> Config:
    """The defaults, but for where things are."""
    return Config(
        redis_url=server.url,
        port=free_port(),
        workers=2,
        documents=tmp_path / "documents",
        processes=("tests.support.sample_processes",),
        outage=0,  # Where nobody survives who saw the worker die, each thread is found within the shortest lease.
    )


def lines_of(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def runs(path: Path) -> Counter[str]:
    return Counter(lines_of(path)[1::2])


def horses(program: Program) -> list[psutil.Process]:
    return [child for child in program.children() if child.cmdline() and child.ppid() == program.pid]


def test_worker_and_horse_killed_while_another_worker_lives(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with supervisor(config):
        wait_for(lambda: engine.workers() == 2)
        thread = start(engine, "sleep", mark=str(mark))
        wait_for(lambda: lines_of(mark))
        parent = worker_of(redis, config, store, thread.id)
        (horse,) = parent.children()
        parent.kill()
        horse.kill()
        done = ended(store, thread, PROMISED)
        assert (done.status, done.message) == (Status.FAILED, "Worker lost")


def test_every_worker_killed_and_only_a_web_process_alive(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    address = f"http://127.0.0.1:{config.port}"
    with worker(config) as program:
        thread = start(engine, "sleep", mark=str(mark))
        wait_for(lambda: lines_of(mark))
    assert not psutil.pid_exists(program.pid)
    waiting = start(engine, "count")
    with web(config):
        wait_for(lambda: is_up(f"{address}/healthz"))
        done = ended(store, thread, PROMISED)
        assert (done.status, done.message) == (Status.FAILED, "Worker lost")
        wait_for(lambda: requests.get(f"{address}/readyz", timeout=10).status_code == 503, PROMISED)
        answer = requests.get(f"{address}/readyz", timeout=10)
        assert answer.headers["Retry-After"]
        assert "no worker is alive" in answer.text
        with worker(config):
            assert ended(store, waiting).status is Status.COMPLETED
            assert requests.get(f"{address}/readyz", timeout=10).status_code == 200


def is_up(address: str) -> bool:
    try:
        return requests.get(address, timeout=10).ok
    except requests.ConnectionError:
        return False


def test_a_web_process_killed_at_any_point_of_a_start_leaves_whole_threads_or_none(
    redis: Redis, store: ThreadStore, config: Config, people: People, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    path = f"http://127.0.0.1:{config.port}/members/contributor/groups/acme/samples/count"
    accepted: set[str] = set()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                form = {"mark": str(mark), "to": "1"}
                headers = {**people.bearer("contributor"), "Accept": "application/json"}
                answer = requests.post(path, data=form, headers=headers, timeout=10)
            except requests.RequestException:
                continue
            if answer.status_code == 202:
                accepted.add(answer.json()["id"])

    askers = [threading.Thread(target=ask) for _ in range(4)]
    with web(config) as program:
        for asker in askers:
            asker.start()
        for kill in range(1, 9):
            # The point of the start at which the kill falls is left to chance, eight times.
            wait_for(lambda: len(accepted) >= 5 * kill)  # noqa: B023 (called at once)
            victim = wait_for(lambda: [child for child in program.children() if child.is_running()])[0]
            victim.kill()
        over.set()
        for asker in askers:
            asker.join()
    known = {thread.id for thread in store.page("active", size=1_000).threads}
    assert accepted <= known, "a thread was accepted and is not there"
    with supervisor(config):
        wait_for(lambda: store.page("active").total == 0, 60)
    finished = store.page("finished", size=1_000).threads
    assert {thread.id for thread in finished} == known
    assert {thread.status for thread in finished} == {Status.COMPLETED}
    assert runs(mark) == Counter(known)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that may be killed, with its append-only file synced at every write."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), tied=False)
    server.start()
    yield server
    server.stop()


def layers(server: RedisServer, config: Config) -> tuple[Config, Redis, ThreadStore, Engine]:
    config = replace(config, redis_url=server.url)
    redis = connect(config.redis_url)
    store = ThreadStore(redis, config)
    return config, redis, store, Engine(redis, config, store, load(config.processes))


def test_redis_killed_in_the_middle_of_200_threads(own: RedisServer, config: Config, tmp_path: Path) -> None:
    config, redis, store, engine = layers(own, config)
    people = People(Directory(redis), Documents(config.documents))
    mark = tmp_path / "mark"
    path = f"http://127.0.0.1:{config.port}"
    begin_path = f"{path}/members/contributor/groups/acme/samples/count"
    form = {"mark": str(mark), "to": "2", "pause": "0.02"}
    headers = {**people.bearer("contributor"), "Accept": "application/json"}
    accepted: list[str] = []
    with supervisor(config) as program, web(config):
        wait_for(lambda: engine.workers() == 2)
        wait_for(lambda: is_up(f"{path}/healthz"))
        workers = {child.pid for child in program.children() if child.ppid() == program.pid}

        def begin() -> None:
            while len(accepted) < 200:
                try:
                    answer = requests.post(begin_path, form, headers=headers, timeout=30)
                except requests.RequestException:
                    continue
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])
                else:
                    assert answer.status_code == 503

        beginner = threading.Thread(target=begin)
        beginner.start()
        for many in (40, 90, 140):
            wait_for(lambda: len(accepted) >= many, 60)  # noqa: B023 (called at once)
            own.kill()
            answer = requests.get(f"{path}/threads/{accepted[0]}/progress", headers=people.bearer("chief"), timeout=30)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "5"
            own.start()
        beginner.join()
        wait_for(lambda: store.page("active").total == 0, 90)
        assert workers <= {child.pid for child in program.children()}, "a worker ended"
    found = [store.fetch(thread_id) for thread_id in accepted]
    ends = Counter((thread.status, thread.message) for thread in found)
    assert ends == {(Status.COMPLETED, "Counted to 2"): len(accepted)}
    assert not [thread_id for thread_id, times in runs(mark).items() if times > 1], "a thread ran twice"
    redis.close()


class Unwritable:
    """Makes a Redis refuse writes, and ends that."""

    def __init__(self, server: RedisServer, redis: Redis) -> None:
        self._server = server
        self._redis = redis

    def spoil(self, how: str) -> None:
        match how:
            case "read-only":
                self._redis.replicaof("127.0.0.1", "1")
            case "out of memory":
                self._redis.config_set("maxmemory", 1)
            case "disk full":
                self._redis.config_set("appendfsync", "everysec")  # with `always` Redis ends itself, as in a crash
                folder = self._server.folder / "appendonlydir"
                self._limit(max(file.stat().st_size for file in folder.iterdir()))
                wait_for(lambda: not self._takes("x" * 1_000))

    def mend(self) -> None:
        self._limit(resource.RLIM_INFINITY)
        self._redis.replicaof("NO", "ONE")
        self._redis.config_set("maxmemory", 0)
        wait_for(lambda: self._takes(""))

    def _limit(self, size: int) -> None:
        resource.prlimit(self._server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def _takes(self, text: str) -> bool:
        try:
            return bool(self._redis.set("probe", text))
        except ResponseError:
            return False


@pytest.fixture
def unwritable(own: RedisServer) -> Iterator[Unwritable]:
    with Redis(unix_socket_path=str(own.socket)) as redis:
        yield Unwritable(own, redis)


@pytest.mark.parametrize("how", ["read-only", "out of memory", "disk full"])
def test_a_redis_that_takes_no_writes_refuses_starts_and_loses_nothing(
    how: str, own: RedisServer, unwritable: Unwritable, config: Config, tmp_path: Path
) -> None:
    config, redis, store, engine = layers(own, config)
    go_on = tmp_path / "go on"
    with worker(config) as program:
        mark = tmp_path / "mark"
        thread = start(engine, "waiting", mark=str(mark), until=str(go_on))
        wait_for(lambda: lines_of(mark))
        unwritable.spoil(how)
        with pytest.raises(Unavailable):
            start(engine, "count")
        go_on.touch()
        wait_for(lambda: "reported" in lines_of(mark))
        if how != "out of memory":  # A full Redis still takes the end of a thread.
            assert not store.fetch(thread.id).status.is_final
        unwritable.mend()
        done = ended(store, thread)
        assert (done.status, done.message) == (Status.COMPLETED, "Saw it through")
        assert "While nothing could be written" in [event.message for event in store.log(thread.id).events]
        assert ended(store, start(engine, "count")).status is Status.COMPLETED
        assert psutil.pid_exists(program.pid)
    redis.close()


SHIFT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += SHIFT;
  return result;
}
time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
"""


@pytest.mark.parametrize("minutes", [-30, 30])
def test_a_worker_whose_clock_is_wrong_changes_nothing(
    minutes: int, redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    needs("gcc")
    source, library = tmp_path / "shift.c", tmp_path / "shift.so"
    source.write_text(SHIFT.replace("SHIFT", str(minutes * 60)))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    shifted = {"LD_PRELOAD": str(library)}
    code = "import time; print(time.time())"
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **shifted}, capture_output=True, check=True
    ).stdout
    assert abs(float(told) - time.time() - minutes * 60) < 60, "the clock was not shifted"
    mark = tmp_path / "mark"
    before = time.time_ns() // 1_000_000
    with supervisor(config, **shifted):
        wait_for(lambda: engine.workers() == 2)
        done = ended(store, start(engine, "count", to=60, pause=0.1))
        assert done.status is Status.COMPLETED, "it was declared lost"
        assert before <= done.created <= done.started <= done.ended <= time.time_ns() // 1_000_000
        stamps = [event.timestamp for event in store.log(done.id).events]
        assert stamps == sorted(stamps)
        assert before <= stamps[0] <= stamps[-1] <= done.ended
        lost = start(engine, "sleep", mark=str(mark))
        wait_for(lambda: lines_of(mark))
        worker_of(redis, config, store, lost.id).kill()
        assert ended(store, lost, PROMISED).message == "Worker lost"


def test_an_outage_that_outlasts_the_leases_loses_no_thread(own: RedisServer, config: Config, tmp_path: Path) -> None:
    config, redis, store, engine = layers(own, replace(config, heartbeat=0.5, lost_after=1.5, outage=30))
    janitor = Janitor(redis, config, store)
    janitor.start()
    mark = tmp_path / "mark"
    with worker(config):
        thread = start(engine, "count", to=60, pause=0.1, mark=str(mark))
        wait_for(lambda: lines_of(mark))
        own.kill()
        since = time.monotonic()
        wait_for(lambda: time.monotonic() > since + config.lost_after + 2)
        own.start()
        done = ended(store, thread)
        assert (done.status, done.restarts) == (Status.COMPLETED, 0)
        assert [event.message for event in store.log(done.id).events][2:-1] == [f"At {n}" for n in range(1, 61)]
    janitor.stop()
    redis.close()


def test_a_redis_that_may_lose_what_it_acknowledged_is_told_of(own: RedisServer) -> None:
    with Redis(unix_socket_path=str(own.socket)) as redis:
        assert durability_warning(redis) == ""
        redis.config_set("maxmemory-policy", "allkeys-lru")
        assert "memory is full" in durability_warning(redis)
        redis.config_set("appendfsync", "everysec")
        assert "power failure" in durability_warning(redis)
        redis.config_set("appendonly", "no")
        assert "keeps no append-only file" in durability_warning(redis)
