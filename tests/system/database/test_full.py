"""A Redis that has used all the memory that it may: what frees some still works, and everybody is told."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from psthreads.admin import doctor
from psthreads.admin.problems import Severity
from psthreads.authoring.plugins import load
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.errors import StoreFull, ThreadNotFound
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.identity.directory import Directory
from psthreads.local.server import RedisServer
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.forms import sign_in
from tests.support.people import People
from tests.support.speed import QuickHashes
from tests.support.threads import BY, ended, new_thread, start
from tests.support.waiting import wait_for
from tests.system.stack import Program, supervisor, worker


@pytest.fixture
def own() -> Iterator[RedisServer]:
    path = Path(tempfile.mkdtemp(prefix="psthreads-"))
    with RedisServer(path, "--appendfsync", "no") as running:
        yield running
    shutil.rmtree(path)


@pytest.fixture
def redis(own: RedisServer) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(own.socket)) as client:
        yield client


@pytest.fixture
def config(own: RedisServer, config: Config) -> Config:
    return replace(config, redis_url=own.url, workers=2)


@pytest.fixture
def store(redis: Redis, config: Config) -> ThreadStore:
    return ThreadStore(redis, config)


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


@pytest.fixture
def crowd(redis: Redis, config: Config) -> People:
    return People(Directory(redis, QuickHashes()), Documents(config.documents))


@pytest.fixture
def client(redis: Redis, config: Config) -> FlaskClient:
    return create_app(config).test_client()


def fill(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def marked(path: Path) -> bool:
    return path.exists()


def test_threads_are_cancelled_end_and_are_deleted_in_a_full_redis(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    with supervisor(config):
        running = start(engine, "sleep", mark=str(tmp_path / "sleep"))
        ending = start(engine, "waiting", mark=str(tmp_path / "waiting"), until=str(go_on))
        wait_for(lambda: marked(tmp_path / "sleep") and marked(tmp_path / "waiting"))
        queued = start(engine, "count")
        fill(redis)
        with pytest.raises(StoreFull, match="Redis is full"):
            start(engine, "count")
        assert engine.cancel(store.fetch(queued.id), by=BY).status is Status.CANCELLED
        engine.cancel(store.fetch(running.id), by=BY)
        assert ended(store, running, 5.0).status is Status.CANCELLED
        go_on.touch()
        done = ended(store, ending)
        assert (done.status, done.message) == (Status.COMPLETED, "Saw it through")
        texts = [event.message for event in store.log(ending.id).events]
        assert "While nothing could be written" in texts
        store.delete(ending.id, BY)
        with pytest.raises(ThreadNotFound):
            store.fetch(ending.id)
        # Longer than a record lasts that nobody renews.
        lifetime = redis.pttl(next(redis.scan_iter("rq:worker:*"))) / 1000
        with pytest.raises(AssertionError, match="in vain"):
            wait_for(lambda: engine.workers() != 2, lifetime + 1)
        redis.config_set("maxmemory", 0)
        assert ended(store, start(engine, "count")).status is Status.COMPLETED


def test_the_thread_of_a_lost_worker_ends_in_a_full_redis(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, tmp_path: Path
) -> None:
    janitor = Janitor(redis, config, store)
    with worker(config) as program:
        thread = start(engine, "sleep", mark=str(tmp_path / "sleep"))
        wait_for(lambda: marked(tmp_path / "sleep"))
        fill(redis)
        kill(program)
    wait_for(lambda: janitor.sweep() and store.fetch(thread.id).status is Status.FAILED)
    assert "Worker lost" in store.fetch(thread.id).message


def kill(program: Program) -> None:
    assert program.process is not None
    program.process.send_signal(signal.SIGKILL)


def test_an_administrator_signs_in_and_out_and_a_wrong_password_counts_in_a_full_redis(
    redis: Redis, crowd: People, config: Config
) -> None:
    create_app(config).test_client().get("/sign-in")  # The key of the sessions is there since the first of them.
    client = create_app(config).test_client()
    fill(redis)
    assert sign_in(client, "chief", "wrong") == 401
    assert redis.hget(f"ps:member:{crowd.members['chief'].id}", "failures") == b"1"
    assert sign_in(client, "chief") == 303
    assert client.get("/dashboard").status_code == 200
    assert sign_in(client, "chief") == 303, "in place of the first session, which ends"


def test_everybody_is_told_that_redis_is_full_and_before_that_that_it_nearly_is(
    redis: Redis, crowd: People, client: FlaskClient, config: Config
) -> None:
    def problems() -> list[str]:
        return [str(problem) for problem in doctor.examine(config) if "full: it uses" in problem.what]

    assert "full" not in client.get("/readyz").text
    assert problems() == []
    used = int(redis.info("memory")["used_memory"])
    redis.config_set("maxmemory", int(used / 0.94))
    nearly = client.get("/readyz")
    assert nearly.status_code == 200
    assert "% full: it uses" in nearly.text
    assert len(problems()) == 1
    fill(redis)
    full = client.get("/readyz")
    assert full.status_code == 503
    assert "% full: it uses" in full.text
    (problem,) = [problem for problem in doctor.examine(config) if "full: it uses" in problem.what]
    assert problem.severity is Severity.SERIOUS


def test_the_last_report_of_a_process_is_shortened_in_a_full_redis_and_says_so(
    redis: Redis, store: ThreadStore
) -> None:
    thread_id = store.create(new_thread(redis))
    assert store.claim(thread_id, "t", "w")
    lines = tuple(Line(1_652_667_241_924, Level.INFO, f"Line {number}") for number in range(500))
    fill(redis)
    with pytest.raises(StoreFull):
        store.report(thread_id, "t", Report(1, lines=lines))
    store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done"), report=Report(1, lines=lines))
    texts = [event.message for event in store.log(thread_id).events]
    assert texts[-2:] == ["Line 499", "Done"]
    assert "450 lines before this one are lost: Redis was full when the process ended" in texts
    assert store.fetch(thread_id).status is Status.COMPLETED
