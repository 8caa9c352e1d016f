"""Sessions of browsers: how they begin, what their cookie is, and how they end."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.errors import NotSignedIn
from psthreads.identity.credentials import Session
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from psthreads.web.auth import sessions
from psthreads.web.auth.guard import Watch
from psthreads.web.auth.sign_in import own_path
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People
from tests.support.threads import new_thread

EVIL = [
    *(
        "//evil.example",
        "///evil.example",
        "\\\\evil.example",
        "/\\evil.example",
        "/\\/evil.example",
        "\\/evil.example",
    ),
    *("https://evil.example/", "https:evil.example", "https:/evil.example", "http:\\\\evil.example", "evil.example"),
    *("javascript:alert(1)", "data:text/html,x", "/\t/evil.example", "\t//evil.example", "/\n/evil.example", " //evil"),
    *("/\r\nSet-Cookie: session=x", "/a\r\nLocation: //evil.example", "/\x00", "/\u2028/evil", "@evil.example", "?//e"),
]


@pytest.fixture
def browser(app: Flask, people: People) -> FlaskClient:
    return app.test_client()


def cookie(browser: FlaskClient) -> str:
    found = browser.get_cookie("session")
    return "" if found is None else found.value


def is_in(browser: FlaskClient, with_cookie: str | None = None) -> bool:
    if with_cookie is not None:
        browser.set_cookie("session", with_cookie)
    return browser.get("/dashboard").status_code == 200


class Clock:
    """The clock of the web process, which can be put on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def time(self) -> float:
        return time.time() + self._ahead

    def wait(self, hours: float) -> None:
        self._ahead += hours * 3600


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sessions, "time", clock)
    return clock


def test_a_session_that_somebody_else_began_is_not_signed_in_by_ones_own_sign_in(
    browser: FlaskClient, app: Flask
) -> None:
    attacker = app.test_client()
    planted_token = token_in(attacker.get("/sign-in").text)
    planted = cookie(attacker)
    browser.set_cookie("session", planted)
    form = {"csrf_token": planted_token, "username": "chief", "password": PASSWORD}
    assert browser.post("/sign-in", data=form).status_code == 303
    assert is_in(browser)
    assert cookie(browser) != planted
    assert not is_in(attacker)
    # Nor is the attacker's own token against forgery one of the session that is signed in.
    assert browser.post("/sign-out", data={"csrf_token": planted_token}).status_code == 403


def test_signing_out_ends_the_session_wherever_its_cookie_was_copied_to(browser: FlaskClient, app: Flask) -> None:
    sign_in(browser, "chief")
    copy = cookie(browser)
    token = token_in(browser.get("/dashboard").text)
    second = app.test_client()
    sign_in(second, "chief")
    answer = browser.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 303
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert not is_in(browser)
    assert not is_in(browser, copy)
    assert is_in(second)  # Another browser's session is another one.


def test_signing_in_again_ends_the_session_of_before(browser: FlaskClient) -> None:
    sign_in(browser, "chief")
    first = cookie(browser)
    sign_in(browser, "chief")
    assert is_in(browser)
    assert not is_in(browser, first)


def test_signing_out_everywhere_ends_every_browsers_session_and_no_token(
    browser: FlaskClient, app: Flask, people: People
) -> None:
    sign_in(browser, "chief")
    second = app.test_client()
    sign_in(second, "chief")
    page = second.get("/dashboard").text
    assert "Sign out everywhere" in page
    form = {"csrf_token": token_in(page), "everywhere": "true"}
    assert second.post("/sign-out", data=form).status_code == 303
    assert not is_in(second)
    assert not is_in(browser)
    assert browser.get("/threads", headers=people.bearer("chief")).status_code == 200
    assert sign_in(browser, "chief") == 303


def test_a_token_signs_no_session_out(browser: FlaskClient, app: Flask, people: People) -> None:
    sign_in(browser, "chief")
    program = app.test_client(use_cookies=False)
    program.post("/sign-out", data={"everywhere": "true"}, headers=people.bearer("chief"))
    assert is_in(browser)


