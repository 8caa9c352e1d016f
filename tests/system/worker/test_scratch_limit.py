"""A thread has no more temporary files than it may, and leaves none, however it ends."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.documents.layout import scratch_of
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from psthreads.worker.scratch_limit import ScratchLimit
from tests.support.backends import in_both
from tests.support.threads import ended, start
from tests.system.stack import worker


@in_both("backend")
def test_a_thread_with_too_many_temporary_files_is_killed_says_so_and_leaves_none(
    redis: Redis, config: Config, store: ThreadStore
) -> None:
    config = replace(config, processes=("tests.support.untidy_processes",), scratch_bytes=2 * 1024**2)
    thread = start(Engine(redis, config, store, load(config.processes)), "hoard", size=3 * 1024**2)
    with worker(config):
        done = ended(store, thread, 60)
    assert (done.status, done.message.partition(" and ")[0]) == (
        Status.FAILED,
        "It had more than 2 MiB of temporary files",
    )
    assert list(scratch_of(config).iterdir()) == []


def test_without_a_limit_a_thread_may_have_half_of_what_is_free_where_documents_are_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    (tmp_path / "some-thread").write_bytes(bytes(9_000))
    for limit, spares_disk, is_exceeded in ((0, True, True), (20_000, True, False), (0, False, False)):
        scratch = ScratchLimit(tmp_path, limit, spares_disk=spares_disk)
        scratch.begin("some")
        assert scratch.is_exceeded(1) is is_exceeded
