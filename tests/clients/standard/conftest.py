"""A running service, which the clients of this folder share: with a Redis, a web process and a worker of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from tests.support.people import People
from tests.support.speed import QuickHashes
from tests.support.waiting import wait_for
from tests.system.stack import web, worker
from tests.system.web.conftest import is_up

SAMPLES = "/members/contributor/groups/acme/samples"


@dataclass(frozen=True)
class Service:
    """A running service at `url`, and the people who use it."""

    url: str
    config: Config
    people: People

    def program(self, name: str) -> tuple[str, str]:
        """Add an OAuth client of the contributor, and return its id and its secret."""
        return self.people.directory.by(SETUP).add_client(self.people.members["contributor"], name)


@pytest.fixture(scope="package")
def service() -> Iterator[Service]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    with RedisServer(folder, "--appendfsync", "no") as server:
        config = Config(
            redis_url=server.url,
            port=free_port(),
            documents=folder / "documents",
            processes=("psthreads.processes", "tests.support.sample_processes"),
            grace=2,
            heartbeat=0.5,
            lost_after=4,
            report_interval=0.1,
        )
        with Redis(unix_socket_path=str(server.socket)) as redis:
            people = People(Directory(redis, QuickHashes()), Documents(config.documents))
        for number in range(21):
            people.acme_folder.write(f"/many/{number:02}.txt", b"text")
        with web(config), worker(config):
            wait_for(lambda: is_up(config.port))
            yield Service(f"http://127.0.0.1:{config.port}", config, people)
    shutil.rmtree(folder)
