"""A backup and a restore, as docs/backup.md says: with a real Redis, its dump, and real files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.documents.layout import Documents
from psthreads.documents.result_files import owner
from psthreads.domain.config import Config
from psthreads.domain.errors import GroupNotFound, ThreadNotFound
from psthreads.domain.model import Status, Thread
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.command_line import operate
from tests.support.people import People
from tests.support.threads import BY, ended, start
from tests.support.waiting import wait_for
from tests.system.stack import supervisor

PAGE = (ROOT / "docs" / "backup.md").read_text()


@dataclass
class Place:
    """An installation in a folder, and its backup in another."""

    folder: Path
    server: RedisServer
    config: Config
    backup: Path

    @property
    def redis(self) -> Redis:
        return Redis.from_url(self.config.redis_url)

    def engine(self) -> Engine:
        return Engine(self.redis, self.config, ThreadStore(self.redis, self.config), load(self.config.processes))

    def back_up(self) -> None:
        """Do as the page says: Redis first, then the documents."""
        with self.redis as redis:
            before = redis.lastsave()
            redis.bgsave()
            wait_for(lambda: redis.lastsave() != before or not redis.info("persistence")["rdb_bgsave_in_progress"])
        shutil.copy(self.server.folder / "dump.rdb", self.backup)
        shutil.copytree(self.config.documents, self.backup / "documents", ignore=shutil.ignore_patterns("tmp"))

    def restore_redis(self) -> None:
        """Do as steps 1 to 3 say."""
        self.server.stop()
        self.server.folder.rename(self.folder / "redis-aside")
        self.server.folder.mkdir()
        shutil.copy(self.backup / "dump.rdb", self.server.folder)
        with RedisServer(self.server.folder, "--appendonly", "no"), self.redis as redis:
            redis.config_set("appendonly", "yes")
            wait_for(lambda: not redis.info("persistence")["aof_rewrite_in_progress"])
            wait_for(lambda: not redis.info("persistence")["aof_rewrite_scheduled"])
        self.server.start()

    def restore_documents(self) -> None:
        """Do as step 4 says."""
        self.config.documents.rename(self.folder / "documents-aside")
        shutil.copytree(self.backup / "documents", self.config.documents)

    def results(self, thread: Thread) -> list[Path]:
        return [path for path in (self.config.documents / "results").rglob("*") if owner(path.name) == thread.id]


@pytest.fixture
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="psthreads-"))
    (folder / "backup").mkdir()
    with RedisServer(folder / "redis") as server:
        config = Config(
            redis_url=server.url,
            port=free_port(),
            workers=1,
            documents=folder / "documents",
            processes=("psthreads.processes", "tests.support.sample_processes"),
            grace=1,
            heartbeat=0.5,
            lost_after=4,
        )
        yield Place(folder, server, config, folder / "backup")
    shutil.rmtree(folder)


def validated(place: Place, people: People) -> Thread:
    """A thread with a report as its result."""
    thread = ended(place.engine().store, start(place.engine(), "validate", people.acme))
    assert thread.status is Status.COMPLETED
    assert place.results(thread)
    return thread


@pytest.mark.parametrize("are_documents_restored", [True, False])
def test_a_restore_keeps_what_was_backed_up_and_says_what_it_does_not_know(
    place: Place, tmp_path: Path, *, are_documents_restored: bool
) -> None:
    people = People(Directory(place.redis, config=place.config), Documents(place.config.documents))
    people.acme_folder.write("/documents/a.xml", b"<a/>")
    held, mark = tmp_path / "held", tmp_path / "mark"
    with supervisor(place.config):
        wait_for(lambda: place.engine().workers() == 1)
        before = validated(place, people)
        running = start(place.engine(), "sleep", people.acme, mark=str(held))
        wait_for(held.exists)
        waiting = start(place.engine(), "count", people.acme, mark=str(mark))
        restartable = start(place.engine(), "restartable", people.acme, mark=str(mark))
        place.back_up()
        place.engine().cancel(running, by=BY, force=True)
        for thread in (waiting, restartable):
            assert ended(place.engine().store, thread).status is Status.COMPLETED
        after = validated(place, people)
        late = Directory(place.redis, config=place.config).by(BY).add_group("late")
        Documents(place.config.documents).group(late).write("/secret.xml", b"<a/>")
        ticks = int(place.redis.hget("ps:installation", "ticks") or 0)
        wait_for(lambda: int(place.redis.hget("ps:installation", "ticks") or 0) > ticks + 5)

    place.restore_redis()
    if are_documents_restored:
        place.restore_documents()
    checked = operate(place.config, "admin installation check")
    assert checked.exit_code == (0 if are_documents_restored else 1)
    assert are_documents_restored or "Redis is older than the documents" in checked.output
    wait_for(lambda: place.engine().workers() == 0)  # The copy has the record of a worker, for some seconds.
    assert operate(place.config, "admin installation adopt --yes").exit_code == 0
    assert operate(place.config, "admin installation check").exit_code == 0

    store = place.engine().store
    assert store.fetch(before.id) == before
    assert place.results(before)
    with pytest.raises(ThreadNotFound):
        store.fetch(after.id)
    assert bool(place.results(after)) == (not are_documents_restored)  # nobody's, for seven days
    for thread in (running, waiting):
        assert "it is not known whether it ran after that" in store.fetch(thread.id).message
        assert store.fetch(thread.id).status is Status.FAILED
    directory = Directory(place.redis, config=place.config)
    with pytest.raises(GroupNotFound):
        directory.find_group("late")
    if not are_documents_restored:
        assert directory.by(BY).add_group("another").id == late.id + 1
    with supervisor(place.config):
        assert ended(store, restartable).status is Status.COMPLETED
        assert mark.read_text().split().count(restartable.id) == 2
        assert mark.read_text().split().count(waiting.id) == 1
        validated(place, people)


def test_a_copy_has_an_id_of_its_own_once_it_was_adopted(place: Place) -> None:
    with supervisor(place.config):
        wait_for(lambda: place.engine().workers() == 1)
        hasty = operate(place.config, "admin installation adopt --yes")
        assert hasty.exit_code == 1
        assert "Workers are alive (1)" in hasty.output
    original = place.redis.hget("ps:installation", "id")
    place.back_up()
    copy = replace(place.config, documents=place.backup / "documents")
    place.server.stop()
    with RedisServer(place.backup, "--appendonly", "no"):
        elsewhere = replace(copy, redis_url=f"unix://{place.backup}/redis.sock")
        wait_for(lambda: replace(place, config=elsewhere).engine().workers() == 0)
        assert operate(elsewhere, "admin installation adopt --yes").exit_code == 0
        assert operate(elsewhere, "admin installation check").exit_code == 0
    place.server.start()
    assert place.redis.hget("ps:installation", "id") == original
    assert operate(place.config, "admin installation check").exit_code == 0
    assert operate(copy, "admin installation check").exit_code == 1


def test_the_page_has_the_steps_that_are_done_here() -> None:
    steps = ("--rdb", "rsync -a", "--appendonly no", "CONFIG SET appendonly yes", "psthreads admin installation adopt")
    page = PAGE[PAGE.index(steps[0]) :]
    places = [page.index(step) for step in steps]
    assert places == sorted(places)
