"""Claims about a Redis and documents that belong together, and about what happens where they do not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from redis import Redis

from psthreads.admin import redis_checks
from psthreads.audit.entries import SETUP
from psthreads.documents.installation import Installation
from psthreads.documents.layout import Documents, open_marker, scratch_of
from psthreads.domain.config import Config
from psthreads.domain.errors import WrongInstallation
from psthreads.domain.model import Outcome, Status
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.threads.file_sweeper import FileSweeper
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.backends import StoredFiles, elsewhere, in_both
from tests.support.command_line import operate
from tests.support.installations import message, other
from tests.support.people import People
from tests.support.services import COUNT
from tests.support.speed import QuickHashes
from tests.support.threads import new_thread


@pytest.fixture
def empty_redis(config: Config) -> Iterator[Config]:
    """The same settings with another, empty database: a wrong number in REDIS_URL, or an empty folder below Redis."""
    yield replace(config, redis_url=f"{config.redis_url}?db=1")
    with Redis.from_url(f"{config.redis_url}?db=1") as other:
        other.flushdb()


# The start.


@in_both("backend")
def test_a_new_redis_and_a_new_folder_get_one_id_and_keep_it(
    redis: Redis, config: Config, installation: Installation
) -> None:
    stored = installation.marker.read()
    assert stored is not None
    assert redis.hget("ps:installation", "id") == stored.id.encode()
    assert other(config).check() is None
    assert installation.marker.read() == replace(stored, is_confirmed=True)


@in_both("backend")
def test_of_many_processes_that_start_at_once_only_those_with_one_folder_begin(redis: Redis, config: Config) -> None:
    configs = [elsewhere(config, str(number % 3)) for number in range(12)]
    starting = [other(each) for each in configs]
    barrier = threading.Barrier(len(starting))

    def start(each: Installation) -> None:
        barrier.wait()
        each.check()

    threads = [threading.Thread(target=start, args=(each,)) for each in starting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = {each.marker.place: each.marker for each in starting if each.check() is None}
    assert len(begun) == 1
    assert sum(each.mismatch is None for each in starting) == 4
    (marker,) = begun.values()
    stored = marker.read()
    assert stored is not None
    assert redis.hget("ps:installation", "id") == stored.id.encode()


@in_both("backend")
@pytest.mark.parametrize("is_in_redis", [False, True])
def test_a_crash_while_the_id_is_made_is_mended_by_the_next_start(
    redis: Redis, config: Config, *, is_in_redis: bool
) -> None:
    marker = open_marker(config)
    marker.create()
    stored = marker.read()
    assert stored is not None
    if is_in_redis:
        redis.hset("ps:installation", "id", stored.id)
    assert other(config).check() is None
    assert marker.read() == replace(stored, is_confirmed=True)


@in_both("backend")
def test_an_installation_of_an_older_version_gets_its_id_once(redis: Redis, config: Config, people: People) -> None:
    people.acme_folder.write("/a.xml", b"<a/>")
    assert other(config).check() is None
    assert other(config).check() is None


@in_both("backend")
def test_documents_without_an_id_and_an_empty_redis_are_not_paired(redis: Redis, config: Config) -> None:
    StoredFiles(config).put("groups/1/a.xml")
    mismatch = other(config).check()
    assert mismatch is not None
    assert str(mismatch).startswith("Redis is new, or not the one of these documents")
    assert not redis.exists("ps:installation")


# Redis restarted on an empty folder.


@in_both("backend")
def test_no_result_is_removed_because_redis_is_another(
    redis: Redis, config: Config, empty_redis: Config, store: ThreadStore, installation: Installation
) -> None:
    thread_id = store.create(new_thread(redis))
    store.claim(thread_id, "t", "w")
    store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done"))
    files = StoredFiles(config)
    result = files.put(f"results/7/a-{thread_id}.zip", age=40 * 86_400)
    hidden = scratch_of(config) / f"{thread_id}-abc"
    hidden.mkdir(parents=True)
    os.utime(hidden, (0, 0))
    wrong = Redis.from_url(empty_redis.redis_url)
    sweeper = FileSweeper(empty_redis, ThreadStore(wrong, empty_redis), other(empty_redis), Quotas(wrong, empty_redis))
    with pytest.raises(WrongInstallation, match="Redis is new, or not the one of the documents"):
        sweeper.sweep()
    assert files.has(result)
    assert hidden.exists()
    sweeper = FileSweeper(config, store, installation, Quotas(redis, config))
    assert sweeper.sweep() == 1  # the temporary folder of a thread that has ended
    assert files.has(result)
    assert not hidden.exists()


@in_both("backend")
def test_a_flushed_redis_is_noticed_by_processes_that_run(
    redis: Redis, config: Config, installation: Installation, store: ThreadStore
) -> None:
    redis.flushall()
    mismatch = installation.check()
    assert mismatch is not None
    assert mismatch.is_of_redis
    assert Janitor(redis, config, store, installation=installation).sweep() == []
    assert not redis.exists("ps:installation")  # Nobody gives it an id by itself.


@in_both("backend")
def test_ids_of_groups_and_members_are_not_given_again_by_a_new_redis(
    redis: Redis, config: Config, people: People
) -> None:
    people.acme_folder.write("/secret.xml", b"<a/>")
    assert other(config).check(count=True) is None  # as the leading janitor does each second
    last_group, last_member = people.other.id, max(each.id for each in people.members.values())
    redis.flushall()
    changes = Directory(redis, QuickHashes(), config=config).by(SETUP)
    assert changes.add_group("other-team").id == last_group + 1
    assert changes.add_member("someone", "a password of the test").id == last_member + 1


@in_both("backend")
def test_ids_are_known_of_an_installation_that_was_there_before_they_were_noted(
    redis: Redis, config: Config, people: People
) -> None:
    files = StoredFiles(config)
    files.put("loading/8/40/a.xml")
    files.put("results/12/a.zip")
    assert other(config).check() is None
    redis.flushall()
    changes = Directory(redis, QuickHashes(), config=config).by(SETUP)
    assert changes.add_group("other-team").id == 13
    assert changes.add_member("someone", "a password of the test").id == 41


# Different folders.


@in_both("backend")
def test_a_start_is_refused_by_a_web_process_with_another_folder(
    redis: Redis, config: Config, people: People, installation: Installation
) -> None:
    wrong = elsewhere(config)
    client = create_app(wrong).test_client()
    for method, path in (("POST", COUNT), ("GET", "/readyz")):
        answer = client.open(path, method=method, headers=people.bearer("contributor"))
        assert answer.status_code == 503, path
        assert message(answer).startswith("The documents' folder is not the one of this Redis.")
        assert "`psthreads doctor` says" in message(answer)
    assert StoredFiles(wrong).is_empty()


@in_both("backend")
def test_a_start_is_refused_where_only_workers_with_another_folder_would_run_it(
    redis: Redis, config: Config, people: People, installation: Installation
) -> None:
    client = create_app(config).test_client()
    assert client.post(COUNT, headers=people.bearer("contributor")).status_code == 202
    other(elsewhere(config), "worker").check()
    client = create_app(config).test_client()
    for method, path in (("POST", COUNT), ("GET", "/readyz")):
        answer = client.open(path, method=method, headers=people.bearer("contributor"))
        assert answer.status_code == 503, path
        assert "The documents' folder is not the one of this Redis." in message(answer)


@in_both("backend")
def test_the_doctor_says_which_folder_is_wrong_and_ends_with_1(
    redis: Redis, config: Config, people: People, installation: Installation
) -> None:
    assert not list(redis_checks.installation(redis, config))
    wrong = elsewhere(config)
    place = other(wrong).marker.place
    result = operate(wrong, "doctor")
    assert result.exit_code == 1
    assert f"serious: The documents' {place} is not the one of this Redis" in result.output
    assert StoredFiles(wrong).is_empty()
    other(wrong, "worker").check()
    worker = f"serious: worker {os.uname().nodename}:{os.getpid()}: The documents' {place}"
    assert worker in operate(config, "doctor").output


def test_an_unmounted_disk_is_noticed_before_anything_is_written(
    redis: Redis, config: Config, people: People, installation: Installation
) -> None:
    documents = Documents(config.documents, installation.require)
    folder, results = documents.group(people.acme), documents.results(people.acme.id)
    config.documents.rename(config.documents.with_name("away"))
    config.documents.mkdir()
    for write in (
        lambda: folder.write("/a.xml", b"<a/>"),
        lambda: results.write(f"a-{uuid4().hex}.zip"),
        lambda: documents.scratch,
        lambda: documents.loading_zone(people.acme, 1),
    ):
        with pytest.raises(WrongInstallation, match="is not the one of this Redis"):
            write()
    assert not list(config.documents.iterdir())
    config.documents.rmdir()
    config.documents.with_name("away").rename(config.documents)
    assert installation.check() is None
    folder.write("/a.xml", b"<a/>")


@in_both("backend")
def test_a_folder_that_cannot_be_read_is_named(redis: Redis, config: Config, installation: Installation) -> None:
    StoredFiles(config).put(".psthreads/installation.json", content=b"{")
    mismatch = installation.check()
    assert mismatch is not None
    assert f"The documents' {installation.marker.place} cannot be used" in mismatch.what
    assert not mismatch.is_of_redis
