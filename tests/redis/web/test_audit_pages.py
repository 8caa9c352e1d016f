"""The page of the audit and its export: whom they serve, what they show, and that nothing in it does any harm."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape

import pytest
from flask import Flask
from redis import Redis

from psthreads.audit.entries import FIELDS, KEY, SETUP, Audit, AuditQuery
from psthreads.domain.access import TokenScope
from psthreads.domain.errors import NotSignedIn
from tests.support.desk import HOSTILE, MEMBER, Desk, desk, texts
from tests.support.forms import sign_in, token_in
from tests.support.people import People

__all__ = ["desk"]


def test_a_whole_session_is_in_the_audit_with_its_address(app: Flask, people: People, redis: Redis) -> None:
    redis.delete(KEY)
    with app.test_client() as browser:
        browser.environ_base["REMOTE_ADDR"] = "203.0.113.9"
        assert sign_in(browser, "chief", "wrong password") == 401
        assert sign_in(browser, "chief") == 303
        token = token_in(browser.get("/dashboard/members/add").text)
        form = {"csrf_token": token, "group": "acme", "role": "manager", "reason": "Asked for it"}
        assert browser.post("/dashboard/members/loner/roles", data=form).status_code == 303
        assert browser.post("/dashboard/members/loner/roles", data={**form, "csrf_token": "x"}).status_code == 403
        assert browser.post("/sign-out", data={"csrf_token": token}).status_code == 303
        assert sign_in(browser, "chief") == 303
        token = token_in(browser.get("/dashboard/members/add").text)
        assert browser.post("/sign-out", data={"csrf_token": token, "everywhere": "true"}).status_code == 303
    entries = list(Audit(redis).export(AuditQuery()))[::-1]
    acts = ["session.start", "role.set", "session.end", "session.start", "session.end-all"]
    assert [entry.act for entry in entries] == acts
    assert {(entry.by, entry.address) for entry in entries} == {("chief", "203.0.113.9")}
    assert [entry.reason for entry in entries if entry.reason] == ["Asked for it"]


def test_only_administrators_see_the_audit_and_a_session_that_is_gone_ends_an_export(
    app: Flask, people: People, desk: Desk
) -> None:
    for who in ("manager", "moderator-and-approver", "loner"):
        for path in ("", "/export"):
            with app.test_client(use_cookies=False) as client:
                assert client.get(f"/dashboard/audit{path}", headers=people.bearer(who)).status_code == 403
    assert app.test_client().get("/dashboard/audit/export").status_code == 302
    narrow = people.directory.by(SETUP).create_token(
        people.members["chief"], "narrow", token_scope=TokenScope(groups=frozenset({people.acme.id}))
    )
    with app.test_client(use_cookies=False) as client:
        answer = client.get("/dashboard/audit", headers={"Authorization": f"Bearer {narrow}"})
        assert answer.status_code == 403
    answer = desk.browser.get("/dashboard/audit/export", buffered=False)
    people.directory.by(SETUP).sign_out_everywhere(people.members["chief"])
    with pytest.raises(NotSignedIn):
        answer.get_data()


def test_the_page_says_who_did_what_and_leads_to_what_there_still_is(desk: Desk) -> None:
    desk.post(f"{MEMBER}/roles", group="other", role="guest", reason="A look")
    desk.post("/dashboard/members/outsider/remove", typed="outsider")
    page = desk.get("/dashboard/audit?by=chief")
    assert "gave a role manager guest other A look" in texts(page).replace("  ", " ")
    manager, chief, other = desk.people.members["manager"], desk.people.members["chief"], desk.people.other
    for link in (f"/dashboard/members/{manager.id}", f"/dashboard/members/{chief.id}"):
        assert f'href="{link}"' in page
        desk.get(link)
    desk.get(f"/dashboard/groups/{other.id}/members")
    gone = desk.people.members["outsider"].id
    assert f"/dashboard/members/{gone}" not in page


def test_the_export_has_what_the_pages_have_with_the_same_filters(desk: Desk, redis: Redis) -> None:
    for number in range(130):
        desk.people.directory.by(SETUP).add_group(f"group{number}")
    for filters in (
        "",
        "act=group",
        "by=setup&act=group.add",
        "group=group7",
        "subject=GROUP7&since=2020-01-01",
        "act=client",
    ):
        shown, path = list[str](), f"/dashboard/audit?{filters}"
        while path:
            page = desk.get(path)
            shown += re.findall(r'data-label="Time"><time datetime="([^"]+)"', page)
            older = re.search(r'<a href="([^"]+)" rel="next">', page)
            path = unescape(older[1]) if older else ""
        (link,) = set(
            re.findall(r'href="(/dashboard/audit/export[^"]*format=csv[^"]*)"', desk.get(f"/dashboard/audit?{filters}"))
        )
        answer = desk.browser.get(unescape(link))
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True), newline="")))
        assert [row["time"] for row in rows] == shown
        lines = desk.browser.get(unescape(link).replace("format=csv", "format=jsonl")).text.splitlines()
        assert [json.loads(line) for line in lines] == rows
        assert set(rows[0] if rows else FIELDS) >= set(FIELDS)


@pytest.mark.parametrize(
    "query", ["act=nope", "before=x", "since=soon", "until=%00", "by=%07", "act=%3Cb%3E", "format=exe"]
)
def test_a_filter_that_makes_no_sense_is_refused_with_a_page(desk: Desk, query: str) -> None:
    path = "/dashboard/audit/export" if "format" in query else "/dashboard/audit"
    answer = desk.browser.get(f"{path}?{query}")
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert '<b>"' not in answer.text


def test_times_at_the_ends_of_the_calendar_are_only_times(desk: Desk) -> None:
    for query in ("since=0001-01-01", "until=9999-12-31T23:59:59-12:00", "since=2026-01-31T12:00:00.5%2B14:00"):
        desk.get(f"/dashboard/audit?{query}")
    assert 'value="2026-01-31T12:00:00"' in desk.get("/dashboard/audit?since=2026-01-31T14:00%2B02:00")


def test_nothing_in_the_audit_becomes_markup(desk: Desk, redis: Redis) -> None:
    redis.xadd(KEY, dict.fromkeys(FIELDS, HOSTILE))
    redis.xadd(KEY, {"act": "thread.start", "id": "javascript:alert(1)", "subject": "\u202ereversed"})
    redis.xadd(KEY, {"odd": b"\xff\xfe"})
    page = desk.get("/dashboard/audit")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "{{7*7}}" in texts(page)
    assert 'href="javascript' not in page
    assert "<bdi>\u202ereversed</bdi>" in page
    desk.post(f"{MEMBER}/roles", group="other", role="guest", reason=HOSTILE)
    assert "<img src=x" not in desk.get("/dashboard/audit")


def test_a_search_that_finds_little_says_that_it_goes_on(desk: Desk, redis: Redis) -> None:
    with redis.pipeline(transaction=False) as pipeline:
        for number in range(2_500):
            pipeline.xadd(KEY, {"act": "session.start", "by": "first" if number < 3 else "other"})
        pipeline.execute()
    page = desk.get("/dashboard/audit?by=first")
    assert "No match yet" in page
    older = re.search(r'<a href="([^"]+)" rel="next">', page)
    assert older is not None
    page = desk.get(unescape(older[1]))
    assert page.count('data-label="Time"') == 3
    assert 'rel="next"' not in page
    assert "No entries match" in desk.get("/dashboard/audit?by=nobody&until=1971-01-01")
