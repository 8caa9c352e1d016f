"""Where a process's files end up, whatever it does to its working directory and however it forks, in real workers."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.threads import ended, start
from tests.system.stack import WORKER, Program, worker


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, processes=("tests.support.odd_processes",))


@pytest.fixture
def engine(redis: Redis, config: Config, store: ThreadStore) -> Engine:
    return Engine(redis, config, store, load(config.processes))


def results(config: Config) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (config.documents / "results" / "7").iterdir()}


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("raise", 1), ("exit", 7), ("multiprocessing", 7)])
def test_a_fork_that_leaves_its_parents_blocks_touches_nothing_of_it(
    how: str, code: int, engine: Engine, store: ThreadStore, config: Config
) -> None:
    with worker(config):
        thread = ended(store, start(engine, "forking", how=how))
    assert (thread.status, thread.message) == (
        Status.COMPLETED,
        f"The child ended with {code}, and temporary files are kept: True",
    )
    assert results(config) == {f"forked-{thread.id}.txt": b"before\nafter\n"}
    assert [event.message for event in store.log(thread.id).events].count("Cleaned up") == 1


def test_a_relative_folder_of_documents_stays_where_it_was(engine: Engine, store: ThreadStore, config: Config) -> None:
    relative = os.path.relpath(config.documents, ROOT)
    command = [sys.executable, "-c", WORKER, str(os.getpid())]
    with Program(config, command, PSTHREADS_DOCUMENTS=relative):
        thread = ended(store, start(engine, "wandering"))
    name = f"there-{thread.id}.txt"
    assert (thread.status, thread.message) == (Status.COMPLETED, f"{name} True")
    assert results(config) == {name: b"there"}
    assert (config.documents / "groups" / "7" / "documents" / "there.txt").read_bytes() == b"there"


def test_every_path_of_the_settings_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.from_env(
        {
            "PSTHREADS_DOCUMENTS": "documents",
            "PSTHREADS_CERTIFICATE": "certificate.pem",
            "PSTHREADS_PRIVATE_KEY": "keys/private.pem",
            "REDIS_URL": "rediss://:a%20b@host:6380/1?ssl_ca_certs=ca.pem&ssl_certfile=/etc/c.pem&socket_timeout=5",
        }
    )
    monkeypatch.chdir("/")
    assert config.documents == tmp_path / "documents"
    assert (config.certificate, config.private_key) == (f"{tmp_path}/certificate.pem", f"{tmp_path}/keys/private.pem")
    query = config.redis_url.partition("?")[2].replace("%2F", "/")
    assert query == f"ssl_ca_certs={tmp_path}/ca.pem&ssl_certfile=/etc/c.pem&socket_timeout=5"
    assert config.redis_url.startswith("rediss://:a%20b@host:6380/1?")
    assert Config.from_env(config.to_env()) == config
    assert Config(redis_url="unix:///run/redis.sock?db=1").redis_url == "unix:///run/redis.sock?db=1"
