"""One real Redis for each process of the test runner, and what most tests need."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from psthreads.run.server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    # Most tests do not pull the plug, so they need not wait for the disk.
    with Server(folder, "--appendfsync", "no") as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def redis(server: Server) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(server.socket)) as client:
        client.flushall()
        yield client
