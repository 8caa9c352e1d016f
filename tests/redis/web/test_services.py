"""The eight thread services, the starts, and what they answer: in XML and JSON, below every prefix."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.services import COUNT, Web, thread_id, web, xml
from tests.support.waiting import wait_for

__all__ = ["thread_id", "web"]

PREFIXES = ["", "/ps/service", "/ps/api"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_start_answers_202_with_the_thread_and_where_to_look(web: Web, prefix: str, people: People) -> None:
    response = web("POST", f"{prefix}/members/~contributor/groups/{people.acme.id}/samples/count?to=5")
    assert response.status_code == 202
    assert response.headers["Retry-After"] == "1"
    thread = xml(response)
    assert {name: thread.attrib[name] for name in ("name", "username", "groupid", "status")} == {
        "name": "Counting to 5",
        "username": "contributor",
        "groupid": str(people.acme.id),
        "status": "initialised",
    }
    assert re.fullmatch("[0-9a-f]{32}", thread.attrib["id"])
    assert response.headers["Location"] == f"{prefix}/groups/acme/threads/{thread.attrib['id']}/progress"
    assert web("GET", response.headers["Location"]).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("base", "by"), [("", "chief"), ("/groups/acme", "contributor")])
def test_every_service_answers_in_xml_and_json(web: Web, thread_id: str, prefix: str, base: str, by: str) -> None:
    threads = f"{prefix}{base}/threads"
    listed = web("GET", f"{threads}.xml", by)
    assert [thread.attrib["id"] for thread in xml(listed)] == [thread_id]
    assert web("GET", f"{threads}.json", by).json["threads"][0]["id"] == thread_id  # type: ignore[index]
    accept = {"Accept": "application/json"}
    assert web("GET", threads, by, headers=accept).json["total"] == 1  # type: ignore[index]
    assert web("GET", threads, by, headers={"Accept": "text/html,*/*;q=0.8"}).mimetype == "application/xml"
    assert web("GET", f"{threads}.xml", by, headers=accept).mimetype == "application/xml"
    progress = web("GET", f"{threads}/{thread_id}/progress.json", by).json
    assert progress is not None
    assert (progress["id"], progress["groupid"], progress["status"]) == (thread_id, 1, "initialised")
    logs = xml(web("GET", f"{threads}/{thread_id}/logs", by))
    assert {name: logs.attrib[name] for name in ("first", "last", "total", "dropped", "next")} == {
        "first": "1",
        "last": "1",
        "total": "1",
        "dropped": "0",
        "next": "2",
    }
    cancelled = xml(web("POST", f"{threads}/{thread_id}/cancel", by))
    assert cancelled.tag == "thread-cancel"
    assert cancelled[0].attrib["status"] == "cancelled"
    assert cancelled[0][0].text == f"Cancelled by {by}"
    again = web("POST", f"{threads}/{thread_id}/cancel.json", by)
    assert (again.status_code, again.json["thread"]["status"]) == (200, "cancelled")  # type: ignore[index]
    unknown = web("POST", f"{threads}/{'0' * 32}/cancel", by)
    assert (unknown.status_code, etree.tostring(xml(unknown))) == (200, b"<thread-cancel/>")
    assert web("POST", f"{threads}/{'0' * 32}/cancel.json", by).json == {}


def test_an_answer_names_its_schema_and_both_are_served(web: Web, thread_id: str) -> None:
    for suffix in ("xml", "json"):
        link = web("GET", f"/groups/acme/threads/{thread_id}/progress.{suffix}").headers["Link"]
        path = re.fullmatch(r'<([^>]+)>; rel="describedby"', link)
        assert path is not None
        assert web("GET", path[1], "anonymous").data == (ROOT / path[1].lstrip("/")).read_bytes()


def test_errors_have_pageseeders_codes_in_the_format_asked_for(web: Web, thread_id: str) -> None:
    cases = [
        ("GET", "/groups/nope/threads", "contributor", 404, "0202", "Group 'nope' does not exist."),
        ("POST", "/members/nobody/groups/acme/samples/count", "chief", 404, "0204", "Member 'nobody' does not exist."),
        ("GET", f"/groups/acme/threads/{thread_id}/cancel", "contributor", 405, "0103", "use POST"),
        ("POST", "/members/contributor/groups/acme/samples/end", "contributor", 400, "0201", "'how' is missing"),
        ("POST", f"{COUNT}?to=many", "contributor", 400, "0400", "'to' is 'many', but must be a whole number"),
        ("GET", "/threads", "anonymous", 401, "0401", "Sign in first"),
        ("GET", "/threads", "manager", 403, "0403", "Only administrators"),
        ("GET", "/nowhere", "chief", 404, "0404", "There is nothing at this address"),
        ("GET", f"/groups/acme/threads/{'0' * 32}/progress", "contributor", 404, "0404", "does not exist here"),
        ("GET", "/groups/acme/threads/no-id/logs", "contributor", 404, "0404", "does not exist here"),
        ("GET", "/threads?status=odd", "chief", 400, "0400", "must be one of active, finished, initialised"),
        ("GET", "/threads?page=0", "chief", 400, "0400", "must be at least 1"),
        ("GET", "/threads?page-size=100000", "chief", 400, "0400", "must be at most 500"),
        ("GET", f"/threads/{thread_id}/logs?from=1&tail=2", "chief", 400, "0400", "Give either"),
        ("GET", f"/threads/{thread_id}/logs?level=LOUD", "chief", 400, "0400", "must be one of DEBUG, INFO"),
    ]
    for method, path, by, status, code, words in cases:
        for accept in ("application/xml", "application/json"):
            response = web(method, path, by, headers={"Accept": accept})
            assert (response.status_code, path) == (status, path)
            if accept == "application/json":
                assert response.json is not None
                told = response.json
            else:
                error = xml(response)
                told = {"id": error.attrib["id"], "request": error[0].text, "message": error[1].text}
            assert (told["id"], told["request"]) == (code, path.partition("?")[0])
            assert words in told["message"]
    assert web("GET", "/threads", "anonymous").headers["WWW-Authenticate"].startswith("Basic realm=")
    assert web("GET", f"/threads/{thread_id}/cancel", "chief").headers["Allow"] == "POST"
    assert web("GET", "/nowhere.json", "chief").mimetype == "application/json"


def test_a_body_that_is_no_form_is_415_and_one_too_large_is_413(web: Web, config: Config) -> None:
    assert web("POST", COUNT, json={"to": 3}).status_code == 415
    large = "to=3&padding=" + "x" * config.max_body
    kind = "application/x-www-form-urlencoded"
    assert web("POST", COUNT, data=large, content_type=kind).status_code == 413
    assert web("POST", COUNT, data={"to": "3"}).status_code == 202


def test_the_same_parameter_twice_is_refused_when_it_differs(web: Web) -> None:
    assert web("POST", COUNT + "?to=1&to=2").status_code == 400
    assert web("POST", COUNT + "?to=1&to=1").status_code == 202


def test_an_idempotency_key_starts_once_and_only_for_the_same_request_and_member(web: Web, store: ThreadStore) -> None:
    key = {"Idempotency-Key": "a key"}
    first = xml(web("POST", COUNT + "?to=4", headers=key)).attrib["id"]
    assert xml(web("POST", COUNT + "?to=4", headers=key)).attrib["id"] == first
    assert xml(web("POST", COUNT, data={"to": "4"}, headers=key)).attrib["id"] == first
    other = web("POST", COUNT + "?to=5", headers=key)
    assert (other.status_code, xml(other).attrib["id"]) == (422, "0422")
    manager = web("POST", COUNT.replace("contributor", "manager") + "?to=4", "manager", headers=key)
    assert xml(manager).attrib["id"] != first
    assert web("POST", COUNT + "?to=4", headers={"Idempotency-Key": "k" * 256}).status_code == 400
    assert store.page().total == 2


def test_a_repeat_gets_the_same_thread_even_if_it_would_be_refused_by_now(
    web: Web, people: People, config: Config
) -> None:
    key = {"Idempotency-Key": "k"}
    path = "/members/contributor/groups/acme/validate?path=/a.xml"
    people.acme_folder.write("/a.xml", b"<a/>")
    first = xml(web("POST", path, headers=key)).attrib["id"]
    (config.documents / "groups" / str(people.acme.id) / "a.xml").unlink()
    again = web("POST", path, headers=key)
    assert (again.status_code, xml(again).attrib["id"]) == (202, first)
    assert web("POST", path).status_code == 404


def test_head_starts_nothing(web: Web, people: People, store: ThreadStore) -> None:
    for number in range(30):
        people.acme_folder.write(f"/{number}.xml", b"<a/>")
    path = "/members/contributor/groups/acme/export"
    head = web("HEAD", path)
    assert (head.status_code, head.headers["Allow"]) == (405, "GET, POST")
    assert store.page().total == 0
    assert web("GET", path).status_code == 202


def test_a_file_answered_at_once_has_its_length_and_is_stored_nowhere(web: Web, people: People) -> None:
    people.acme_folder.write("/a.xml", b"<a/>")
    response = web("GET", "/members/contributor/groups/acme/export")
    assert response.mimetype == "application/zip"
    assert response.content_length == len(response.data)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_many_requests_at_once_with_one_key_start_one_thread(web: Web, store: ThreadStore) -> None:
    found: list[str] = []

    def ask() -> None:
        found.append(xml(web("POST", COUNT, headers={"Idempotency-Key": "once"})).attrib["id"])

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert store.page().total == 1


def test_the_list_shows_active_threads_newest_first_and_pages_them(web: Web, store: ThreadStore) -> None:
    ids = [xml(web("POST", COUNT)).attrib["id"] for _ in range(5)]
    web("POST", f"/groups/acme/threads/{ids[0]}/cancel")
    first = xml(web("GET", "/groups/acme/threads?page-size=3"))
    assert (first.attrib["total"], first.attrib["page"]) == ("4", "1")
    second = xml(web("GET", "/groups/acme/threads?page-size=3&page=2"))
    listed = [thread.attrib["id"] for page in (first, second) for thread in page]
    assert sorted(listed) == sorted(ids[1:])
    created = [store.fetch(one).created for one in listed]
    assert created == sorted(created, reverse=True)
    for kind in ("finished", "cancelled"):
        page = xml(web("GET", f"/groups/acme/threads?status={kind}"))
        assert [thread.attrib["id"] for thread in page] == [ids[0]]
    assert len(xml(web("GET", "/groups/acme/threads?status=failed"))) == 0


def test_log_pages_add_up_to_the_whole_log_with_its_gap_told(
    web: Web, redis: Redis, config: Config, store: ThreadStore, thread_id: str
) -> None:
    small = ThreadStore(redis, replace(config, log_events=100))
    assert small.claim(thread_id, "t", "w")
    lines = tuple(Line(1_652_667_241_924 + n, Level.WARN if n % 2 else Level.INFO, f"line {n}") for n in range(500))
    small.report(thread_id, "t", Report(1, lines=lines))
    base = f"/groups/acme/threads/{thread_id}/logs"
    seen: list[int] = []
    following = 1
    while True:
        page = xml(web("GET", f"{base}?from={following}&page-size=30"))
        assert (page.attrib["total"], page.attrib["dropped"]) == ("502", "402")
        if not len(page):
            break
        seen += [int(event.attrib["seq"]) for event in page]
        following = int(page.attrib["next"])
    assert seen == [*range(1, 51), 452, *range(453, 503)]
    told = xml(web("GET", f"{base}?from=452&page-size=1"))[0][0].text
    assert told == "402 lines are gone from here, numbers 51 to 452"
    assert xml(web("GET", f"{base}?from=100&page-size=1"))[0].attrib["seq"] == "452"
    tail = xml(web("GET", f"{base}?tail=3"))
    assert [event.attrib["seq"] for event in tail] == ["500", "501", "502"]
    warnings = xml(web("GET", f"{base}?level=WARN&page-size=10"))
    assert [event.attrib["seq"] for event in warnings] == [str(number) for number in range(4, 24, 2)]
    assert warnings.attrib["next"] == "23"
    assert len(xml(web("GET", f"{base}?level=INFO&page-size=10"))) == 10
    assert len(xml(web("GET", f"{base}?level=ERROR"))) == 0
    assert small.finish(thread_id, "t", Outcome(Status.COMPLETED, "done")) is Status.COMPLETED


def test_a_result_is_shown_with_its_thread_in_every_form_and_never_in_a_list(
    web: Web, thread_id: str, store: ThreadStore
) -> None:
    assert store.claim(thread_id, "t", "worker")
    store.report(thread_id, "t", Report(1, xml='<zip>a.zip</zip><result of="own">b</result>'))
    value = {"words": [1, None, 2**63], "<&]]>": "\u2028 é"}
    store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done", result=value))
    base = "/groups/acme/threads"
    thread = xml(web("GET", f"{base}/{thread_id}/progress"))
    assert [child.tag for child in thread] == ["message", "zip", "result", "result"]
    assert dict(thread[-1].attrib) == {"type": "json"}
    assert json.loads(thread[-1].text or "") == value
    assert web("GET", f"{base}/{thread_id}/progress.json").json["result"] == value  # type: ignore[index]
    assert web("POST", f"{base}/{thread_id}/cancel.json").json["thread"]["result"] == value  # type: ignore[index]
    listed = web("GET", f"{base}.json?status=finished").json["threads"][0]  # type: ignore[index]
    assert (listed["id"], listed["result"]) == (thread_id, {"of": "own", "text": "b"})
    assert len(xml(web("GET", f"{base}?status=finished"))[0].findall("result")) == 1
    stream = web("GET", f"{base}/{thread_id}/events").text
    data = stream.partition("event: status\ndata: ")[2].partition("\n\n")[0]
    assert json.loads(data)["result"] == value


@pytest.mark.parametrize("value", [0, False, "", [], {}])
def test_a_value_that_is_false_is_a_result(web: Web, thread_id: str, store: ThreadStore, value: object) -> None:
    assert store.claim(thread_id, "t", "worker")
    store.finish(thread_id, "t", Outcome(Status.COMPLETED, "Done", result=value))
    assert web("GET", f"/groups/acme/threads/{thread_id}/progress.json").json["result"] == value  # type: ignore[index]


def test_at_most_thirty_seconds_are_waited(web: Web, redis: Redis) -> None:
    def cancel_when_there() -> None:
        listed = wait_for(lambda: list(xml(web("GET", "/groups/acme/threads"))))
        web("POST", f"/groups/acme/threads/{listed[0].attrib['id']}/cancel")

    helper = threading.Thread(target=cancel_when_there)
    helper.start()
    asked = time.monotonic()
    response = web("POST", COUNT, headers={"Prefer": "wait=100000"})
    helper.join()
    assert time.monotonic() - asked < 25
    assert response.headers["Preference-Applied"] == "wait=30"
    assert xml(response).attrib["status"] == "cancelled"


def test_work_on_the_whole_server_has_no_group(web: Web, store: ThreadStore) -> None:
    path = "/members/chief/samples/server-wide"
    response = web("POST", path, "chief")
    thread = xml(response)
    assert thread.attrib["groupid"] == "-1"
    assert response.headers["Location"] == f"/threads/{thread.attrib['id']}/progress"
    assert web("POST", "/members/manager/samples/server-wide", "manager").status_code == 403
    assert web("GET", f"/groups/acme/threads/{thread.attrib['id']}/progress").status_code == 404


def test_an_administrator_may_act_for_another_member_and_nobody_else(web: Web, people: People) -> None:
    started = xml(web("POST", COUNT, "chief"))
    assert started.attrib["username"] == "contributor"
    response = web("POST", COUNT, "manager")
    assert (response.status_code, xml(response)[1].text) == (
        403,
        "You are signed in as 'manager' and may only act as yourself.",
    )
    assert web("POST", COUNT.replace("contributor", f"~{people.members['manager'].id}"), "manager").status_code == 202


def test_a_redis_that_is_away_gives_503_and_retry_after(config: Config, people: People, tmp_path: Path) -> None:
    away = Web(create_app(replace(config, redis_url=f"unix://{tmp_path}/no.sock")), people)
    for method, path in (("GET", "/threads"), ("POST", COUNT), ("GET", "/threads.json")):
        response = away(method, path, "chief")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
