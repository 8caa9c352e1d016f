"""Help on every page: that no worker runs, a first step where there is nothing yet, the menu, and secrets."""

from __future__ import annotations

import pytest
from flask import Flask
from redis import Redis

from psthreads.identity.credentials import Token
from psthreads.threads.crew import CrewWatch
from tests.support.forms import sign_in, token_in
from tests.support.leaves import Signed, texts
from tests.support.people import People


def test_everybody_is_told_on_every_page_that_no_worker_runs(
    app: Flask, people: People, signed: Signed, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = "//*[@id='crew']"
    client = signed("contributor")
    pages = ("/dashboard/groups/acme", "/dashboard/groups/acme/threads", "/dashboard/account", "/dashboard/groups")
    monkeypatch.setattr("psthreads.threads.crew._PATIENCE_MS", 60_000)
    assert texts(client.get(pages[0]).text, notice) == [""]  # A server that starts waits for its workers first.
    monkeypatch.setattr("psthreads.threads.crew._PATIENCE_MS", 0)
    for page in pages:
        assert texts(client.get(page).text, notice)[0].startswith("No worker is running."), page
    assert "Tell an administrator" in client.get(pages[0]).text
    assert "psthreads worker" in texts(signed("chief").get("/dashboard/threads").text, notice)[0]
    assert texts(client.get(pages[1], headers={"HX-Request": "true"}).text, notice) != [""]
    redis.sadd("rq:workers:psthreads", "rq:worker:w")
    redis.hset("rq:worker:w", "state", "idle")
    app.extensions["psthreads"].crew._due = 0.0
    assert texts(client.get(pages[0]).text, notice) == [""]
    assert CrewWatch(redis, "psthreads").is_gone() is False


def test_the_reference_has_the_menu_for_whoever_is_signed_in(app: Flask, signed: Signed) -> None:
    assert "Sign out" not in app.test_client().get("/api").text
    for name in ("contributor", "chief"):
        page = signed(name).get("/api").text
        assert name in texts(page, "//details[@class='who']/summary")[0]
        assert texts(page, "//nav[@aria-label='Main']")[0]
    stranger = app.test_client()
    stranger.set_cookie("session", "nonsense")
    assert stranger.get("/api").status_code == 200


def test_a_new_secret_can_be_copied_and_a_token_says_when_it_was_last_used(
    app: Flask, people: People, redis: Redis
) -> None:
    browser = app.test_client()
    assert sign_in(browser, "contributor") == 303
    page = "/dashboard/account"
    made = browser.post(
        f"{page}/tokens",
        data={"csrf_token": token_in(browser.get(page).text), "name": "laptop", "expires": "1d", "read": "true"},
    ).text
    (secret,) = texts(made, "//span[@id='secret-1']")
    assert texts(made, "//button[@data-copy='secret-1']") == ["Copy Token"]
    assert texts(browser.get(page).text, "//tr[td='laptop']/td[@data-label='Last used']") == ["Never"]
    headers = {"Authorization": f"Bearer {secret}"}
    assert app.test_client(use_cookies=False).get("/groups/acme/threads", headers=headers).status_code == 200
    assert texts(browser.get(page).text, "//tr[td='laptop']/td[@data-label='Last used']") == ["just now"]


def test_a_token_is_noted_once_a_minute_and_identifies_where_nothing_can_be_noted(redis: Redis, people: People) -> None:
    directory, member = people.directory, people.members["contributor"]
    token = Token(people.token("contributor"))
    directory.identify(token)
    (info, *_) = directory.tokens(member)
    first = info.used
    assert first > 0
    directory.identify(token)
    assert directory.tokens(member)[0].used == first
    key = next(key for key in redis.scan_iter("ps:token:*") if redis.hget(key, "used") == str(first).encode())
    redis.hset(key, "used", 1)
    redis.config_set("maxmemory", 1)
    try:
        assert directory.identify(token).member == member
    finally:
        redis.config_set("maxmemory", 0)
    assert directory.tokens(member)[0].used == 1


def test_where_nothing_has_run_the_overview_leads_to_a_first_step(signed: Signed) -> None:
    chief = texts(signed("chief").get("/dashboard").text, "//div[@class='empty']")[0]
    for step in ("Add a group", "Add a member", "Start a thread"):
        assert step in chief
    assert (
        "Upload documents"
        in texts(signed("contributor").get("/dashboard/groups/acme").text, "//div[@class='empty']")[0]
    )
