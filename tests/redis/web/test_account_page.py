"""One's own account in a browser: the password and the tokens, for sessions only and for nobody else's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP, Audit, AuditQuery
from psthreads.domain.access import TokenScope
from psthreads.domain.config import Config
from psthreads.domain.errors import NotSignedIn
from psthreads.identity.credentials import Password, Token
from psthreads.web.app import create_app
from psthreads.web.pages.people import account
from tests.support.desk import HOSTILE, texts
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People

PAGE = "/dashboard/account"
NEW = "another horse altogether"


@pytest.fixture
def browser(app: Flask, people: People) -> FlaskClient:
    client = app.test_client()
    assert sign_in(client, "contributor") == 303
    return client


def post(browser: FlaskClient, path: str, status: int, **fields: str) -> TestResponse:
    answer = browser.post(f"{PAGE}/{path}", data={"csrf_token": token_in(browser.get(PAGE).text), **fields})
    assert answer.status_code == status, answer.text
    return answer


def deeds(redis: Redis) -> list[tuple[str, str, str]]:
    """Act, by whom, and on what, the newest last."""
    return [(one.act, one.by, one.subject) for one in Audit(redis).export(AuditQuery())][::-1]


def test_it_shows_who_one_is_and_ones_roles(browser: FlaskClient) -> None:
    said = texts(browser.get(PAGE).text)
    for text in ("Username contributor", "acme contributor", "Tokens, newest first", "test all"):
        assert text in said


def test_a_password_is_changed_by_who_knows_it_and_every_other_browser_is_signed_out(
    app: Flask, browser: FlaskClient, people: People, redis: Redis
) -> None:
    other = app.test_client()
    assert sign_in(other, "contributor") == 303
    before = browser.get_cookie("session")
    assert before is not None
    answer = post(browser, "password", 303, current=PASSWORD, password=NEW)
    assert answer.headers["Location"] == f"{PAGE}?done=password"
    assert "Password changed." in browser.get(answer.headers["Location"]).text
    assert other.get(PAGE).status_code == 302
    copy = app.test_client()
    copy.set_cookie("session", before.value)
    assert copy.get(PAGE).status_code == 302
    directory, contributor = people.directory, people.members["contributor"]
    assert directory.identify(Password("contributor", NEW)).member == contributor
    with pytest.raises(NotSignedIn):
        directory.identify(Password("contributor", PASSWORD))
    assert directory.identify(Token(people.token("contributor"))).member == contributor
    assert [act for act, by, _ in deeds(redis) if by == "contributor"][-2:] == ["member.password", "session.start"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"current": "wrong password", "password": NEW}, "The password is wrong"),
        ({"current": "", "password": NEW}, "'current' is missing"),
        ({"current": PASSWORD, "password": "short"}, "10 to 1,024 characters"),
        ({"current": PASSWORD, "password": ""}, "'password' is missing"),
    ],
)
def test_a_password_that_cannot_be_changed_stays_and_neither_is_shown(
    browser: FlaskClient, people: People, fields: dict[str, str], sentence: str
) -> None:
    page = post(browser, "password", 400, **fields).text
    assert sentence in texts(page)
    assert not any(text and text in page for text in fields.values())
    assert people.directory.identify(Password("contributor", PASSWORD)).member.username == "contributor"
    assert browser.get(PAGE).status_code == 200


def test_a_password_is_changed_even_while_somebody_guesses_at_it(
    app: Flask, browser: FlaskClient, people: People
) -> None:
    guesser = app.test_client()
    assert 429 in {sign_in(guesser, "contributor", f"wrong {number}") for number in range(30)}
    post(browser, "password", 303, current=PASSWORD, password=NEW)
    assert browser.get(PAGE).status_code == 200
    assert people.directory.identify(Password("contributor", NEW)).member.username == "contributor"


def test_a_password_that_was_reset_meanwhile_is_not_overwritten(
    browser: FlaskClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    contributor, reset = people.members["contributor"], "what an administrator has set"
    original = account._prove

    def prove(*given: Any) -> None:
        original(*given)
        people.directory.by(SETUP).change_password(contributor, reset)

    monkeypatch.setattr(account, "_prove", prove)
    token = token_in(browser.get(PAGE).text)
    answer = browser.post(f"{PAGE}/password", data={"csrf_token": token, "current": PASSWORD, "password": NEW})
    assert answer.status_code == 409
    assert people.directory.identify(Password("contributor", reset)).member == contributor
    with pytest.raises(NotSignedIn):
        people.directory.identify(Password("contributor", NEW))


def test_an_account_that_others_have_locked_changes_its_password_in_its_own_browser(
    people: People, redis: Redis, config: Config
) -> None:
    app = create_app(replace(config, lock_after=2))
    browser, guesser = app.test_client(), app.test_client()
    assert sign_in(browser, "contributor") == 303
    for _ in range(2):  # No password at all is no guess.
        assert "is missing" in texts(post(browser, "password", 400, current="", password=NEW).text)
    guesser.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    for turn in range(2):
        sign_in(guesser, "contributor", f"wrong {turn}")
    assert people.directory.locked()
    post(browser, "password", 303, current=PASSWORD, password=NEW)


def test_guessing_the_password_with_a_session_is_slowed_down(browser: FlaskClient) -> None:
    for turn in range(40):
        fields = {"csrf_token": token_in(browser.get(PAGE).text), "current": f"wrong {turn}", "password": NEW}
        answer = browser.post(f"{PAGE}/password", data=fields)
        if answer.status_code == 429:
            break
        assert answer.status_code == 400
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_a_token_is_made_shown_once_and_revoked_after_a_question(
    browser: FlaskClient, people: People, redis: Redis
) -> None:
    fields = {"name": "laptop", "expires": "30d", "read": "true"}
    page = post(browser, "tokens", 200, groups="acme", **fields).text
    (plain,) = re.findall(r"<code>(pst_[^<]+)</code>", page)
    caller = people.directory.identify(Token(plain))
    assert (caller.member.username, caller.token_scope) == (
        "contributor",
        TokenScope(act=False, groups=frozenset({people.acme.id})),
    )
    assert plain not in browser.get(PAGE).text
    assert "has a token" in texts(post(browser, "tokens", 409, **fields).text)
    assert "Revoke token laptop of contributor?" in texts(post(browser, "tokens/revoke", 200, name="laptop").text)
    assert people.directory.identify(Token(plain))
    answer = post(browser, "tokens/revoke", 303, name="laptop", confirmed="true")
    assert "Token revoked." in browser.get(answer.headers["Location"]).text
    with pytest.raises(NotSignedIn):
        people.directory.identify(Token(plain))
    post(browser, "tokens/revoke", 404, name="laptop", confirmed="true")
    ours = [one for one in deeds(redis) if one[0].startswith("token.") and one[1] == "contributor"]
    assert ours == [("token.create", "contributor", "laptop"), ("token.revoke", "contributor", "laptop")]


def test_a_token_that_cannot_be_made_is_told_and_the_form_keeps_what_it_held(browser: FlaskClient) -> None:
    fields = {"name": "laptop", "expires": "never", "act": "true"}
    for groups, status, said in (
        (" ".join(f"g{number}" for number in range(51)), 400, "Name at most 50 groups"),
        (" , ", 400, "Name at least one group"),
        ("acme " * 100_000 + "nope", 404, "does not exist"),
    ):
        assert said in texts(post(browser, "tokens", status, groups=groups, **fields).text)
    page = post(browser, "tokens", 404, groups=f"nope {HOSTILE}", **fields).text
    assert 'role="alert"' in page
    assert HOSTILE not in page
    assert re.search(r'id="act-tokens"[^>]* checked', page)
    assert not re.search(r'id="read-tokens"[^>]* checked', page)


def test_neither_a_token_nor_a_password_opens_it(app: Flask, people: People) -> None:
    client = app.test_client(use_cookies=False)
    for headers, refused in ((people.bearer("chief"), 403), (people.basic("chief"), 302)):
        assert client.get("/processes", headers=headers).status_code == 200
        for method, path in (("GET", ""), ("POST", "/password"), ("POST", "/tokens"), ("POST", "/tokens/revoke")):
            data = {"name": "more", "expires": "never", "read": "true", "act": "true", "confirmed": "true"}
            sent = data if method == "POST" else None
            assert client.open(f"{PAGE}{path}", method=method, headers=headers, data=sent).status_code == refused
    assert [token.name for token in people.directory.tokens(people.members["chief"])] == ["test"]


def test_its_forms_need_the_pages_own_token(browser: FlaskClient, people: People) -> None:
    for path in ("password", "tokens", "tokens/revoke"):
        data = {
            "current": PASSWORD,
            "password": NEW,
            "name": "test",
            "expires": "never",
            "read": "true",
            "confirmed": "true",
        }
        assert browser.post(f"{PAGE}/{path}", data=data).status_code == 403
    assert people.directory.identify(Password("contributor", PASSWORD))
    assert [token.name for token in people.directory.tokens(people.members["contributor"])] == ["test"]
