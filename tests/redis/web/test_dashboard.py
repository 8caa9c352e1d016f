"""The pages of threads: found, shown, started, started again, cancelled and deleted; by whom, and by nobody else."""

from __future__ import annotations

import re
import time

import pytest
from flask import Flask
from lxml import etree, html
from redis import Redis

from psthreads.domain.model import Outcome, Report, Status
from psthreads.threads.store import ThreadStore
from tests.support.leaves import Signed, ended, post, rows, texts
from tests.support.people import People
from tests.support.threads import BY, new_thread

HX = {"HX-Request": "true"}


def test_an_address_with_filters_shows_the_same_to_whoever_opens_it(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    wanted = ended(store, store.create(new_thread(redis, group=people.acme, name="Nightly")), Status.FAILED)
    for name in ("Nightly", "Other"):
        ended(store, store.create(new_thread(redis, group=people.other, name=name)))
    ended(store, store.create(new_thread(redis, group=people.acme, name="Other")), Status.FAILED)
    address = "/dashboard/threads?status=failed&group=acme&text=night&process=count"
    for _ in range(2):
        page = signed("chief").get(address).text
        assert rows(page) == [wanted]
        form = html.fromstring(page).xpath("//form[@class='filters']")[0]
        assert dict(form.form_values()) == {
            "status": "failed",
            "group": "acme",
            "text": "night",
            "process": "count",
            "member": "",
            "since": "",
            "until": "",
        }
    inside = signed("contributor").get("/dashboard/groups/acme/threads?status=failed&text=night&group=other").text
    assert rows(inside) == [wanted]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status=nope", "There is no status 'nope'."),
        ("group=nope", "There is no group 'nope'."),
        ("member=nope", "There is no member 'nope'."),
        ("process=nope", "There is no process 'nope'."),
        ("since=yesterday", "'yesterday' is not a time"),
        ("until=31/12/2026", "'31/12/2026' is not a time"),
        ("text=" + "x" * 201, "200 characters"),
    ],
)
def test_a_wrong_filter_is_named_above_the_list_and_beside_its_field_and_loses_nothing(
    signed: Signed, redis: Redis, store: ThreadStore, query: str, said: str
) -> None:
    store.create(new_thread(redis))
    answer = signed("chief").get(f"/dashboard/threads?{query}")
    assert answer.status_code == 400
    assert rows(answer.text) == []
    assert said in texts(answer.text, "//*[@role='alert']")[0]
    wrong = texts(answer.text, "//p[@class='wrong']")
    if not query.startswith("status"):
        assert said in " ".join(wrong)
    if "=nope" in query and not query.startswith(("process", "status")):
        assert 'value="nope"' in answer.text


def test_a_groups_list_does_not_tell_who_is_a_member_elsewhere(signed: Signed) -> None:
    client = signed("contributor")
    pages = {}
    for name in ("outsider", "chief", "nobody-at-all", "4711"):
        answer = client.get(f"/dashboard/groups/acme/threads?member={name}")
        # The token in its forms is another one in each second.
        text = re.sub(r'(name="csrf_token" value|data-now)="[^"]+"', "", answer.text).replace(name, "")
        pages[answer.status_code, text] = name
    assert len(pages) == 1
    assert next(iter(pages))[0] == 200


