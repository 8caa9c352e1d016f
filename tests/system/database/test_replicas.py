"""PSTHREADS_REPLICAS: what is started, claimed, cancelled and ended counts only once a replica has it.

A real primary and its replica; a proxy between the two holds back what the replica is to get.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from chaos.failover.replicated_redis import Node
from chaos.proxy import Proxy
from psthreads.admin import doctor, redis_checks
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.database.scripts import ConfirmedScript
from psthreads.documents.installation import Installation
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.errors import NotReplicated
from psthreads.domain.model import Outcome, Status
from psthreads.identity.directory import Directory
from psthreads.identity.scripts import DirectoryScripts
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.people import People
from tests.support.services import COUNT
from tests.support.speed import QuickHashes
from tests.support.threads import ended, new_thread, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor, worker_of


@pytest.fixture(scope="module")
def link() -> Iterator[tuple[Node, Proxy]]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    primary, replica = (Node(folder / name, "--appendfsync", "no") for name in ("primary", "replica"))
    with primary, replica, Proxy(f"redis://127.0.0.1:{primary.port}") as proxy:
        replica.ask("REPLICAOF", "127.0.0.1", proxy.url.rpartition(":")[2].partition("/")[0])
        yield primary, proxy
        proxy.mend()
    shutil.rmtree(folder)


@pytest.fixture
def proxy(link: tuple[Node, Proxy]) -> Iterator[Proxy]:
    primary, proxy = link
    wait_for(lambda: primary.replication().get("connected_slaves") == 1, 20)
    yield proxy
    proxy.mend()


@pytest.fixture
def config(link: tuple[Node, Proxy], proxy: Proxy, config: Config) -> Config:
    return replace(config, redis_url=link[0].url, replicas=1)


@pytest.fixture
def redis(config: Config) -> Iterator[Redis]:
    with connect(config.redis_url) as client:
        client.flushall()
        yield client


def passes(redis: Redis, seconds: int) -> None:
    """Wait for so long by Redis's clock: for what must not happen."""
    begun = redis.time()[0]
    wait_for(lambda: redis.time()[0] >= begun + seconds)


def refuses(answer: object) -> bool:
    return getattr(answer, "status_code", 0) == 503 and "Retry-After" in answer.headers  # type: ignore[attr-defined]


def test_a_start_that_no_replica_has_is_refused_and_its_repeat_is_the_same_thread(
    proxy: Proxy, redis: Redis, config: Config
) -> None:
    client = create_app(config).test_client(use_cookies=False)
    people = People(Directory(redis, QuickHashes()), Documents(config.documents))
    headers = {**people.bearer("contributor"), "Idempotency-Key": "one", "Accept": "application/json"}
    wait_for(lambda: client.get("/readyz").status_code == 200)  # The replica may still be getting its first copy.
    proxy.cut()
    first = client.post(COUNT, headers=headers)
    assert refuses(first), first.data
    assert b"too few of its replicas" in first.data
    # It is stored by now, and the repeat writes nothing: that must not look confirmed.
    assert refuses(client.post(COUNT, headers=headers))
    stored = ThreadStore(redis, config).page(Status.INITIALISED).threads[0]
    cancel = f"/groups/acme/threads/{stored.id}/cancel"
    assert refuses(client.post(cancel, headers=headers))
    assert refuses(client.post(cancel, headers=headers))
    assert client.get(f"/groups/acme/threads/{stored.id}/progress", headers=headers).status_code == 200
    # While replicas are behind, nothing ends that a failover would begin again before somebody's eyes.
    assert ThreadStore(redis, config).page("finished").total == 0
    proxy.mend()
    again = client.post(COUNT, headers=headers)
    assert again.status_code == 202, again.data
    assert again.json["id"] == stored.id  # type: ignore[index]
    assert client.post(cancel, headers=headers).status_code == 200


