"""Every reason for which Redis refuses or does not answer is told as itself, and never as a fault of the server."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from redis import Redis
from redis.exceptions import ResponseError

from psthreads.database.connection import connect, translate_errors
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.errors import StoreFull, StoreRefuses, Unavailable
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from psthreads.web.app import create_app
from tests.support.people import People
from tests.support.speed import QuickHashes
from tests.support.waiting import wait_for
from tests.system.stack import web

COUNT = "/members/contributor/groups/acme/samples/count"


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="psthreads-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def own(folder: Path) -> Iterator[RedisServer]:
    with RedisServer(folder, "--appendfsync", "no", "--busy-reply-threshold", "50") as running:
        yield running


@pytest.fixture
def admin(own: RedisServer) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(own.socket)) as client:
        yield client


@pytest.fixture
def crowd(admin: Redis, own: RedisServer, config: Config) -> People:
    return People(Directory(admin, QuickHashes()), Documents(config.documents))


@pytest.fixture
def client(own: RedisServer, config: Config) -> FlaskClient:
    return create_app(replace(config, redis_url=own.url)).test_client(use_cookies=False)


COMMANDS = {
    "read-only (a replica)": "REPLICAOF 127.0.0.1 1",
    "too few of its replicas": "CONFIG SET min-replicas-to-write 1",
    "Redis is full": "CONFIG SET maxmemory 1",
}


@pytest.mark.parametrize("reason", COMMANDS)
def test_a_redis_that_takes_no_writes_says_why_and_is_still_read(
    reason: str, admin: Redis, crowd: People, client: FlaskClient
) -> None:
    token = crowd.bearer("contributor")
    accepted = client.post(COUNT, headers=token)
    assert accepted.status_code == 202
    admin.execute_command(*COMMANDS[reason].split())  # type: ignore[no-untyped-call] # redis-py's own
    refused = client.post(COUNT, headers=token)
    assert refused.status_code == 503
    assert reason in refused.text
    assert refused.headers["Retry-After"]
    for path in ("/groups/acme/threads", accepted.headers["Location"], "/groups/acme/threads?status=finished"):
        assert client.get(path, headers=token).status_code == 200, path


def test_a_replica_that_lost_its_primary_and_answers_nothing_says_so(
    admin: Redis, crowd: People, client: FlaskClient
) -> None:
    admin.config_set("replica-serve-stale-data", "no")
    admin.replicaof("127.0.0.1", "1")
    answer = client.get("/groups/acme/threads", headers=crowd.bearer("contributor"))
    assert answer.status_code == 503
    assert "lost its primary" in answer.text


def test_a_redis_that_runs_a_long_script_says_so(admin: Redis, crowd: People, client: FlaskClient) -> None:
    def run() -> None:
        with suppress(ResponseError):
            admin.eval("while true do end", 0)

    busy = threading.Thread(target=run)
    busy.start()

    def is_told() -> bool:
        answer = client.get("/groups/acme/threads", headers=crowd.bearer("contributor"))
        return answer.status_code == 503 and "busy with a long script" in answer.text

    wait_for(is_told)
    with Redis(unix_socket_path=str(admin.get_connection_kwargs()["path"])) as other:
        other.script_kill()
    busy.join()


def test_a_user_that_lacks_a_permission_is_told_to_load_the_users_again(
    admin: Redis, crowd: People, own: RedisServer, config: Config
) -> None:
    admin.acl_setuser("web", enabled=True, passwords=["+x"], keys=["*"], categories=["+@all"], commands=["-evalsha"])
    client = create_app(replace(config, redis_url=f"unix://web:x@{own.socket}")).test_client()
    answer = client.get("/groups/acme/threads", headers=crowd.bearer("contributor"))
    assert answer.status_code == 503
    assert "deploy/psthreads.acl" in answer.text
    # Inside a script, too.
    admin.acl_setuser("web", commands=["+evalsha", "+eval", "-hmget"])
    answer = client.get("/groups/acme/threads", headers=crowd.bearer("contributor"))
    assert answer.status_code == 503
    assert "deploy/psthreads.acl" in answer.text


def refused(url: str, call: Callable[[Redis], object] = Redis.ping) -> Unavailable:
    with connect(url, 1, answer_seconds=0.2) as client, pytest.raises(Unavailable) as refusal, translate_errors():
        call(client)
    return refusal.value


def test_passwords_that_are_wrong_or_missing_are_told_apart(admin: Redis, own: RedisServer) -> None:
    admin.config_set("requirepass", "right")
    assert "refuses the user or the password" in refused(f"unix://:wrong@{own.socket}").message
    assert "asks for a password" in refused(own.url).message
    admin.config_set("requirepass", "")


def test_too_many_clients_a_full_pool_a_timeout_and_no_redis_at_all_are_told_apart(
    admin: Redis, own: RedisServer, folder: Path
) -> None:
    def take_two(client: Redis) -> None:
        client.connection_pool.get_connection()
        client.ping()

    assert "All connections of this program" in refused(own.url, take_two).message
    assert "in time" in refused(own.url, lambda client: client.blpop("nothing", 5)).message
    admin.config_set("maxclients", 1)
    # Redis closes the connection at once, which is sometimes all that the client sees.
    wait_for(lambda: "as many clients as it may" in refused(own.url).message)
    assert "cannot be reached" in refused(f"unix://{folder}/nowhere.sock").message


def test_a_cluster_and_a_command_that_was_renamed_are_told_apart(folder: Path) -> None:
    with RedisServer(folder, "--cluster-enabled", "yes", "--rename-command", "LPOS", "x") as server:
        cluster = refused(server.url, lambda client: client.set("a", "b"))
        assert isinstance(cluster, StoreRefuses)
        assert "is a cluster" in cluster.message
        assert "does not know a command" in refused(server.url, lambda client: client.lpos("a", "b")).message


def test_the_refusal_of_one_command_in_a_pipeline_is_told_too(admin: Redis, own: RedisServer) -> None:
    admin.config_set("maxmemory", 1)

    def fill(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.get("a")
            pipeline.set("a", "b")
            pipeline.execute()

    assert isinstance(refused(own.url, fill), StoreFull)


def test_a_redis_that_becomes_a_replica_for_a_while_gives_nobody_a_500(
    admin: Redis, own: RedisServer, crowd: People, config: Config
) -> None:
    config = replace(config, redis_url=own.url, port=free_port())
    site = f"http://127.0.0.1:{config.port}"
    token = crowd.bearer("contributor")
    statuses: Counter[tuple[str, int]] = Counter()
    ended = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                for method, path in (("POST", COUNT), ("GET", "/groups/acme/threads?page-size=5")):
                    answer = session.request(method, site + path, headers=token, timeout=30)
                    statuses[method, answer.status_code] += 1

    with web(config):
        wait_for(lambda: _answers(site))
        clients = [threading.Thread(target=ask) for _ in range(15)]
        for each in clients:
            each.start()
        wait_for(lambda: statuses["POST", 202] > 20)
        admin.replicaof("127.0.0.1", "1")
        until = time.monotonic() + 2
        wait_for(lambda: statuses["POST", 503] > 100 and time.monotonic() > until)
        admin.replicaof("NO", "ONE")
        accepted = statuses["POST", 202]
        wait_for(lambda: statuses["POST", 202] > accepted + 100)
        ended.set()
        for each in clients:
            each.join()
    assert set(statuses) == {("POST", 202), ("POST", 503), ("GET", 200)}, statuses


def _answers(site: str) -> bool:
    try:
        return requests.get(f"{site}/healthz", timeout=5).ok
    except requests.RequestException:
        return False
