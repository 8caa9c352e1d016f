"""Claims about a Redis and documents that belong together, and about what happens where they do not."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from lxml import etree
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.admin import doctor
from psthreads.audit.entries import SETUP
from psthreads.documents.folders.marker import Marker
from psthreads.documents.installation import Installation
from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable, WrongInstallation
from psthreads.domain.model import Outcome, Ownership, Status
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.threads.file_sweeper import FileSweeper
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.backends import in_both
from tests.support.command_line import operate
from tests.support.people import People
from tests.support.services import COUNT
from tests.support.speed import QuickHashes
from tests.support.threads import new_thread


@pytest.fixture
def installation(redis: Redis, config: Config) -> Installation:
    made = Installation(redis, config, "test")
    assert made.check() is None
    return made


@pytest.fixture
def elsewhere(config: Config) -> Iterator[Config]:
    """The same settings with another, empty database: a wrong number in REDIS_URL, or an empty folder below Redis."""
    yield replace(config, redis_url=f"{config.redis_url}?db=1")
    with Redis.from_url(f"{config.redis_url}?db=1") as other:
        other.flushdb()


def other(config: Config, program: str = "other") -> Installation:
    return Installation(Redis.from_url(config.redis_url), config, program)


def message(answer: TestResponse) -> str:
    """The sentence of an error, for everybody: it names no folder."""
    assert "/tmp" not in answer.text  # noqa: S108 (where the tests' folders are)
    return etree.fromstring(answer.data).findtext("message") or ""


def old_result(root: Path, thread_id: str) -> Path:
    file = root / "results" / "7" / f"a-{thread_id}.zip"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"content")
    os.utime(file, (time.time() - 40 * 86_400,) * 2)
    return file


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


def test_of_many_processes_that_start_at_once_only_those_with_one_folder_begin(
    redis: Redis, config: Config, tmp_path: Path
) -> None:
    configs = [replace(config, documents=tmp_path / str(number % 3)) for number in range(12)]
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
    begun = {each.marker.place for each in starting if each.check() is None}
    assert len(begun) == 1
    assert sum(each.mismatch is None for each in starting) == 4
    (place,) = begun
    stored = Marker(Path(place.removeprefix("folder "))).read()
    assert stored is not None
    assert redis.hget("ps:installation", "id") == stored.id.encode()


@pytest.mark.parametrize("is_in_redis", [False, True])
def test_a_crash_while_the_id_is_made_is_mended_by_the_next_start(
    redis: Redis, config: Config, *, is_in_redis: bool
) -> None:
    marker = Marker(config.documents)
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


def test_documents_without_an_id_and_an_empty_redis_are_not_paired(redis: Redis, config: Config) -> None:
    (config.documents / "groups" / "1").mkdir(parents=True)
    mismatch = other(config).check()
    assert mismatch is not None
    assert str(mismatch).startswith("Redis is new, or not the one of these documents")
    assert not redis.exists("ps:installation")


# Redis restarted on an empty folder.


def test_no_result_is_removed_because_redis_is_another(
    redis: Redis, config: Config, elsewhere: Config, store: ThreadStore, installation: Installation
) -> None:
    thread_id = store.create(new_thread(redis))
    store.claim(thread_id, "t", "w")
    store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done"))
    file = old_result(config.documents, thread_id)
    hidden = config.documents / "tmp" / f"{thread_id}-abc"
    hidden.mkdir(parents=True)
    os.utime(hidden, (0, 0))
    wrong = Redis.from_url(elsewhere.redis_url)
    sweeper = FileSweeper(elsewhere, ThreadStore(wrong, elsewhere), other(elsewhere), Quotas(wrong, elsewhere))
    with pytest.raises(WrongInstallation, match="Redis is new, or not the one of the documents"):
        sweeper.sweep()
    assert file.exists()
    assert hidden.exists()
    assert (
        FileSweeper(config, store, installation, Quotas(redis, config)).sweep() == 1
    )  # the temporary folder of a thread that has ended
    assert file.exists()


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


def test_ids_are_known_of_an_installation_that_was_there_before_they_were_noted(
    redis: Redis, config: Config, people: People
) -> None:
    (config.documents / "loading" / "8" / "40").mkdir(parents=True)
    (config.documents / "results" / "12").mkdir(parents=True)
    assert other(config).check() is None
    redis.flushall()
    changes = Directory(redis, QuickHashes(), config=config).by(SETUP)
    assert changes.add_group("other-team").id == 13
    assert changes.add_member("someone", "a password of the test").id == 41


# Different folders.


def test_a_start_is_refused_by_a_web_process_with_another_folder(
    redis: Redis, config: Config, people: People, installation: Installation, tmp_path: Path
) -> None:
    wrong = replace(config, documents=tmp_path / "elsewhere")
    client = create_app(wrong).test_client()
    for method, path in (("POST", COUNT), ("GET", "/readyz")):
        answer = client.open(path, method=method, headers=people.bearer("contributor"))
        assert answer.status_code == 503, path
        assert message(answer).startswith("The documents' folder is not the one of this Redis.")
        assert "`psthreads doctor` says" in message(answer)
    assert not wrong.documents.exists()


def test_a_start_is_refused_where_only_workers_with_another_folder_would_run_it(
    redis: Redis, config: Config, people: People, installation: Installation, tmp_path: Path
) -> None:
    client = create_app(config).test_client()
    assert client.post(COUNT, headers=people.bearer("contributor")).status_code == 202
    other(replace(config, documents=tmp_path / "elsewhere"), "worker").check()
    client = create_app(config).test_client()
    for method, path in (("POST", COUNT), ("GET", "/readyz")):
        answer = client.open(path, method=method, headers=people.bearer("contributor"))
        assert answer.status_code == 503, path
        assert "The documents' folder is not the one of this Redis." in message(answer)


def test_the_doctor_says_which_folder_is_wrong_and_ends_with_1(
    redis: Redis, config: Config, people: People, installation: Installation, tmp_path: Path
) -> None:
    assert not list(doctor.installation(redis, config))
    wrong = replace(config, documents=tmp_path / "elsewhere")
    result = operate(wrong, "doctor")
    assert result.exit_code == 1
    assert f"serious: The documents' folder {wrong.documents} is not the one of this Redis" in result.output
    assert not wrong.documents.exists()
    other(wrong, "worker").check()
    assert (
        f"serious: worker {os.uname().nodename}:{os.getpid()}: The documents' folder"
        in operate(config, "doctor").output
    )


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


def test_a_folder_that_cannot_be_read_is_named(redis: Redis, config: Config, installation: Installation) -> None:
    (config.documents / ".psthreads" / "installation.json").write_text("{")
    mismatch = installation.check()
    assert mismatch is not None
    assert str(config.documents) in mismatch.what
    assert not mismatch.is_of_redis


# Redis goes back in time.


@in_both("backend")
def test_an_older_redis_is_noticed_by_those_who_run_and_by_those_who_start(
    redis: Redis, config: Config, installation: Installation
) -> None:
    for _ in range(3):
        other(config).check(count=True)
    older = redis.dump("ps:installation")
    assert older is not None
    other(config).check(count=True)
    assert installation.check() is None
    redis.restore("ps:installation", 0, older, replace=True)
    for each in (installation, other(config)):  # The first has seen more, and tells the second by the store.
        mismatch = each.check(count=True)
        assert mismatch is not None
        assert mismatch.what.startswith("Redis is older than the documents")
        assert mismatch.is_of_redis
    assert redis.dump("ps:installation") == older


@in_both("backend")
def test_the_web_shows_nothing_of_an_older_redis_or_of_another(
    redis: Redis, config: Config, people: People, installation: Installation, store: ThreadStore
) -> None:
    thread_id, older = store.create(new_thread(redis)), redis.dump("ps:installation")
    assert older is not None
    other(config).check(count=True)
    client, path = create_app(config).test_client(), f"/threads/{thread_id}/progress"
    client.get("/readyz")  # It looks how far Redis has come, as the janitor of a web process does each second.
    for wrong in (lambda: redis.restore("ps:installation", 0, older, replace=True), redis.flushdb):
        assert client.get(path, headers=people.bearer("chief")).status_code == 200
        now = redis.dump("ps:installation")
        wrong()
        answer = client.get(path, headers=people.bearer("chief"))
        assert answer.status_code == 503
        assert message(answer).startswith("This is not the Redis that the service had before")
        assert now is not None
        redis.restore("ps:installation", 0, now, replace=True)


@in_both("backend")
def test_a_worker_claims_nothing_in_an_older_redis_and_loses_what_it_runs(
    redis: Redis, config: Config, installation: Installation
) -> None:
    store = ThreadStore(redis, config, installation=installation)
    queued, running = (store.create(new_thread(redis)) for _ in range(2))
    assert store.claim(running, "t", "w")
    assert store.beat(running, "t").ownership is Ownership.OWNED
    older = redis.dump("ps:installation")
    assert older is not None
    assert installation.check(count=True) is None
    redis.restore("ps:installation", 0, older, replace=True)
    assert not store.claim(queued, "u", "w")
    assert store.beat(running, "t").ownership is Ownership.DISOWNED
    assert store.fetch(queued).status is Status.INITIALISED


@in_both("backend")
def test_a_heartbeat_sees_how_far_redis_has_come(redis: Redis, config: Config, installation: Installation) -> None:
    store = ThreadStore(redis, config, installation=installation)
    running = store.create(new_thread(redis))
    assert store.claim(running, "t", "w")
    older = redis.dump("ps:installation")
    assert older is not None
    other(config).check(count=True)
    store.beat(running, "t")
    redis.restore("ps:installation", 0, older, replace=True)
    assert store.beat(running, "t").ownership is Ownership.DISOWNED


def test_a_copy_of_the_folder_is_noticed_once_the_right_one_is_ahead(
    redis: Redis, config: Config, installation: Installation, tmp_path: Path
) -> None:
    copy = replace(config, documents=tmp_path / "copy")
    shutil.copytree(config.documents, copy.documents)
    assert other(copy).check() is None
    redis.hincrby("ps:installation", "ticks", 200)
    for _ in range(2):  # The second tells Redis what the first has noted.
        assert other(config).check(count=True) is None
    mismatch = other(copy).check()
    assert mismatch is not None
    assert mismatch.what.startswith(f"The documents' folder {copy.documents} is older than Redis, or a copy")
    assert not mismatch.is_of_redis
    assert other(config).check() is None
    assert operate(copy, "admin installation adopt --yes").exit_code == 0
    assert other(copy).check() is None
    assert other(config).check() is not None


def test_a_full_disk_stops_nothing_that_can_be_done_without_notes(
    redis: Redis, config: Config, installation: Installation
) -> None:
    # A file of this name is in the way of notes, as a full disk is: nothing else stops root.
    (config.documents / ".psthreads" / "ids").write_bytes(b"")
    redis.set("ps:last-id:group", 5)
    redis.hincrby("ps:installation", "ticks", 10)
    for _ in range(2):
        assert other(config).check(count=True) is None
    assert installation.check() is None


def test_a_janitor_that_sees_other_files_leaves_the_lead_to_one_that_sees_the_right_ones(
    redis: Redis, config: Config, installation: Installation, store: ThreadStore, tmp_path: Path
) -> None:
    wrong = replace(config, documents=tmp_path / "elsewhere")
    Janitor(redis, wrong, store, installation=other(wrong)).sweep()
    assert not Janitor.has_leader(redis)
    Janitor(redis, config, store, installation=installation).sweep()
    assert Janitor.has_leader(redis)


@in_both("backend")
def test_a_copy_from_a_moment_before_a_claim_is_older_for_all(
    redis: Redis, config: Config, installation: Installation
) -> None:
    store = ThreadStore(redis, config, installation=installation)
    thread_id = store.create(new_thread(redis))
    older = {key: redis.dump(key) for key in ("ps:installation", f"rq:job:{thread_id}")}
    assert store.claim(thread_id, "t", "w")
    right = redis.dump("ps:installation")
    assert right is not None
    for key, value in older.items():
        assert value is not None
        redis.restore(key, 0, value, replace=True)
    assert not store.claim(thread_id, "u", "w")
    for each in (installation, other(config)):
        mismatch = each.check(count=True)
        assert mismatch is not None
        assert mismatch.what.startswith("Redis is older than the documents")
    redis.restore("ps:installation", 0, right, replace=True)
    for each in (installation, other(config)):
        assert each.check() is None, "the right one is back"


# The operator's word.


@in_both("backend")
def test_adopting_ends_what_may_have_run_and_queues_again_what_may_restart(
    redis: Redis, config: Config, installation: Installation, store: ThreadStore
) -> None:
    queued, again = store.create(new_thread(redis)), store.create(new_thread(redis, restartable=True))
    running, running_again = store.create(new_thread(redis)), store.create(new_thread(redis, restartable=True))
    for each in (running, running_again):
        assert store.claim(each, "t", "w")
    installation.marker.note_ticks(1_000)
    assert other(config).check() is not None
    result = operate(config, "admin installation adopt --yes")
    assert result.exit_code == 0, result.output
    for each in (queued, running):
        thread = store.fetch(each)
        assert thread.status is Status.FAILED
        assert thread.message == "Redis was restored or replaced: it is not known whether it ran after that"
    for each in (again, running_again):
        assert store.fetch(each).status is Status.INITIALISED
    assert store.claim(running_again, "u", "w")
    assert installation.check() is None
    assert other(config).check(count=True) is None


@in_both("backend")
def test_a_new_redis_is_adopted_unless_its_groups_would_get_the_files_of_others(
    redis: Redis, config: Config, people: People
) -> None:
    assert other(config).check(count=True) is None
    redis.flushall()
    Directory(redis, QuickHashes()).by(SETUP).add_group("other-team")  # by somebody who does not know the folder
    result = operate(config, "admin installation adopt --yes")
    assert result.exit_code == 1
    assert "groups with ids that the documents' folder knows already: 1." in result.output
    assert other(config).check() is not None
    directory = Directory(redis, QuickHashes(), config=config)
    directory.by(SETUP).remove_group(directory.find_group("other-team"))
    assert directory.by(SETUP).add_group("other-team").id == people.other.id + 1
    assert operate(config, "admin installation adopt --yes").exit_code == 0
    assert other(config).check() is None
    assert operate(config, "admin installation check").exit_code == 0


def test_a_lost_folder_is_adopted(redis: Redis, config: Config, installation: Installation) -> None:
    shutil.rmtree(config.documents)
    assert operate(config, "admin installation check").exit_code == 1
    assert operate(config, "admin installation adopt --yes").exit_code == 0
    assert installation.check() is None


def test_without_redis_files_are_as_right_as_they_were(config: Config, installation: Installation) -> None:
    installation.require(fresh=0)
    away = Installation(Redis(port=1), config, "test")
    with pytest.raises(Unavailable):
        away.require()
