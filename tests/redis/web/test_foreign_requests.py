"""What a browser sends by itself for a page of another site does nothing, whichever credential it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People
from tests.support.threads import new_thread

OWN = "http://localhost"
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": OWN},
    {"Sec-Fetch-Site": "CROSS-SITE", "Origin": OWN},
    {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
]
OURS = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": OWN},
    {"Sec-Fetch-Site": "none"},
    {"Origin": OWN},
    # A proxy that ends TLS without saying so, and one that changes Host for a browser that says where it is.
    {"Origin": "https://LOCALHOST"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://ps.example"},
]
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_request_is_refused_before_anything_else(
    app: Flask, people: People, redis: Redis, store: ThreadStore, headers: dict[str, str]
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    program = app.test_client(use_cookies=False)
    for path in (
        f"/threads/{thread}/cancel",
        "/members/chief/groups/acme/samples/count",
        "/dashboard/members/add",
        "/ps/oauth/token",
        "/sign-in",
        "/nowhere",
    ):
        answer = program.post(path, headers=people.basic("chief") | headers)
        assert answer.status_code == 403, path
        assert "comes from" in answer.text, path
    assert not store.fetch(thread).status.is_final
    # A page of another site cannot make a browser send a token.
    bearer = people.bearer("chief") | headers
    assert program.post("/members/chief/groups/acme/samples/count", headers=bearer).status_code == 202
    assert program.get("/threads", headers=people.basic("chief") | headers).status_code == 200


@pytest.mark.parametrize("headers", OURS)
def test_a_request_of_ones_own_or_of_a_program_is_not_refused(
    app: Flask, people: People, headers: dict[str, str]
) -> None:
    program = app.test_client(use_cookies=False)
    started = program.post("/members/chief/groups/acme/samples/count", headers=people.basic("chief") | headers)
    assert started.status_code == 202


def test_signing_in_from_another_site_is_refused_with_a_token_and_a_cookie_that_fit(app: Flask, people: People) -> None:
    browser = app.test_client()
    form = {"csrf_token": token_in(browser.get("/sign-in").text), "username": "chief", "password": PASSWORD}
    for headers in FOREIGN:
        assert browser.post("/sign-in", data=form, headers=headers).status_code == 403
    assert browser.get("/dashboard").status_code == 302
    assert browser.post("/sign-in", data=form, headers={"Origin": OWN}).status_code == 303


def test_pages_take_no_basic(app: Flask, people: People) -> None:
    program = app.test_client(use_cookies=False)
    for method, path in (("GET", "/dashboard"), ("POST", "/dashboard/members/add"), ("GET", "/dashboard/groups/acme")):
        answer = program.open(path, method=method, headers=people.basic("chief"))
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in")
    browser = app.test_client()
    assert sign_in(browser, "manager") == 303
    # A browser that remembers a password sends it along with the cookie.
    page = browser.get("/dashboard/groups", headers=people.basic("chief"))
    assert page.status_code == 200
    assert "chief" not in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "navigate", "Accept": "*/*"},
        {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": BROWSER},
    ],
)
def test_a_person_who_opens_a_service_is_led_to_the_sign_in_and_not_asked_by_the_browser(
    app: Flask, people: People, headers: dict[str, str]
) -> None:
    browser = app.test_client()
    answer = browser.get("/threads?page=2", headers=headers)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in?next=/threads?page%3D2")
    for refused in (
        browser.post("/threads", headers=headers),
        browser.post(f"/threads/{'0' * 32}/cancel", headers=headers),
        browser.get("/threads", headers=headers | people.basic("chief", "wrong password")),
    ):
        assert "Basic" not in refused.headers.get("WWW-Authenticate", "")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Mode": "cors"}, {"Accept": "text/event-stream"}, {"HX-Request": "true"}]
)
def test_a_script_whose_session_has_ended_asks_nobody_for_a_password(
    app: Flask, people: People, headers: dict[str, str]
) -> None:
    answer = app.test_client().get("/threads/events", headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="psthreads"')


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/xml"},
        {"User-Agent": "Java/17.0.2", "Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"},
    ],
)
def test_a_program_gets_the_challenge_for_basic(app: Flask, people: People, headers: dict[str, str]) -> None:
    answer = app.test_client().get("/threads", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="psthreads"')


def test_a_link_on_another_site_starts_nothing_with_a_password_that_the_browser_sends(
    app: Flask, people: People, store: ThreadStore
) -> None:
    program = app.test_client(use_cookies=False)
    path, basic = "/members/chief/groups/acme/export", people.basic("chief")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"User-Agent": BROWSER}):
        assert program.get(path, headers=basic | headers).status_code == 403
    assert store.page("active", people.acme.id, 1, 50).total == 0
    for headers in ({}, {"User-Agent": "python-requests/2"}):
        assert program.get(path, headers=basic | headers).status_code == 400  # Allowed, but without its parameters.


# The names of the server.


def test_with_the_setting_its_origins_and_no_host_are_ours(config: Config, people: People) -> None:
    app = create_app(replace(config, origins=("https://ps.example", "http://127.0.0.1:8000")))
    program = app.test_client(use_cookies=False)
    for origin, status in (
        ("https://ps.example", 202),
        ("https://PS.example", 202),
        ("http://127.0.0.1:8000", 202),
        ("http://ps.example", 403),
        ("http://evil.example", 403),
    ):
        headers = people.basic("chief") | {"Origin": origin, "Host": "evil.example"}
        assert program.post("/members/chief/groups/acme/samples/count", headers=headers).status_code == status, origin


@pytest.mark.parametrize("text", ["ps.example", "https://ps.example/x", "ftp://ps.example", "https://", "https://a@b"])
def test_an_origin_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ConfigError, match="PSTHREADS_ORIGINS"):
        Config.from_env({"PSTHREADS_ORIGINS": text})
    good = Config.from_env({"PSTHREADS_ORIGINS": "https://PS.example/, http://[::1]:8000"})
    assert good.origins == ("https://ps.example", "http://[::1]:8000")


def test_over_tls_no_other_host_of_the_domain_can_set_the_cookie(app: Flask, people: People) -> None:
    client = app.test_client()
    (header,) = client.get("/sign-in", base_url="https://ps.example").headers.getlist("Set-Cookie")
    assert header.startswith("__Host-session=")
    planted = header.partition(";")[0].removeprefix("__Host-")
    program = app.test_client(use_cookies=False)
    page = program.get("/sign-in", base_url="https://ps.example", headers={"Cookie": planted})
    assert "Set-Cookie" in page.headers  # Nobody knows it: a new one is made.
