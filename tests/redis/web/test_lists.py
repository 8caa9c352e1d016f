"""Lists of threads: the figures of each, and actions on many at once."""

from __future__ import annotations

from typing import Any

from lxml import html
from redis import Redis

from psthreads.domain.access import Group
from psthreads.domain.model import Outcome, Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.leaves import Signed, ended, post, rows, texts
from tests.support.people import People
from tests.support.threads import new_thread, start


def test_a_list_shows_how_long_each_took_its_process_and_its_worker(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    over = ended(store, store.create(new_thread(redis, group=people.acme)))
    waiting = store.create(new_thread(redis, group=people.acme))
    running = store.create(new_thread(redis, group=people.acme))
    store.claim(running, "t", "0123456789")
    page = signed("chief").get("/dashboard/threads?status=all").text
    shown = dict(zip(rows(page), texts(page, "//tbody/tr"), strict=True))
    assert set(shown) == {over, waiting, running}
    for thread, text in shown.items():
        assert f"{thread[:8]}, count" in text
    assert "worker worker-n" in shown[over]
    assert "worker 01234567" in shown[running]
    assert "waiting" in shown[waiting]
    assert " ms" in shown[over] or " s" in shown[over]
    clocks = html.fromstring(page).xpath("//*[@data-since]/ancestor::tr/@id")
    assert set(clocks) == {f"t-{waiting}", f"t-{running}"}  # Those that go on tick.


def test_an_id_is_found_whatever_became_of_its_thread_unless_a_status_is_chosen(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    over = ended(store, store.create(new_thread(redis, group=people.acme)))
    foreign = store.create(new_thread(redis, group=people.other))
    client = signed("contributor")
    address = "/dashboard/groups/acme/threads"
    assert rows(client.get(f"{address}?text={over[:8]}").text) == [over]
    assert rows(client.get(f"{address}?text={over}").text) == [over]
    assert rows(client.get(f"{address}?text={over[:8]}&status=failed").text) == []
    assert rows(client.get(f"{address}?text={foreign}").text) == []


def test_all_that_match_are_started_again_once_for_each_form(
    signed: Signed, people: People, redis: Redis, store: ThreadStore, engine: Engine
) -> None:
    failed = [start(engine, "count", people.acme, to=at).id for at in (1, 2)]
    for thread in failed:
        ended(store, thread, Status.FAILED)
    gone = ended(store, store.create(new_thread(redis, group=people.acme, name="Other")), Status.FAILED)
    redis.hset(f"rq:job:{gone}", "meta", redis.hget(f"rq:job:{gone}", "meta").replace(b'"count"', b'"no-such"'))  # type: ignore[union-attr, arg-type] # redis-py's types
    client, address = signed("contributor"), "/dashboard/groups/acme/threads"
    question = post(client, f"{address}/act", f"{address}?status=failed", act="again", every="true", status="failed")
    assert texts(question.text, "//h1") == ["Start again 3 threads?"]
    (form,) = html.fromstring(question.text).xpath("//form[contains(@class, 'confirm')]")
    fields: dict[str, Any] = dict(form.form_values())
    for _ in range(2):  # It is sent twice.
        done = client.post(f"{address}/act", data=fields)
        headings = texts(done.text, "//section/h2")
        assert headings[0].startswith("1 thread: not started: There is no process 'no-such'")
        assert headings[1:] == ["2 threads: started again"]
    assert store.count("active") == 2
    again = store.page("active").threads
    assert {store.values(thread.id)["to"] for thread in again} == {1, 2}
    assert {thread.username for thread in again} == {"contributor"}


def test_failures_are_grouped_by_process_and_by_what_their_messages_share(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    def failed(message: str, group: Group) -> str:
        thread = store.create(new_thread(redis, group=group))
        store.claim(thread, "t", "w")
        store.finish(thread, "t", Outcome(Status.FAILED, message))
        return thread

    for number in range(3):
        failed(f"Cannot read /documents/{number}.xml: line {number}", people.acme)
    newest = failed("Killed by signal 9", people.acme)
    failed("Killed by signal 11", people.other)
    page = signed("chief").get("/dashboard/failures").text
    assert [text.split(",")[0] for text in texts(page, "//tbody/tr/td")] == [
        *("3 threads", "count", "Cannot read … line …"),
        *(texts(page, "//tbody/tr[1]/td[4]")[0].split(",")[0],),
        *("2 threads", "count", "Killed by signal …"),
        *(texts(page, "//tbody/tr[2]/td[4]")[0].split(",")[0],),
    ]
    client = signed("contributor")
    inside = client.get("/dashboard/groups/acme/failures?text=signal").text
    (address,) = html.fromstring(inside).xpath("//tbody/tr/td[1]/a/@href")
    assert texts(inside, "//tbody/tr/td[1]") == ["1 thread"]
    assert rows(client.get(address).text) == [newest]
    assert client.get("/dashboard/groups/acme/failures?since=never").status_code == 400


def test_the_traceback_of_a_failure_is_on_its_page_for_administrators_alone(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    store.claim(thread, "t", "w")
    trace = "Traceback (most recent call last):\n  File <x>\n" + "y" * 9_000 + "\nValueError: bad"
    store.finish(thread, "t", Outcome(Status.FAILED, "ValueError: bad", trace=trace))
    page = signed("chief").get(f"/dashboard/threads/{thread}").text
    (shown,) = texts(page, "//pre[contains(@class, 'trace')]")
    assert shown.endswith("ValueError: bad")
    assert len(shown) < 9_000
    assert "Traceback" not in signed("contributor").get(f"/dashboard/groups/acme/threads/{thread}").text
