"""Claims about a Redis that goes back in time, and about the operator's word on what belongs together."""

from __future__ import annotations

import pytest
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Ownership, Status
from psthreads.identity.directory import Directory
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.backends import StoredFiles, elsewhere, in_both
from tests.support.command_line import operate
from tests.support.installations import message, other
from tests.support.people import People
from tests.support.speed import QuickHashes
from tests.support.threads import new_thread

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


@in_both("backend")
def test_a_copy_of_the_folder_is_noticed_once_the_right_one_is_ahead(
    redis: Redis, config: Config, installation: Installation
) -> None:
    copy = elsewhere(config)
    StoredFiles(config).copy_to(copy)
    assert other(copy).check() is None
    redis.hincrby("ps:installation", "ticks", 200)
    for _ in range(2):  # The second tells Redis what the first has noted.
        assert other(config).check(count=True) is None
    mismatch = other(copy).check()
    assert mismatch is not None
    assert mismatch.what.startswith(f"The documents' {other(copy).marker.place} is older than Redis, or a copy")
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


@in_both("backend")
def test_a_janitor_that_sees_other_files_leaves_the_lead_to_one_that_sees_the_right_ones(
    redis: Redis, config: Config, installation: Installation, store: ThreadStore
) -> None:
    wrong = elsewhere(config)
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


@in_both("backend")
def test_a_lost_folder_is_adopted(redis: Redis, config: Config, installation: Installation) -> None:
    StoredFiles(config).clear()
    assert operate(config, "admin installation check").exit_code == 1
    assert operate(config, "admin installation adopt --yes").exit_code == 0
    assert installation.check() is None


def test_without_redis_files_are_as_right_as_they_were(config: Config, installation: Installation) -> None:
    installation.require(fresh=0)
    away = Installation(Redis(port=1), config, "test")
    with pytest.raises(Unavailable):
        away.require()
