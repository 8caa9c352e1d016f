"""Following a thread over real sockets: every line once, whatever breaks; and nothing to whom it is not for."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import psutil
import pytest
from redis import Redis

from psthreads.audit.entries import SETUP, Origin
from psthreads.domain.access import Group, Role
from psthreads.domain.config import Config
from psthreads.domain.model import Thread
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import start
from tests.support.waiting import wait_for
from tests.system.stack import web, worker
from tests.system.web.conftest import Site, is_up
from tests.system.web.sse import Event, Stream


def messages(events: list[Event]) -> list[str]:
    return [event.data["message"] for event in events if event.kind == "log"]


def test_whoever_loses_the_connection_200_times_still_sees_every_line_once(site: Site) -> None:
    rng = random.Random(7)  # noqa: S311 (a seeded sequence is the point)
    with worker(site.config):
        thread = start(site.engine, "lines", group=site.people.acme, total=50_000, pause=0.01)
        seen: list[Event] = []
        last, kills = "", 0
        while not (seen and seen[-1].kind == "status" and seen[-1].data["status"] == "completed"):
            with site.events(thread, last=last, limit=rng.randrange(1, 60_000) if kills < 200 else 0) as stream:
                assert stream.status == 200
                for event in stream:
                    last = event.id
                    seen.append(event)
            kills += 1
    assert kills > 200
    numbers = [event.data["seq"] for event in seen if event.kind == "log"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert messages(seen)[2:-1] == [f"line {number}" for number in range(1, 50_001)]
    assert len(numbers) == 50_003  # accepted, started, the lines, the end
    assert last == str(len(numbers) + 1)


def test_a_stream_gives_the_state_then_the_log_then_what_changes_and_ends_with_the_final_status(site: Site) -> None:
    thread = site.running()
    with site.events(thread) as stream:
        events = iter(stream)
        first = [next(events) for _ in range(3)]
        assert [event.kind for event in first] == ["log", "log", "status"]
        assert first[2].data["status"] == "inprogress"
        assert first[2].data["id"] == thread.id
        site.log(thread, 1, "one", xml='<progress total="3" current="1"/>')
        more = [next(events), next(events)]
        assert [(event.kind, event.id) for event in more] == [("log", "3"), ("progress", "3")]
        assert more[1].data["progress"] == {"total": 3, "current": 1}
        site.finish(thread)
        end = list(events)
    assert [(event.kind, event.id) for event in end] == [("log", "4"), ("status", "5")]
    assert end[1].data["status"] == "completed"


def test_who_has_seen_the_end_is_told_to_stop_asking(site: Site) -> None:
    thread = site.running()
    site.finish(thread)
    with site.events(thread) as stream:
        *_, end = list(stream)
    with site.events(thread, last=end.id) as stream:
        assert stream.status == 204
    with site.events(thread, last=str(int(end.id) - 1)) as stream:
        assert [(event.kind, event.id) for event in stream] == [("status", end.id)], "it saw the lines, not the end"


def test_a_stream_begins_where_it_is_told_to(site: Site) -> None:
    thread = site.running()
    site.log(thread, 1, *(f"line {number}" for number in range(100)))
    site.finish(thread)
    path = f"/groups/acme/threads/{thread.id}/events"
    for query, expected in (("?from=100", 4), ("?tail=5", 5), ("?tail=5&level=ERROR", 0), ("?last-event-id=101", 2)):
        with site.stream(path + query) as stream:
            assert len(messages(list(stream))) == expected, query
    for query in ("?from=x", "?tail=1&from=1", "?level=LOUD", "?last-event-id=x"):
        with site.stream(path + query) as stream:
            assert stream.status == 400
            assert b"<error" in stream.body()


def test_a_gap_in_a_full_log_is_told_in_the_stream(
    redis: Redis, config: Config, people: People, engine: Engine
) -> None:
    config = replace(config, log_events=100)
    with web(config) as program:
        wait_for(lambda: is_up(config.port))
        site = Site(config, people, engine, ThreadStore(redis, config), program)
        thread = site.running()
        site.log(thread, 1, *(f"line {number}" for number in range(500)))
        site.finish(thread)
        with site.events(thread) as stream:
            logged = [event for event in stream if event.kind == "log"]
    assert "lines are gone from here" in logged[50].data["message"]
    assert logged[51].data["seq"] == logged[50].data["seq"] + 1
    assert logged[-1].data["seq"] == 503


def test_many_streams_of_one_thread_take_one_connection_to_redis_and_one_reading(site: Site, redis: Redis) -> None:
    thread = site.running()
    with ExitStack() as stack:
        streams = [stack.enter_context(site.events(thread)) for _ in range(100)]
        for stream in streams:
            assert next(iter(stream)).kind == "log"
        # Those that are blocked: it takes another connection of the pool each time.
        wait_for(
            lambda: len([each for each in redis.client_list() if each["cmd"] == "xread" and "b" in each["flags"]]) == 1
        )
        redis.config_resetstat()
        for number in range(1, 11):
            site.log(thread, number, f"line {number}")
        site.finish(thread)
        for stream in streams:
            assert messages(list(stream))[-1] == "Done"
    calls = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls < 200, "each of them read for itself"


def test_a_reader_that_takes_nothing_is_dropped_and_costs_no_memory(site: Site) -> None:
    thread = site.running()
    (process,) = wait_for(site.web.children)
    with site.events(thread) as stream:
        before = process.memory_info().rss
        for number in range(1, 61):
            site.log(thread, number, *("x" * 16_000 for _ in range(60)))  # 58 MB in all
        time.sleep(1)
        assert process.memory_info().rss - before < 20_000_000
        started = time.monotonic()
        wait_for(lambda: site.renew(thread) and site.get("/healthz").ok and not established(process, stream), 30)
        assert time.monotonic() - started < 25
    with site.events(thread, last="3000") as stream:  # and it resumes
        assert next(iter(stream)).data["seq"] == 3001


def established(process: psutil.Process, stream: Stream) -> bool:
    port = stream._socket.getsockname()[1]
    return any(found.raddr and found.raddr.port == port for found in process.net_connections("tcp"))


def test_over_the_limit_there_is_a_503_that_says_when_to_try_again(
    redis: Redis, config: Config, people: People, engine: Engine, store: ThreadStore
) -> None:
    config = replace(config, streams=2, streams_per_member=10)
    with web(config) as program:
        wait_for(lambda: is_up(config.port))
        site = Site(config, people, engine, store, program)
        thread = site.running()
        first, second = site.events(thread, "chief"), site.events(thread, "chief")
        with site.events(thread, "chief") as third:
            assert third.status == 503
            assert "Retry-After" in third.head
        assert site.get(f"/groups/acme/threads/{thread.id}/progress").ok
        first.__exit__()
        wait_for(lambda: is_accepted(site, thread))  # whoever hung up is noticed
        second.__exit__()


def is_accepted(site: Site, thread: Thread) -> bool:
    with site.events(thread, "chief") as stream:
        return stream.status == 200


@pytest.mark.parametrize("change", ["role", "membership", "token", "member", "password"])
def test_who_loses_the_right_receives_nothing_more(site: Site, change: str) -> None:
    thread, directory = site.running(), site.people.directory
    member = site.people.members["contributor"]
    for path in (f"/groups/acme/threads/{thread.id}/events", "/groups/acme/threads/events"):
        directory.by(SETUP).set_membership(member, site.people.acme, Role.CONTRIBUTOR)
        headers = site.people.basic("contributor") if change == "password" else site.people.bearer("contributor")
        with Stream(site.config.port, path, headers) as stream:
            events = iter(stream)
            next(events)
            take_away: dict[str, Callable[[], object]] = {
                "role": lambda: directory.by(SETUP).set_membership(member, site.people.acme, Role.REVIEWER),
                "membership": lambda: directory.by(SETUP).remove_membership(member, site.people.acme),
                "token": lambda: directory.by(SETUP).revoke_token(member, "test"),
                "member": lambda: directory.by(SETUP).remove_member(member),
                "password": lambda: directory.by(SETUP).change_password(member, "another battery staple"),
            }
            take_away[change]()
            site.log(thread, 1, "not for you", message="not for you")
            assert "not for you" not in json.dumps([event.data for event in events])
        if change in {"token", "member", "password"}:
            break  # Nobody is there any more who could try the other.


def test_the_streams_of_others_look_absent(site: Site) -> None:
    thread = site.running()
    with site.events(thread, who="outsider") as stream:
        assert stream.status == 403
    foreign = start(site.engine, "count", group=Group(site.people.other.id, "other"))
    with site.events(foreign) as stream:
        assert stream.status == 404


def test_the_stream_of_a_group_tells_what_is_active_and_what_changes_there(site: Site) -> None:
    thread = site.running()
    other = start(site.engine, "count", group=site.people.other)
    with site.stream("/groups/acme/threads/events") as stream:
        events = iter(stream)
        first = next(events)
        assert (first.kind, first.data["id"]) == ("status", thread.id)
        site.store.cancel(other.id, Origin("somebody"))
        site.log(thread, 1, xml='<progress total="9" current="1"/>')
        second = next(events)
        assert (second.kind, second.data["id"], second.data["progress"]["current"]) == ("progress", thread.id, 1)
    site.finish(thread)
    late = site.running()
    with site.stream("/groups/acme/threads/events", last=second.id) as stream:
        events = iter(stream)
        found = {event.data["id"]: event.data["status"] for event in (next(events), next(events))}
    assert found == {thread.id: "completed", late.id: "inprogress"}, "what was missed is told after a resume"


def test_who_was_away_for_too_long_is_told_to_begin_again(site: Site, redis: Redis) -> None:
    thread = site.running()
    with site.stream("/threads/events", who="chief", last="1-1") as stream:
        events = iter(stream)
        assert next(events).kind == "reset"
        assert next(events).data["id"] == thread.id


def test_a_stream_lives_through_an_outage_of_redis(site: Site, redis: Redis) -> None:
    thread = site.running()
    with site.events(thread) as stream:
        events = iter(stream)
        assert next(events).kind == "log"
        redis.client_kill_filter(_type="normal", skipme=True)
        site.log(thread, 1, "after it")
        while next(events).data.get("message") != "after it":
            pass


def test_a_silent_stream_shows_every_15_seconds_that_it_lives(site: Site) -> None:
    with worker(site.config):
        mark = site.config.documents.parent / "mark"
        thread = start(site.engine, "sleep", group=site.people.acme, mark=str(mark))
        wait_for(mark.exists)
        with site.events(thread) as one, site.stream("/groups/acme/threads/events") as many:
            for stream in (one, many):
                assert next(iter(stream)).data
            begin = time.monotonic()
            wait_for(lambda: all(stream.has_comment() for stream in (one, many)), 30)
            assert time.monotonic() - begin > 5


def test_a_stop_does_not_wait_for_streams(site: Site) -> None:
    thread = site.running()
    with site.events(thread) as stream:
        next(iter(stream))
        process = site.web.process
        assert process is not None
        process.terminate()
        started = time.monotonic()
        process.wait(20)
        assert time.monotonic() - started < 6