def test_a_claim_an_end_and_a_heartbeat_count_once_a_replica_has_them(
    proxy: Proxy, redis: Redis, config: Config
) -> None:
    store = ThreadStore(redis, config)
    thread_id = store.create(new_thread(redis))
    assert store.take(1) == thread_id
    proxy.cut()
    for _ in range(2):
        with pytest.raises(NotReplicated):
            store.claim(thread_id, "t", "w")
    proxy.mend()
    assert store.claim(thread_id, "t", "w") is not None
    assert store.beat(thread_id, "t").ownership
    proxy.cut()
    with pytest.raises(NotReplicated):
        store.beat(thread_id, "t")
    for _ in range(2):
        with pytest.raises(NotReplicated):
            store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done"))
        assert store.fetch(thread_id).status is Status.INPROGRESS
    proxy.mend()
    assert store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done")) is Status.COMPLETED
    assert store.finish(thread_id, "t", Outcome(Status.FAILED, "Another")) is Status.COMPLETED
    assert store.fetch(thread_id).message == "Done"


def test_a_worker_begins_no_thread_and_takes_no_next_one_before_a_replica_has_it(
    proxy: Proxy, redis: Redis, config: Config, tmp_path: Path
) -> None:
    config = replace(config, lost_after=20)
    store = ThreadStore(redis, config)
    engine = Engine(redis, config, store, load(config.processes))
    mark, next_mark, until = tmp_path / "mark", tmp_path / "next", tmp_path / "until"
    with supervisor(config):
        wait_for(lambda: crew.count(redis, config.queue) == 1)
        proxy.cut()
        with pytest.raises(NotReplicated):
            start(engine, "waiting", mark=str(mark), until=str(until))
        passes(redis, seconds=2)
        assert not mark.exists()
        proxy.mend()
        wait_for(mark.exists)
        (thread,) = store.page(Status.INPROGRESS).threads
        horses = worker_of(redis, config, store, thread.id).children()
        proxy.cut()
        until.touch()
        with pytest.raises(NotReplicated):
            start(engine, "waiting", mark=str(next_mark), until=str(until))
        passes(redis, seconds=2)
        assert store.fetch(thread.id).status is Status.INPROGRESS
        (following,) = store.page(Status.INITIALISED).threads
        assert not next_mark.exists()
        proxy.mend()
        assert ended(store, following).status is Status.COMPLETED
        final = store.fetch(thread.id)
        assert (final.status, final.message, final.restarts) == (Status.COMPLETED, "Saw it through", 0)
        # It waited to end: its horse was not killed for that.
        assert all(horse.is_running() for horse in horses)


def test_a_count_that_no_replica_has_is_seen_by_nobody(proxy: Proxy, redis: Redis, config: Config) -> None:
    janitor, web = Installation(redis, config, "janitor"), Installation(redis, config, "web")
    assert janitor.check(count=True) is None
    assert web.check() is None
    before = web.seen
    proxy.cut()
    with suppress(NotReplicated):
        wait_for(lambda: janitor.check(count=True) or int(redis.hget("ps:installation", "ticks") or 0) > 3, 10)
    with pytest.raises(NotReplicated):
        web.check()
    assert web.seen == before
    web.require(0)  # What was known before still holds.


def test_the_doctor_says_that_a_replica_is_missing(proxy: Proxy, redis: Redis, config: Config) -> None:
    assert not list(redis_checks.followers(redis, config))
    proxy.close()
    wait_for(lambda: list(redis_checks.followers(redis, config)))
    problems = " ".join(map(str, doctor.examine(config)))
    assert "0 of the 1 replicas that PSTHREADS_REPLICAS asks for follow Redis" in problems
    assert "No worker is alive" in problems
    sentinels = replace(config, redis_url="redis+sentinel://h/main", replicas=0)
    assert "a failover may lose threads" in str(list(redis_checks.followers(redis, sentinels)))


def test_every_script_waits_for_replicas_but_those_that_promise_nothing(redis: Redis, config: Config) -> None:
    unconfirmed = [
        name
        for scripts in (ThreadScripts(redis, config), DirectoryScripts(redis, config))
        for name, script in scripts._scripts.items()
        if not isinstance(script, ConfirmedScript)
    ]
    promises = {"start", "claim", "beat", "finish", "abandon", "cancel", "delete", "distrust", "revoke_token", "link"}
    assert promises.isdisjoint(unconfirmed)
    assert len(unconfirmed) == 10 + 17
    others = ThreadScripts(redis, replace(config, replicas=0))
    assert not any(isinstance(script, ConfirmedScript) for script in others._scripts.values())