def test_what_is_sent_after_the_session_has_ended_is_not_done_and_that_is_said(
    signed: Signed, app: Flask, people: People, redis: Redis, store: ThreadStore
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    page = f"/dashboard/groups/acme/threads/{thread}"
    stranger = app.test_client()
    led = stranger.post(f"{page}/cancel", headers={"Referer": f"http://localhost{page}?x=1"})
    assert led.headers["Location"] == f"/sign-in?ended=true&next={page}?x%3D1"
    assert "was not carried out" in stranger.get(led.headers["Location"]).text
    for referrer in ("http://evil.example/x", "", "http://localhost:1/x", "javascript:x"):
        led = stranger.post(f"{page}/cancel", headers={"Referer": referrer})
        assert led.headers["Location"] == "/sign-in?ended=true&next=/"
    assert not store.fetch(thread).status.is_final


def test_an_open_page_does_not_keep_a_session_alive(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed("chief")
    began = time.time()
    for hours, headers, status in (
        (2, {}, 200),
        (4, {"HX-Request": "true"}, 200),
        (9, {}, 200),
        (12, HX, 200),
        (18, HX, 302),
    ):
        monkeypatch.setattr("psthreads.web.auth.sessions.time.time", lambda hours=hours: began + 3600 * hours)
        assert client.get("/dashboard", headers=headers).status_code == status, hours


def test_pages_lead_on_to_older_threads_until_the_last(signed: Signed, redis: Redis, store: ThreadStore) -> None:
    made = [store.create(new_thread(redis, group=None)) for _ in range(90)]
    redis.zadd("ps:threads:server:active", {thread: 1000 + at for at, thread in enumerate(made)})
    client, seen, address = signed("chief"), [], "/dashboard/threads"
    while address:
        page = client.get(address).text
        assert "90 threads, newest first" in page
        seen += rows(page)
        older = re.findall(r'<a href="([^"]+)" rel="next">', page)
        address = older[0].replace("&amp;", "&") if older else ""
    assert seen == made[::-1]
    assert client.get("/dashboard/threads?after=nonsense").status_code == 400


def test_every_state_of_a_list_says_what_it_is(signed: Signed, redis: Redis, store: ThreadStore) -> None:
    client = signed("chief")
    assert "No active threads" in client.get("/dashboard/threads").text
    assert "Finished threads are deleted" in client.get("/dashboard/threads?status=failed").text
    assert "No threads match" in client.get("/dashboard/threads?text=x").text
    for path in (f"/dashboard/threads/{'0' * 32}", "/dashboard/threads/nope", "/dashboard/nope"):
        missing = client.get(path)
        assert (missing.status_code, missing.mimetype) == (404, "text/html")
    assert client.post("/dashboard/threads").status_code == 405


def test_a_groups_pages_show_its_threads_and_no_others(
    signed: Signed, people: People, redis: Redis, store: ThreadStore
) -> None:
    own = store.create(new_thread(redis, group=people.acme, name="Ours"))
    foreign = store.create(new_thread(redis, group=people.other, name="Theirs"))
    base = "/dashboard/groups/acme"
    for name in ("contributor", "chief"):
        client = signed(name)
        assert rows(client.get(f"{base}/threads").text) == [own]
        overview = client.get(base).text
        assert "Ours" in overview
        assert "Theirs" not in overview
        assert "Workers" not in overview
        for path in ("", "/log"):
            assert client.get(f"{base}/threads/{own}{path}").status_code == 200
            assert client.get(f"{base}/threads/{foreign}{path}").status_code == 404
        for act in ("cancel", "again"):
            assert post(client, f"{base}/threads/{foreign}/{act}", f"{base}/threads").status_code == 404
        assert client.get(f"{base}/start/count?like={foreign}").status_code == 404
        question = post(client, f"{base}/threads/act", f"{base}/threads", act="cancel", thread=[own, foreign])
        assert texts(question.text, "//h1") == ["Cancel 1 thread?"]
    for name in ("guest", "reviewer", "outsider", "loner"):
        assert signed(name).get(base).status_code == 403
    assert store.fetch(foreign).status is Status.INITIALISED


def test_a_form_made_of_the_parameters_starts_a_process_and_says_what_is_wrong(
    signed: Signed, people: People, store: ThreadStore
) -> None:
    client = signed("contributor")
    path = "/dashboard/groups/acme/start/count"
    form = html.fromstring(client.get(path).text)
    assert dict(form.xpath("//form[contains(@class, 'form')]")[0].form_values())["to"] == "3"
    wrong = post(client, path, path, to="many", pause="0")
    assert wrong.status_code == 400
    assert 'value="many"' in wrong.text
    assert "'to'" in texts(wrong.text, "//p[@class='wrong']")[0]
    key = {"key": "a" * 32}
    begun = [post(client, path, path, to="7", pause="", mark="", **key).headers["Location"] for _ in range(2)]
    assert begun[0] == begun[1], "a form that was sent twice started two threads"
    thread = store.fetch(begun[0].rpartition("/")[2])
    assert (thread.name, thread.username, thread.group_name) == ("Counting to 7", "contributor", "acme")
    assert store.values(thread.id) == {"to": 7, "mark": "", "pause": 0.0}
    as_other = post(client, path, path, to="7", member="manager")
    assert as_other.status_code == 403
    assert client.get("/dashboard/groups/acme/start/nope").status_code == 404
    assert client.get("/dashboard/groups/acme/start/server-wide").status_code == 403
    assert "server-wide" not in client.get("/dashboard/groups/acme/start").text


def test_an_administrator_starts_work_anywhere_and_for_anybody(
    signed: Signed, people: People, store: ThreadStore
) -> None:
    client = signed("chief")
    path = "/dashboard/start/count"
    for group, said in (("", "Enter a group"), ("nope", "Group 'nope' does not exist.")):
        wrong = post(client, path, path, group=group, to="7")
        assert wrong.status_code in {400, 404}
        assert said in texts(wrong.text, "//p[@class='wrong']")[0]
    wrong = post(client, path, path, group="acme", to="7", member="nope")
    assert texts(wrong.text, "//p[@class='wrong']") == ["Member 'nope' does not exist."]
    begun = post(client, path, path, group="acme", to="7", member="contributor")
    thread = store.fetch(begun.headers["Location"].rpartition("/")[2])
    assert (thread.username, thread.group_name) == ("contributor", "acme")
    begun = post(client, "/dashboard/start/server-wide", "/dashboard/start/server-wide", to="2")
    assert store.fetch(begun.headers["Location"].rpartition("/")[2]).group_id == -1


def test_a_thread_is_started_again_with_its_parameters_and_secrets_are_masked(
    signed: Signed, people: People, store: ThreadStore, redis: Redis
) -> None:
    client = signed("contributor")
    path = "/dashboard/groups/acme/start/hostile"
    first = post(client, path, path, text="password=swordfish <b>").headers["Location"]
    page = client.get(first).text
    facts = texts(page, "//dl[@class='facts']/dd")
    assert "[masked]" in facts
    again = post(client, f"{first}/again", first, key="b" * 32)
    assert again.status_code == 303
    second = again.headers["Location"]
    assert second != first
    ids = [address.rpartition("/")[2] for address in (first, second)]
    assert store.values(ids[0]) == store.values(ids[1]) == {"text": "password=swordfish <b>"}
    form = client.get(f"{path}?like={ids[0]}").text
    assert "swordfish" not in texts(form, "//form")[0]
    assert 'value="password=swordfish' not in form
    # What an administrator starts again is done for the same member.
    theirs = post(signed("chief"), f"/dashboard/threads/{ids[0]}/again", f"/dashboard/threads/{ids[0]}")
    assert store.fetch(theirs.headers["Location"].rpartition("/")[2]).username == "contributor"
    gone = store.create(new_thread(redis, group=people.acme))
    redis.hset(f"rq:job:{gone}", "data", b"nonsense")
    assert client.get(f"/dashboard/groups/acme/threads/{gone}").status_code == 200


def test_the_page_of_a_thread_tells_its_story(signed: Signed, people: People, redis: Redis, store: ThreadStore) -> None:
    thread = store.create(new_thread(redis, group=people.acme, restartable=True))
    client = signed("contributor")
    path = f"/dashboard/groups/acme/threads/{thread}"

    def story() -> str:
        return " | ".join(texts(client.get(path).text, "//ol[@class='timeline']/li"))

    assert re.search(r"Waiting [\d.]+ m?s so far", story())
    assert store.claim(thread, "t", "worker-name")
    bar = Report(1, xml='<progress total="200" current="50"/>', rates='{"progress": 25.0}')
    store.report(thread, "t", bar)
    page = client.get(path).text
    assert "50 of 200" in page
    assert "25 per second, about 6 s left" in page
    assert "by worker worker-n" in story()
    assert store.abandon(thread, "Worker lost", "t") == "requeued"
    assert "Restarted 1 time" in story()
    assert store.claim(thread, "t2", "other")
    store.cancel(thread, BY)
    assert "Cancel requested by jjones" in story()
    assert "Kill it now" in client.get(path).text
    assert "Result" not in story()
    store.finish(thread, "t2", Outcome(Status.COMPLETED, "Done", result={"<b>": 1}))
    assert texts(client.get(path).text, "//section[h2='Result']/pre") == ['{ "<b>": 1 }']
    end = story()
    assert "Cancelled" in end
    assert "ran for " in end
    page = client.get(path).text
    assert "Cancel this thread" not in page
    assert "per second" not in page


def test_the_overview_names_workers_what_they_do_and_those_that_were_lost(
    signed: Signed, redis: Redis, store: ThreadStore
) -> None:
    store.create(new_thread(redis, group=None))
    client = signed("chief")
    assert "No worker is running" in client.get("/dashboard").text
    redis.sadd("rq:workers:psthreads", "rq:worker:aaaaaaaa1111", "rq:worker:bbbbbbbb2222")
    redis.hset("rq:worker:aaaaaaaa1111", mapping={"state": "busy", "hostname": "<host>", "pid": "42"})
    redis.pexpire("rq:worker:aaaaaaaa1111", 3_900)
    redis.sadd("rq:worker:aaaaaaaa1111:executions", f"{'1' * 32}:x")
    redis.zadd("ps:lost-workers", {"cccccccc3333": 1})
    page = client.get("/dashboard").text
    (row,) = texts(page, "//section[@aria-labelledby='workers']//tbody/tr")
    assert "aaaaaaaa" in row
    assert "<host> 42" in row
    assert "Running 11111111" in row
    assert "cccccccc" in page
    assert etree.fromstring(re.findall(r"<svg class=\"plot\".*?</svg>", page, re.DOTALL)[0]) is not None


def test_a_part_of_a_page_that_is_refreshed_is_the_same_without_its_frame(
    signed: Signed, redis: Redis, store: ThreadStore
) -> None:
    thread = store.create(new_thread(redis, group=None))
    client = signed("chief")
    for path, part in (("", "overview"), ("/threads", "list"), (f"/threads/{thread}", "now")):
        whole = client.get(f"/dashboard{path}").text
        some = client.get(f"/dashboard{path}", headers={"HX-Request": "true"}).text
        assert f'id="{part}"' in whole
        assert f'id="{part}"' in some
        assert "<nav" in whole.split("<main", 1)[0]
        assert "<header" not in some