def test_a_session_that_nobody_uses_ends_and_one_that_is_used_goes_on(browser: FlaskClient, clock: Clock) -> None:
    sign_in(browser, "chief")
    first = cookie(browser)
    for _ in range(3):
        clock.wait(7.5)
        assert is_in(browser)
    assert cookie(browser) != first
    assert not is_in(browser, first)  # The cookie of a day ago says that it was not used since.
    sign_in(browser, "chief")
    clock.wait(8.1)
    assert not is_in(browser)


def test_a_session_has_an_end_however_much_it_is_used(browser: FlaskClient, clock: Clock) -> None:
    sign_in(browser, "chief")
    for _ in range(27):
        clock.wait(6)
        assert is_in(browser)
    clock.wait(6.1)
    assert not is_in(browser)
    assert browser.get("/threads").status_code == 401


def test_the_cookie_is_not_made_anew_by_every_request(browser: FlaskClient) -> None:
    sign_in(browser, "chief")
    assert "Set-Cookie" in browser.get("/dashboard").headers  # the page's own token
    assert not any("Set-Cookie" in browser.get("/dashboard").headers for _ in range(3))


def test_a_stream_of_a_session_ends_with_it(people: People, store: ThreadStore, redis: Redis) -> None:
    chief, session = people.directory.sign_in("chief", PASSWORD)
    caller = people.directory.identify(session)
    assert caller.member == chief
    Watch(people.directory, store, caller, lambda: replace(session, until=time.time() + 60)).recheck()
    with pytest.raises(NotSignedIn):
        Watch(people.directory, store, caller, lambda: replace(session, until=time.time() - 1)).recheck()
    people.directory.end_session(session, 60)
    with pytest.raises(NotSignedIn):
        Watch(people.directory, store, caller, lambda: session).recheck()
    assert redis.ttl(f"ps:ended-session:{session.key}") in range(50, 61)
    assert people.directory.identify(Session(session.member_id, session.stamp, "another")).member == chief


