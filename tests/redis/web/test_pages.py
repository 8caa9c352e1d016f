"""The simple pages: signed in, escaped, protected from forged requests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.model import Level, Line, Report, Status
from psthreads.threads.store import ThreadStore
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People
from tests.support.threads import new_thread

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def browser(app: Flask, people: People) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def running_thread(redis: Redis, store: ThreadStore) -> str:
    thread_id = store.create(new_thread(redis, name=HOSTILE))
    assert store.claim(thread_id, "t", "w")
    xml = '<progress total="474" current="120"/>'
    lines = (Line(1_652_667_241_924, Level.WARN, HOSTILE),)
    store.report(thread_id, "t", Report(1, Status.WARNING, HOSTILE, xml, 1, 0, lines))
    return thread_id


def test_a_stranger_is_led_to_the_sign_in_page_and_on_from_there(browser: FlaskClient, people: People) -> None:
    response = browser.get("/dashboard/threads?status=failed")
    assert response.status_code == 302
    assert response.headers["Location"] == "/sign-in?next=/dashboard/threads?status%3Dfailed"
    assert sign_in(browser, "chief", following="/dashboard/threads?status=failed") == 303
    assert browser.environ_base["location"] == "/dashboard/threads?status=failed"
    assert browser.get("/dashboard").status_code == 200


def test_a_wrong_password_and_an_unknown_member_get_the_same_page(browser: FlaskClient) -> None:
    pages = []
    for username, password in (("chief", "wrong password"), ("nobody", PASSWORD)):
        page = browser.get("/sign-in")
        form = {"csrf_token": token_in(page.text), "username": username, "password": password}
        response = browser.post("/sign-in", data=form)
        assert response.status_code == 401
        assert f'value="{username}"' in response.text
        assert password not in response.text
        without = response.text.replace(f'value="{username}"', "")
        pages.append(re.sub(r'name="csrf_token" value="[^"]+"|data-now="\d+"', "", without))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "following", ["//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil", "/a\nb"]
)
def test_signing_in_leads_nowhere_else(browser: FlaskClient, following: str) -> None:
    assert sign_in(browser, "chief", following=following) == 303
    assert browser.environ_base["location"] == "/"


def test_who_arrives_is_led_to_what_is_theirs(browser: FlaskClient) -> None:
    assert sign_in(browser, "manager") == 303
    assert browser.get("/").headers["Location"] == "/dashboard/groups"
    for path in ("", "/threads", "/start", "/members", "/audit"):
        assert browser.get(f"/dashboard{path}").status_code == 403
    assert sign_in(browser, "chief") == 303
    assert browser.get("/").headers["Location"] == "/dashboard"


def test_nothing_that_a_thread_says_becomes_markup(browser: FlaskClient, redis: Redis, store: ThreadStore) -> None:
    thread_id = running_thread(redis, store)
    sign_in(browser, "chief")
    for path in ("/dashboard", "/dashboard/threads", f"/dashboard/threads/{thread_id}"):
        page = browser.get(path)
        assert HOSTILE not in page.text
        assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
    assert "120 of 474" in page.text


def test_a_cancel_needs_the_pages_own_token(browser: FlaskClient, redis: Redis, store: ThreadStore) -> None:
    thread_id = running_thread(redis, store)
    sign_in(browser, "chief")
    path = f"/dashboard/threads/{thread_id}/cancel"
    for forged in ({}, {"csrf_token": "x"}, {"csrf_token": token_in(browser.get("/sign-in").text) + "x"}):
        assert browser.post(path, data=forged).status_code == 403
    # The services refuse a browser's cookie without the token, too, and take it with the token.
    assert browser.post(f"/threads/{thread_id}/cancel").status_code == 403
    assert not store.fetch(thread_id).cancelling
    page = browser.get(f"/dashboard/threads/{thread_id}")
    assert browser.post(path, data={"csrf_token": token_in(page.text)}).status_code == 303
    assert store.fetch(thread_id).cancelling
    again = browser.get(f"/dashboard/threads/{thread_id}")
    assert "Kill it now" in again.text
    header = {"X-CSRFToken": token_in(again.text)}
    assert browser.post(f"/threads/{thread_id}/cancel", headers=header).status_code == 200


def test_a_link_on_a_strangers_page_starts_nothing(browser: FlaskClient, people: People, store: ThreadStore) -> None:
    people.acme_folder.write("/a.xml", b"<a/>")
    sign_in(browser, "chief")
    assert browser.get("/members/chief/groups/acme/export").status_code == 403
    assert browser.post("/members/chief/groups/acme/export").status_code == 403
    header = {"X-CSRFToken": token_in(browser.get("/dashboard").text)}
    with browser.post("/members/chief/groups/acme/export", headers=header) as response:
        assert response.status_code == 200


def test_a_session_ends_with_sign_out_and_with_a_new_password(browser: FlaskClient, people: People, app: Flask) -> None:
    sign_in(browser, "chief")
    page = browser.get("/dashboard")
    kept = browser.get_cookie("session")
    assert kept is not None
    assert browser.post("/sign-out", data={"csrf_token": token_in(page.text)}).status_code == 303
    assert browser.get("/dashboard").status_code == 302
    sign_in(browser, "chief")
    assert browser.get("/dashboard").status_code == 200
    people.directory.by(SETUP).change_password(people.members["chief"], "another good password")
    assert browser.get("/dashboard").status_code == 302


def test_cookies_are_for_the_server_alone(browser: FlaskClient) -> None:
    sign_in(browser, "chief")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"


def test_the_page_of_a_thread_leads_to_its_files_and_its_whole_log_and_shows_tracebacks(
    browser: FlaskClient, redis: Redis, store: ThreadStore, people: People
) -> None:
    thread_id = running_thread(redis, store)
    name = f"report-{thread_id}.html"
    lines = (Line(1_652_667_241_924, Level.ERROR, "It failed", "Traceback: <b>"),)
    store.report(thread_id, "t", Report(2, xml=f"<report>{name}</report><note>../{thread_id}</note>", lines=lines))
    assert sign_in(browser, "chief") == 303
    page = browser.get(f"/dashboard/threads/{thread_id}").text
    assert f'href="/threads/{thread_id}/results/{name}"' in page
    assert f"../{thread_id}" not in page
    (log,) = set(re.findall(r'href="(/dashboard/threads/[^"?]+/log)"', page))
    shown = browser.get(log).text
    assert "Traceback: &lt;b&gt;" in shown
    downloads = re.findall(r'href="(/threads/[^"]+/download[^"]*)"', shown)
    assert len(downloads) == 3
    for found in downloads:
        answer = browser.get(found.replace("&amp;", "&"))
        assert (answer.status_code, "It failed" in answer.text) == (200, True)
