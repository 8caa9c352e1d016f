"""A thread has no more temporary files than it may, and leaves none, however it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import ended, start
from tests.system.stack import worker


@pytest.mark.parametrize("stored", ["folder", "store"])
def test_a_thread_with_too_many_temporary_files_is_killed_says_so_and_leaves_none(
    redis: Redis, config: Config, store: ThreadStore, stored: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    config = replace(config, processes=("tests.support.untidy_processes",), scratch_bytes=2 * 1024**2)
    scratch = config.documents / "tmp"
    if stored == "store":
        server = request.getfixturevalue("object_server")
        scratch = tmp_path / "scratch"
        config = replace(config, documents=Path(server.new_url()), endpoint=server.endpoint, scratch=scratch)
    thread = start(Engine(redis, config, store, load(config.processes)), "hoard", size=3 * 1024**2)
    with worker(config):
        done = ended(store, thread, 60)
    assert (done.status, done.message.partition(" and ")[0]) == (
        Status.FAILED,
        "It had more than 2 MiB of temporary files",
    )
    assert list(scratch.iterdir()) == []
