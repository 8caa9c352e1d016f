"""Finding threads: by everything that can be asked for, page by page, at a cost that does not grow."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Outcome, Report, Status
from psthreads.threads.search import ThreadQuery, ThreadSearch
from psthreads.threads.store import ThreadStore
from tests.support.searching import every, ids, made
from tests.support.threads import ACME, BY, JONES, new_thread
from tests.support.waiting import wait_for

PRESS = Group(8, "press")


def made_later(redis: Redis, store: ThreadStore, **more: Any) -> str:
    """The same, in another millisecond than all before it."""
    now = _milliseconds(redis)
    wait_for(lambda: _milliseconds(redis) > now)
    return made(redis, store, **more)


def _milliseconds(redis: Redis) -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000


def test_every_filter_finds_what_it_names_and_nothing_else(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    plain = made(redis, store, end=Status.COMPLETED)
    failed = made(redis, store, end=Status.FAILED, message="Disk FÜLL")
    press = made(redis, store, group=PRESS, end=Status.COMPLETED)
    nowhere = made(redis, store, group=None, end=Status.COMPLETED)
    other = made(redis, store, process="export", member_id=9, username="smith", end=Status.COMPLETED)
    active = made(redis, store, name="Nightly report")
    finished = {plain, failed, press, nowhere, other}
    cases = [
        (ThreadQuery(), {active}),
        (ThreadQuery("finished"), finished),
        (ThreadQuery(Status.FAILED), {failed}),
        (ThreadQuery(Status.INITIALISED), {active}),
        (ThreadQuery("finished", group_id=PRESS.id), {press}),
        (ThreadQuery("finished", group_id=ACME.id), {plain, failed, other}),
        (ThreadQuery("finished", member_id=9), {other}),
        (ThreadQuery("finished", process="export"), {other}),
        (ThreadQuery("finished", process="export", group_id=PRESS.id), set()),
        (ThreadQuery(Status.COMPLETED, member_id=1), {plain, press, nowhere}),
        (ThreadQuery("finished", text="füll"), {failed}),
        (ThreadQuery("active", text="NIGHTLY"), {active}),
        (ThreadQuery("finished", text="nightly"), set()),
        (ThreadQuery("finished", process="count", text="done"), {plain, press, nowhere}),
        (ThreadQuery("finished", process="nope"), set()),
    ]
    for wanted, expected in cases:
        assert set(every(search, wanted)) == expected, wanted


def test_pages_add_up_newest_first_while_threads_come_and_go(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    made_in_order = [made(redis, store, group=None) for _ in range(25)]
    # Several may have come in one millisecond.
    redis.zadd("ps:threads:server:active", {thread: 1000 + at for at, thread in enumerate(made_in_order)})
    seen, after = [], ""
    for page in range(5):
        found = search.find(ThreadQuery(), after, size=5)
        assert found.total == 25 + page
        seen += ids(found)
        after = found.after
        made(redis, store, group=None)  # a newer one moves no page
    assert seen == made_in_order[::-1]
    # The thread at which a page ended is gone: the next page begins where it would have.
    first = search.find(ThreadQuery(), size=10)
    store.cancel(first.threads[-1].id, BY)
    following = ids(search.find(ThreadQuery(), first.after, size=5))
    assert following == ids(search.find(ThreadQuery(), size=14))[9:]


@pytest.mark.parametrize("vanishes", [False, True])
def test_more_threads_of_one_millisecond_than_a_page_has_are_each_found_once(
    redis: Redis, store: ThreadStore, search: ThreadSearch, *, vanishes: bool
) -> None:
    made_now = [made(redis, store, group=None) for _ in range(30)]
    redis.zadd("ps:threads:server:active", dict.fromkeys(made_now, 1_700_000_000_000))
    seen, after, pages = [], "", 0
    while True:
        found = search.find(ThreadQuery(), after, size=4)
        seen += ids(found)
        if not (after := found.after):
            break
        if vanishes:  # Wherever a page ends, its last thread is gone by the time of the next.
            redis.zrem("ps:threads:server:active", found.threads[-1].id)
        pages += 1
        assert pages < 30
    assert sorted(seen) == sorted(made_now)


def test_what_has_expired_is_neither_counted_nor_found_and_its_listings_go(
    redis: Redis, store: ThreadStore, search: ThreadSearch, config: Config
) -> None:
    over = made(redis, store, end=Status.COMPLETED)
    keys: Any = list(redis.scan_iter("ps:threads:*"))
    assert len(keys) == 4
    for key in keys:
        assert 0 < redis.pttl(key) <= config.retention * 1000
        redis.zadd(key, {"f" * 32: 1})
    found = search.find(ThreadQuery("finished", process="count"))
    assert ids(found) == [over]
    assert search.find(ThreadQuery("finished")).total == 1


def ended_at(redis: Redis, store: ThreadStore, times: list[int]) -> list[str]:
    """Make threads that ended so many ms ago, in turn completed, failed and cancelled; return them, newest first."""
    now = store.time()
    meta = redis.hget(f"rq:job:{made(redis, store, end=Status.COMPLETED)}", "meta")
    assert isinstance(meta, bytes)
    redis.flushall()
    entries = []
    for number, ago in enumerate(times):
        thread_id = f"{number * 7919 % 10_007:032x}"
        status = (Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED)[number % 4]
        redis.hset(f"rq:job:{thread_id}", "meta", meta.replace(b'"completed"', f'"{status}"'.encode()))
        redis.zadd(f"ps:threads:server:{status}", {thread_id: now - ago})
        entries.append((now - ago, thread_id))
    return [thread_id for _, thread_id in sorted(entries, reverse=True)]


def test_finished_threads_of_all_statuses_are_one_list(redis: Redis, store: ThreadStore, search: ThreadSearch) -> None:
    # Many end in the same millisecond, as where a bulk of them is cancelled.
    expected = ended_at(redis, store, [60_000 * (number // 9) for number in range(60)] + [30_000] * 20)
    for size in (1, 7, 50, 100):
        pages = [store.page("finished", page=page, size=size) for page in range(1, 80 // size + 2)]
        assert [thread.id for page in pages for thread in page.threads] == expected
        assert {page.total for page in pages} == {80}
        assert store.page("finished", page=99, size=size).threads == ()
        assert every(search, ThreadQuery("finished"), size=size) == expected
    first = store.page("finished", size=7)
    assert [thread.id for thread in search.page("finished", -1, first.next_cursor, 7).threads] == expected[7:14]
    gone = expected[6]
    redis.delete(
        f"rq:job:{gone}"
    )  # The one that the cursor names has expired, and has left its listing when it is read.
    assert [thread.id for thread in search.page("finished", -1, first.next_cursor, 7).threads] == expected[7:14]
    assert gone not in [thread.id for thread in store.page("finished", size=80).threads]
    assert store.page("finished").total == 79
    now = store.time()
    bounded = search.find(ThreadQuery("finished", since=now - 3 * 60_000 - 20_000, till=now - 55_000))
    assert {thread.id for thread in bounded.threads} < set(expected)
    assert bounded.total == len(bounded.threads) == 27


def test_a_page_far_back_takes_no_more_commands_than_the_first(redis: Redis, store: ThreadStore) -> None:
    ended_at(redis, store, [])
    now = store.time()
    for status, many in (("completed", 30_000), ("failed", 20_000), ("cancelled", 10)):
        redis.zadd(f"ps:threads:server:{status}", {f"{status[0]}{n:031x}": now - 37 * n for n in range(many)})
    for page in (2, 900):
        redis.config_resetstat()
        assert store.page("finished", page=page, size=50).total > 49_000
        assert redis.info("stats")["total_commands_processed"] < 400


def test_a_run_of_threads_that_have_expired_ends_no_search(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    wanted = made(redis, store, group=None)
    gone = {f"{number:032x}": 4_000_000_000_000 + number for number in range(300)}
    redis.zadd("ps:threads:server:active", gone)
    assert ids(search.find(ThreadQuery())) == [wanted]
    assert redis.zcard("ps:threads:server:active") == 1


def test_time_bounds_are_of_the_acceptance_or_of_the_end(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    threads = [made(redis, store, group=None) for _ in range(4)]
    key = "ps:threads:server:active"
    redis.zadd(key, {thread: 1000 * (number + 1) for number, thread in enumerate(threads)})
    assert every(search, ThreadQuery(since=2000, till=3000)) == [threads[2], threads[1]]
    assert every(search, ThreadQuery(since=2000, till=3000), size=1) == [threads[2], threads[1]]
    assert search.find(ThreadQuery(since=2000, till=3000)).total == 2
    assert every(search, ThreadQuery(till=1999)) == [threads[0]]
    assert every(search, ThreadQuery(since=4001)) == []


def test_a_search_stops_after_so_many_and_says_where_to_go_on(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    needle = made(redis, store, group=None, name="needle")
    for _ in range(700):
        made(redis, store, group=None)
    found = search.find(ThreadQuery(text="needle"), look_at=500)
    assert (found.threads, found.total) == ((), None)
    assert found.looked_back_to == store.page("active", page=500, size=1).threads[0].created
    again = search.find(ThreadQuery(text="needle"), found.after, look_at=500)
    assert ids(again) == [needle]
    assert (again.after, again.looked_back_to) == ("", 0)
    assert every(search, ThreadQuery(text="a thread"), size=50).__len__() == 700


def test_the_shortest_listing_is_looked_through(redis: Redis, store: ThreadStore, search: ThreadSearch) -> None:
    rare = made(redis, store, process="export", group=None)
    for _ in range(600):
        made(redis, store, group=None)
    found = search.find(ThreadQuery(process="export"), look_at=1)
    assert ids(found) == [rare]


def test_what_is_no_place_in_a_list_is_refused(search: ThreadSearch) -> None:
    for after in ("x", "1", "1-", f"1-{'g' * 32}", f"-1-{'0' * 32}", f"1-{'0' * 32}\n"):
        with pytest.raises(BadParameter):
            search.find(ThreadQuery(), after)


def test_an_overview_says_what_runs_waits_and_failed_and_how_long_things_took(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    failed = made(redis, store, group=PRESS, end=Status.FAILED)
    made(redis, store, end=Status.COMPLETED)
    waiting = made(redis, store, group=PRESS)
    running = made(redis, store, group=PRESS)
    assert store.claim(running, "t", "w")
    for group, ended in ((PRESS.id, 1), (-1, 2)):
        seen = search.overview(group)
        assert [one.id for one in seen.running] == [running]
        assert [one.id for one in seen.waiting] == [waiting]
        assert [one.id for one in seen.failed] == [failed]
        assert seen.oldest == store.fetch(waiting).created
        assert seen.counts[Status.FAILED] == seen.counts[Status.INITIALISED] == seen.counts[Status.INPROGRESS] == 1
        assert len(seen.hours) == 24
        last = seen.hours[-2:]  # the hour may have changed meanwhile
        assert sum(hour.started for hour in last) == ended + 2
        assert sum(hour.failed + hour.completed + hour.cancelled for hour in last) == ended
        assert [(one.process, one.count) for one in seen.durations] == [("count", ended)]


def test_durations_are_right_within_a_tenth(redis: Redis, store: ThreadStore, search: ThreadSearch) -> None:
    day = search.overview().now // 86_400_000
    for length in (1, 7, 1_000, 12_345, 3_600_000):
        thread = made(redis, store, group=None)
        claim = store.claim(thread, "t", "w")
        assert claim is not None
        started = claim.thread.started
        # The thread began that long ago.
        meta = redis.hget(f"rq:job:{thread}", "meta")
        assert isinstance(meta, bytes)
        redis.hset(f"rq:job:{thread}", "meta", meta.replace(str(started).encode(), str(started - length).encode()))
        store.finish(thread, "t", Outcome(Status.COMPLETED, "done"))
        (found,) = search.overview().durations
        end = store.fetch(thread)
        assert found.median == pytest.approx(end.ended - end.started, rel=0.1, abs=1)
        redis.delete(f"ps:durations:server:{day}", f"ps:durations:server:{day + 1}")


def test_a_list_of_threads_with_much_xml_is_bounded(search: ThreadSearch, store: ThreadStore, redis: Redis) -> None:
    xml = f"<a>{'x' * 60_000}</a>"
    for number in range(100):
        thread_id = store.create(new_thread(redis, group=None, name=str(number)))
        assert store.claim(thread_id, "t", "w")
        store.report(thread_id, "t", Report(1, xml=xml))
    for threads in (store.page("active", size=200).threads, search.find(ThreadQuery(), size=200).threads):
        assert [thread.name for thread in threads] == [str(number) for number in range(99, -1, -1)]
        assert 3_000_000 < sum(len(thread.xml) for thread in threads) < 4_300_000
        assert threads[0].xml == xml
        assert not threads[-1].xml


def test_an_id_or_its_beginning_finds_its_thread_however_many_are_newer(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    old = made(redis, store, end=Status.FAILED)
    for _ in range(10):
        made(redis, store)
    for text in (old, old[:8], old[:9].upper()):
        assert ids(search.find(ThreadQuery("all", text=text), look_at=1)) == [old]
    assert ids(search.find(ThreadQuery("active", text=old))) == []
    assert ids(search.find(ThreadQuery("all", PRESS.id, text=old))) == []
    assert ids(search.find(ThreadQuery("all", since=store.fetch(old).ended + 1, text=old))) == []
    assert ids(search.find(ThreadQuery("all", text=old[:7]))) == []
    # One that an earlier version accepted stands in no list of ids.
    redis.delete("ps:ids")
    assert ids(search.find(ThreadQuery("all", text=old), look_at=1)) == [old]
    assert ids(search.find(ThreadQuery("all", text=old[:8]))) == [old]


def test_an_id_is_forgotten_with_its_thread(redis: Redis, store: ThreadStore, search: ThreadSearch) -> None:
    deleted, expired, kept = (made(redis, store, end=Status.COMPLETED) for _ in range(3))
    store.delete(deleted, BY)
    redis.delete(f"rq:job:{expired}")
    assert ids(search.find(ThreadQuery("all", text=expired[:8]))) == []
    redis.zadd("ps:tombstones", {expired: 1})
    store.forget_tombstones(2)
    assert redis.zrange("ps:ids", 0, -1) == [kept.encode()]


def test_all_are_those_that_have_ended_and_those_that_have_not(
    redis: Redis, store: ThreadStore, search: ThreadSearch
) -> None:
    ends = [made_later(redis, store, end=status) for status in (Status.FAILED, Status.COMPLETED)]
    active = made_later(redis, store)
    elsewhere = made_later(redis, store, group=PRESS)
    assert every(search, ThreadQuery("all"), size=2) == [elsewhere, active, *reversed(ends)]
    assert every(search, ThreadQuery("all", ACME.id), size=1) == [active, *reversed(ends)]
    assert every(search, ThreadQuery("all", member_id=JONES.id, process="count", text="thread"), size=3) == [
        elsewhere,
        active,
        *reversed(ends),
    ]