@pytest.mark.parametrize(
    ("address", "is_secure"),
    [
        ("http://localhost", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("https://localhost", True),
        ("https://threads.example", True),
        ("http://threads.example", True),
        ("http://192.168.0.7:8000", True),
        ("http://localhost.evil.example", True),
        ("http://127.0.0.1.evil.example", True),
    ],
)
def test_the_cookie_leaves_the_machine_by_tls_only(
    app: Flask, people: People, address: str, *, is_secure: bool
) -> None:
    client = app.test_client()
    (header,) = client.get("/sign-in", base_url=address).headers.getlist("Set-Cookie")
    parts = {part.strip() for part in header.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= parts
    assert ("Secure" in parts) is is_secure
    assert not any(part.startswith(("Domain", "Expires", "Max-Age")) for part in parts)


def test_signing_in_leads_to_our_own_pages_only(app: Flask, browser: FlaskClient) -> None:
    for following in EVIL:
        with app.test_request_context():
            assert own_path(following) == "/"
        page = browser.get("/sign-in", query_string={"next": following})
        assert 'name="next" value="/"' in page.text
        form = {"csrf_token": token_in(page.text), "username": "chief", "password": PASSWORD, "next": following}
        answer = browser.post("/sign-in", data=form)
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/"
        assert "evil" not in str(answer.headers)


def test_signing_in_leads_on_to_any_page_of_ours(app: Flask) -> None:
    paths = ("/", "/dashboard?status=failed&page=2", "/dashboard/threads/" + "0" * 32, "/a//b", "/?next=//evil")
    with app.test_request_context():
        assert [own_path(path) for path in paths] == list(paths)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/"},
        {"Content-Type": "text/plain"},
        {"X-HTTP-Method-Override": "GET"},
        {"X-CSRFToken": "forged"},
    ],
)
def test_another_origins_requests_with_the_cookie_do_nothing(
    browser: FlaskClient, people: People, store: ThreadStore, redis: Redis, headers: dict[str, str]
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    sign_in(browser, "chief")
    before = store.page("active", people.acme.id, 1, 50).total
    for method, path in (
        ("POST", f"/threads/{thread}/cancel"),
        ("POST", f"/ps/service/groups/acme/threads/{thread}/cancel"),
        ("POST", f"/dashboard/threads/{thread}/cancel"),
        ("POST", "/members/chief/groups/acme/samples/count"),
        ("GET", "/members/chief/groups/acme/export"),
        ("POST", "/members/chief/groups/acme/loadingzone/clear"),
        ("POST", "/ps/servlet/upload?group=acme&filename=a"),
        ("PUT", "/ps/servlet/upload?group=acme&filename=a"),
        ("POST", "/sign-out"),
    ):
        answer = browser.open(path, method=method, headers=headers)
        # A method that would be put over another is refused for every request.
        assert answer.status_code == (400 if "X-HTTP-Method-Override" in headers and method != "GET" else 403), path
    assert is_in(browser)
    assert not store.fetch(thread).status.is_final
    assert store.page("active", people.acme.id, 1, 50).total == before


def test_by_tls_a_token_against_forgery_that_comes_from_another_site_is_refused(app: Flask, people: People) -> None:
    browser = app.test_client()
    https = "https://threads.example"
    token = token_in(browser.get("/sign-in", base_url=https).text)
    form = {"csrf_token": token, "username": "chief", "password": PASSWORD}
    for origin in ({}, {"Referer": "https://evil.example/"}, {"Referer": "http://threads.example/sign-in"}):
        assert browser.post("/sign-in", base_url=https, data=form, headers=origin).status_code == 403
    own = {"Referer": f"{https}/sign-in"}
    assert browser.post("/sign-in", base_url=https, data=form, headers=own).status_code == 303


def test_basic_and_bearer_need_no_token_against_forgery(app: Flask, people: People) -> None:
    client = app.test_client(use_cookies=False)
    for headers in (people.bearer("manager"), people.basic("manager")):
        assert client.post("/members/manager/groups/acme/samples/count", headers=headers).status_code == 202


def test_no_private_answer_may_be_kept_by_anybody_else(
    browser: FlaskClient, people: People, store: ThreadStore, redis: Redis
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    sign_in(browser, "chief")
    for path in (
        *("/dashboard", f"/dashboard/threads/{thread}", "/sign-in", "/threads", "/processes", "/groups/acme/threads"),
        *(f"/threads/{thread}/progress", f"/threads/{thread}/logs", f"/threads/{thread}/logs/download", "/nowhere"),
        f"/threads/{'0' * 32}/progress",
    ):
        kept = browser.get(path).headers["Cache-Control"]
        assert "no-store" in kept or ("private" in kept and "no-cache" in kept), path
        assert "public" not in kept


@pytest.mark.parametrize(
    "value", ["x", "..", "a.b.c", "é", "0" * 5000, '{"_user_id":"1:x:y"}', "eyJfdXNlcl9pZCI6IjE6eDp5In0.x.y"]
)
def test_a_forged_cookie_is_nobody(app: Flask, people: People, value: str) -> None:
    client = app.test_client(use_cookies=False)
    answer = client.get("/threads", headers={"Cookie": f"session={value}"})
    assert answer.status_code == 401


def test_a_cookie_of_another_version_or_with_other_types_is_nobody(app: Flask, people: People, config: Config) -> None:
    app = create_app(replace(config, secret_key="a key of the test only"))
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    member, session = people.directory.sign_in("chief", PASSWORD)
    now = int(time.time())
    whole = f"{member.id}:{session.stamp}:{session.key}"
    client = app.test_client(use_cookies=False)

    def status(**content: object) -> int:
        return client.get("/threads", headers={"Cookie": f"session={signer.dumps(content)}"}).status_code

    assert status(_user_id=whole, since=now, seen=now) == 200
    for content in (
        {"_user_id": whole},
        {"_user_id": whole, "since": now},
        {"_user_id": whole, "since": now, "seen": None},
        {"_user_id": whole, "since": "now", "seen": now},
        {"_user_id": f"{member.id}:{session.stamp}", "since": now, "seen": now},
        {"_user_id": 7, "since": now, "seen": now},
    ):
        assert status(**content) == 401
