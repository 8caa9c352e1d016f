"""The judge reads what a real server wrote, finds what somebody changed by hand, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.local.server import RedisServer
from psthreads.proving.append_only_file import UnreadableFile, parts
from psthreads.proving.judge import BrokenStep, Judge
from psthreads.threads.store import ThreadStore
from tests.support.command_line import operate
from tests.support.threads import new_thread
from tests.support.waiting import wait_for

BY = Origin("somebody")
FOLDER = "appendonlydir"


class Place:
    """A server of its own, a store on it, and what the judge says of its append-only file."""

    def __init__(self, server: RedisServer, redis: Redis) -> None:
        self.server = server
        self.redis: Any = redis
        self.config = Config(redis_url=server.url, restarts=2, group_threads=2, group_changes=1)
        self.store = ThreadStore(redis, self.config)
        self.judge: Any = None

    @property
    def folder(self) -> Path:
        return self.server.folder / FOLDER

    def incr(self) -> Path:
        return max(self.folder.glob("*.incr.aof"), key=lambda file: int(file.name.split(".")[-3]))

    def broken(self, path: Path | None = None, database: int = 0) -> list[BrokenStep]:
        self.judge = Judge("psthreads", database, group_threads=2, group_changes=1)
        return list(self.judge.run(parts(path or self.folder)))

    def start(self, **more: Any) -> str:
        return self.store.create(new_thread(self.redis, **more))

    def run(self, **more: Any) -> str:
        """Start a thread and begin it, and return its id; its execution is `token`."""
        thread_id = self.start(**more)
        self.redis.lmove("rq:queue:psthreads", "rq:queue:psthreads:intermediate")
        assert self.store.claim(thread_id, "token", "worker")
        return thread_id

    def end(self, thread_id: str, status: Status = Status.COMPLETED) -> str:
        self.store.finish(thread_id, "token", Outcome(status, "the end"))
        return thread_id

    def live(self) -> None:
        """Let a bit of everything happen."""
        first, restarted, exclusive = self.run(), self.run(restartable=True), self.start(exclusive=True)
        waiting, wide = self.start(exclusive=True), self.run(group=None)
        lines = tuple(Line(1_652_667_241_924, Level.INFO, f"*1\r\n$3\r\n#TS:{n}\r\n") for n in range(70))
        self.store.report(first, "token", Report(1, status=Status.WARNING, message="odd", warnings=1, lines=lines))
        self.store.beat(first, "token")
        self.store.cancel(waiting, BY)
        for lease in self.store.survey().leases:
            if lease.thread_id == restarted:
                assert self.store.declare_lost(lease, math.inf) == "requeued"
        self.store.claim(restarted, "token", "worker")
        self.store.abandon(restarted, "No process can be started", "token", not_begun=True)
        self.store.cancel(first, BY)
        self.store.cancel(first, BY, force=True)
        self.end(first)
        self.store.claim(exclusive, "token", "worker")
        for thread_id in (exclusive, wide):
            self.end(thread_id, Status.FAILED)
        self.store.claim(restarted, "token", "worker")
        self.end(restarted)
        self.store.delete(first, BY)
        self.store.page("finished")
        self.store.survey()
        self.store.unblock("7")

    def change_record(self, thread_id: str, **fields: Any) -> None:
        """Write some fields of a record by hand."""
        meta = json.loads(self.redis.hget(f"rq:job:{thread_id}", "meta"))
        self.redis.hset(f"rq:job:{thread_id}", "meta", json.dumps(meta | fields))


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    options = ("--appendfsync", "no", "--aof-timestamp-enabled", "yes", "--databases", "4")
    with RedisServer(tmp_path_factory.mktemp("judged"), *options) as server:
        yield server


@pytest.fixture
def place(own_server: RedisServer) -> Iterator[Place]:
    """A server that is empty, and whose append-only file begins anew."""
    with Redis(unix_socket_path=str(own_server.socket)) as redis:
        redis.flushall()
        redis.config_set("appendonly", "no")
        redis.config_set("appendonly", "yes")
        place = Place(own_server, redis)
        wait_for(lambda: place.redis.info("persistence")["aof_rewrite_in_progress"] == 0)
        yield place


def test_real_lives_break_no_rule_at_any_step(place: Place) -> None:
    place.live()
    assert not place.broken()
    assert place.judge.steps > 20
    assert place.judge.threads == 5
    assert abs(place.judge.time - place.store.time()) < 3000


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_a_file_that_was_rewritten_is_read_from_its_base_on(place: Place, preamble: str) -> None:
    place.redis.config_set("aof-use-rdb-preamble", preamble)
    place.live()
    place.redis.set("other", "x" * 100)
    place.redis.set("number", 70_000)
    place.redis.zadd("scores", {str(number): 1.5 * number for number in range(300)})
    place.redis.sadd("numbers", *range(-4, 9))
    place.redis.xgroup_create("ps:feed", "somebody")
    place.redis.xreadgroup("somebody", "one", {"ps:feed": ">"}, count=2)
    ended, running = place.end(place.run()), place.run()
    place.redis.bgrewriteaof()
    wait_for(lambda: not place.redis.info("persistence")["aof_rewrite_in_progress"])
    assert any(place.folder.glob(f"*.base.{'rdb' if preamble == 'yes' else 'aof'}"))
    place.end(running)
    place.live()
    assert not place.broken()
    assert place.judge.threads == 4 + 2 + 5
    keyspace = place.judge._keyspace
    assert set(keyspace.jobs) == {key.decode().removeprefix("rq:job:") for key in place.redis.keys("rq:job:*")}
    for key in place.redis.keys("ps:threads:*"):
        assert keyspace.values[key.decode()] == {
            member.decode(): score for member, score in place.redis.zrange(key, 0, -1, withscores=True)
        }
    place.change_record(ended, status="failed")
    assert [step.thread_id for step in place.broken()] == [ended]


FLIPS: dict[str, Callable[[Place, str, str], object]] = {
    "had ended as completed, and is failed": lambda it, ended, _: it.change_record(ended, status="failed"),
    "had ended as completed, and is inprogress": lambda it, ended, _: it.change_record(ended, status="inprogress"),
    "had ended as completed, and has vanished before its retention was over": lambda it, ended, _: it.redis.delete(
        f"rq:job:{ended}"
    ),
    "has ended, and is kept for ever": lambda it, ended, _: it.redis.persist(f"rq:job:{ended}"),
    "is completed: it is not in the list of completed threads of 7": lambda it, ended, _: it.redis.zrem(
        "ps:threads:7:completed", ended
    ),
    "is completed: it is not in the list of finished threads of member:1": lambda it, *_: it.redis.zremrangebyscore(
        "ps:threads:member:1:finished", "-inf", "+inf"
    ),
    "is completed: it is in the list of failed threads of server": lambda it, ended, _: it.redis.zadd(
        "ps:threads:server:failed", {ended: 1}
    ),
    "was inprogress, and has vanished": lambda it, _, running: it.redis.unlink(f"rq:job:{running}"),
    "has a record that cannot be read": lambda it, _, running: it.redis.hset(f"rq:job:{running}", "meta", "{"),
    "has a record of a newer version of psthreads": lambda it, _, running: it.change_record(running, version=99),
    "may vanish": lambda it, _, running: it.redis.expire(f"rq:job:{running}", 1000),
    "was cancelled by nobody": lambda it, _, running: it.change_record(running, status="cancelled"),
    "had restarted 0 times, and then 2": lambda it, _, running: it.change_record(running, restarts=2),
    "went to another execution before its own had lost it": lambda it, _, running: it.change_record(
        running, token="other"
    ),
    "is inprogress: it has a lease, says its record alone": lambda it, _, running: it.redis.zrem("ps:leases", running),
    "is inprogress: it is queued, says a list alone": lambda it, _, running: it.redis.zadd("ps:queued", {running: 1}),
    "is inprogress: it has a slot, says its record alone": lambda it, _, running: it.redis.srem("ps:slots:7", running),
    "is inprogress: it is not in the list of active threads of server": lambda it, *_: it.redis.delete(
        "ps:threads:server:active"
    ),
    "the group has 3 entries in ps:slots:7, and may have 2": lambda it, *_: it.redis.sadd("ps:slots:7", "a", "b"),
    "RENAME on rq:job:": lambda it, ended, _: it.redis.rename(f"rq:job:{ended}", "elsewhere"),
    "ZADD on ps:leases is nothing that a script does": lambda it, _, running: it.redis.zadd(
        "ps:leases", {running: 1}, xx=True
    ),
}


@pytest.mark.parametrize("sentence", FLIPS)
def test_what_somebody_changed_by_hand_is_found_at_its_step(place: Place, sentence: str) -> None:
    ended, running = place.end(place.run()), place.run()
    assert not place.broken()
    FLIPS[sentence](place, ended, running)
    size = place.incr().stat().st_size
    place.start(group=None)
    broken = place.broken()
    assert len(broken) == 1
    assert sentence in str(broken[0])
    assert broken[0].thread_id in {ended, running, ""}
    assert place.incr().read_bytes()[broken[0].offset :].startswith(b"*")
    assert size - 2000 < broken[0].offset < size
    assert abs(broken[0].time - place.store.time()) < 3000


def test_a_transaction_is_one_step(place: Place) -> None:
    ended = place.end(place.run())
    with place.redis.pipeline() as transaction:
        transaction.zrem("ps:threads:7:completed", ended)
        transaction.zadd("ps:threads:7:completed", {ended: 5})
        transaction.execute()
    assert not place.broken()


def test_a_flush_costs_every_thread(place: Place) -> None:
    threads = {place.end(place.run()), place.run(), place.start()}
    place.redis.flushall()
    assert {step.thread_id for step in place.broken()} == threads


def test_what_expires_with_its_retention_is_no_loss(place: Place) -> None:
    place.config = Config(redis_url=place.server.url, retention=1)
    place.store = ThreadStore(place.redis, place.config)
    ended = place.end(place.run())
    wait_for(lambda: not place.redis.exists(f"rq:job:{ended}"))
    wait_for(lambda: not place.redis.exists("ps:threads:server:completed"))
    place.run()
    assert not place.broken()
    assert ended not in place.judge._keyspace.jobs


def test_only_the_database_of_psthreads_is_judged(place: Place) -> None:
    place.live()
    with Redis(unix_socket_path=str(place.server.socket), db=3) as other:
        other.hset(f"rq:job:{'a' * 32}", "meta", "{")
        other.flushdb()
    assert not place.broken()
    assert "cannot be read" in str(place.broken(database=3)[0])


def test_a_part_without_its_beginning_is_judged_by_changes_alone(place: Place, tmp_path: Path) -> None:
    ended, running = place.end(place.run()), place.run()
    begin = place.incr().stat().st_size
    place.redis.zrem("ps:leases", running)
    place.end(running)
    place.change_record(ended, status="cancelled")
    place.change_record(running, status="failed")
    part = tmp_path / "part.incr.aof"
    part.write_bytes(place.incr().read_bytes()[begin:])
    assert [step.thread_id for step in place.broken(part)] == [running]


def test_an_unfinished_end_is_left_out_as_a_server_does(place: Place, tmp_path: Path) -> None:
    place.live()
    whole = place.incr().read_bytes()
    assert not place.broken()
    steps = place.judge.steps
    cut = tmp_path / "cut.aof"
    for size in range(len(whole) - 400, len(whole), 17):
        cut.write_bytes(whole[:size])
        assert not place.broken(cut)
        assert place.judge.steps <= steps


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 100, b"hello\r\n", b"*1\r\n$4\r\nPING\r\nhello\r\n", b"*x\r\n", b"*1\r\n$-1\r\n", b"*0\r\n", b"*" * 99],
)
def test_what_is_no_append_only_file_is_an_error_that_says_where(place: Place, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.aof"
    file.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"some\.aof is no append-only file, or a damaged one: .* at byte (0|14)"):
        place.broken(file)


@pytest.mark.parametrize(
    "content", [b"REDIS0011\xff", b"REDIS0011\x07\x01a\x00", b"REDIS0012\xfa\xc0", b"VALKEY080\x10\x01a\x02ab"]
)
def test_a_snapshot_that_cannot_be_read_is_an_error(place: Place, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.base.rdb").write_bytes(content)
    (tmp_path / "a.incr.aof").write_bytes(b"")
    manifest = tmp_path / "a.manifest"
    manifest.write_text("file a.base.rdb seq 1 type b\nfile a.incr.aof seq 1 type i\n")
    with pytest.raises(UnreadableFile, match=r"a\.base\.rdb"):
        place.broken(manifest)


def test_the_doctor_names_the_step_and_the_thread(place: Place) -> None:
    ended = place.end(place.run())
    result = operate(place.config, f"doctor --prove {place.server.folder}")
    assert result.exit_code == 0, result.output
    assert "every rule holds" in result.output
    place.change_record(ended, status="failed")
    result = operate(place.config, f"doctor --prove {place.incr()}")
    assert result.exit_code == 1
    assert (
        f": thread {ended} had ended as completed, and is failed. HSET rq:job:{ended} meta, at byte " in result.output
    )
    assert result.output.endswith(": 1 break a rule.\n")
