"""Credentials, roles, members and groups change only in a session with a recent proof of the password."""

from __future__ import annotations

import ast
import re
import time
from dataclasses import replace
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Caller, Proof, TokenScope, may_change_access
from psthreads.domain.config import Config
from psthreads.web.app import create_app
from psthreads.web.auth import sessions
from psthreads.web.http.origins import SAFE_METHODS
from psthreads.web.pages.site import WITHOUT_PROOF
from tests.support.checkout import ROOT
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People

ASKS = "Confirm that it is you"
# Blueprints whose routes change threads and files alone.
OF_THREADS = {
    *("server", "group", "server-pages", "group-pages", "starts", "uploads", "servlet", "loading"),
}
# An access token is as narrow as its client, and the client has to prove its own secret.
OF_CLIENTS = {"oauth.token", "oauth.revoke"}


def rules_that_change_access(app: Flask) -> list[Rule]:
    """Every route that is not safe, but those which are named above to change something else."""
    return [
        rule
        for rule in app.url_map.iter_rules()
        if set(rule.methods or ()) - SAFE_METHODS
        and rule.endpoint not in OF_CLIENTS | WITHOUT_PROOF
        and rule.endpoint.partition(".")[0].rstrip("0123456789") not in OF_THREADS
    ]


def path_of(app: Flask, rule: Rule) -> str:
    values = {"group": "acme", "member": "manager"}
    with app.test_request_context():
        built = rule.build({name: values[name] for name in rule.arguments}, append_unknown=False)
    assert built is not None
    return built[1]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten minutes pass since the proof."""
    original = sessions.proof_age
    monkeypatch.setattr(sessions, "proof_age", lambda: original() + 601)


@pytest.fixture
def chief(app: Flask, people: People) -> FlaskClient:
    browser = app.test_client()
    assert sign_in(browser, "chief") == 303
    return browser


def post(browser: FlaskClient, path: str, **fields: str) -> TestResponse:
    token = token_in(browser.get("/dashboard/account").text)
    return browser.post(path, data={"csrf_token": token, **fields})


def everything(people: People, redis: Redis) -> object:
    """All that is stored of members and groups, but for what each sign-in and each request with a token changes."""
    names = sorted(redis.keys("ps:member:*") + redis.keys("ps:group:*") + redis.keys("ps:memberships:*"))
    return [(name, redis.hgetall(name)) for name in names], [
        [replace(token, used=0) for token in people.directory.tokens(member)] for member in people.directory.members()
    ]


def test_every_route_that_changes_access_refuses_tokens_and_sessions_without_a_recent_proof(
    app: Flask, people: People, redis: Redis, chief: FlaskClient, late: None
) -> None:
    member = people.members["chief"]
    act_only = people.directory.by(SETUP).create_token(member, "act", 300, TokenScope(read=False))
    client_id, secret = people.directory.by(SETUP).add_client(member, "program")
    program = app.test_client(use_cookies=False)
    form = {"grant_type": "client_credentials", "scope": "act"}
    answer = program.post("/ps/oauth/token", data=form, headers=people.basic(client_id, secret))
    credentials = {
        "token": (people.bearer("chief"), 403),
        "narrow token": ({"Authorization": f"Bearer {act_only}"}, 403),
        "oauth": ({"Authorization": f"Bearer {answer.json['access_token']}"}, 403),  # type: ignore[index]
        "basic": (people.basic("chief"), 302),
    }
    fields = {
        "username": "mallory",
        "password": "mallory has come in",
        "current": PASSWORD,
        "name": "mallory",
        "expires": "never",
        "read": "true",
        "act": "true",
        "group": "acme",
        "role": "manager",
        "member": "loner",
        "admin": "on",
        "typed": "acme",
        "confirmed": "true",
    }
    rules = rules_that_change_access(app)
    assert len(rules) >= 15
    before = everything(people, redis)
    for rule in rules:
        path = path_of(app, rule)
        for kind, (headers, status) in credentials.items():
            refused = program.post(path, data=fields, headers=headers)
            assert refused.status_code == status, (kind, path)
            if status == 403:
                assert "no token" in refused.text or "signed in" in refused.text, (kind, path)
        page = post(chief, path, **{name: value for name, value in fields.items() if name != "current"})
        assert page.status_code == 403, path
        assert ASKS in page.text, path
    assert everything(people, redis) == before


def test_the_web_changes_access_in_one_place_that_asks_for_the_proof() -> None:
    callers = {
        path.relative_to(ROOT / "psthreads/web").as_posix()
        for path in (ROOT / "psthreads/web").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "by")
        or (isinstance(node, ast.Name) and node.id == "Administration")
    }
    # A sign-in at the provider sets the flag that the provider gives; signing out ends one's own sessions.
    assert callers == {"auth/proof.py", "auth/oidc.py", "auth/sign_in.py"}


def test_the_rule_wants_a_recent_proof_and_a_credential_as_wide_as_the_member(people: People) -> None:
    caller = Caller(people.members["chief"])
    assert [may_change_access(caller, proof) for proof in Proof] == [False, False, True]
    assert not may_change_access(replace(caller, token_scope=TokenScope()), Proof.RECENT)
    assert Proof.of(has_session=False, is_recent=True) is Proof.NONE


def test_a_recent_sign_in_is_a_proof(chief: FlaskClient, people: People) -> None:
    assert post(chief, "/dashboard/groups", group="news").status_code == 303
    assert people.directory.find_group("news")


def test_the_page_that_asks_keeps_the_form_and_carries_it_out(chief: FlaskClient, people: People, late: None) -> None:
    fields = {"name": "laptop", "expires": "30d", "read": "true", "reason": "<b>new"}
    page = post(chief, "/dashboard/members/manager/tokens", **fields)
    assert page.status_code == 403
    kept = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
    assert {name: unescape(kept[name]) for name in fields} == fields
    assert 'action="/dashboard/members/manager/tokens"' in page.text
    wrong = chief.post("/dashboard/members/manager/tokens", data={**kept, "current": "wrong password"})
    assert wrong.status_code == 403
    assert "The password is wrong" in wrong.text
    assert "wrong password" not in wrong.text
    assert [token.name for token in people.directory.tokens(people.members["manager"])] == ["test"]


def test_a_proof_lasts_for_the_time_of_the_setting(
    config: Config, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = create_app(replace(config, session_proof=30)).test_client()
    sign_in(browser, "chief")
    ahead = 0.0

    class Clock:
        @staticmethod
        def time() -> float:
            return time.time() + ahead

    monkeypatch.setattr(sessions, "time", Clock)
    ahead = 25
    assert post(browser, "/dashboard/groups", group="first").status_code == 303
    ahead = 35
    assert post(browser, "/dashboard/groups", group="second").status_code == 403
    assert post(browser, "/dashboard/groups", group="second", current=PASSWORD).status_code == 303
    ahead = 60
    assert post(browser, "/dashboard/groups", group="third").status_code == 303
    ahead = 70
    assert post(browser, "/dashboard/groups", group="fourth").status_code == 403


def test_guessing_at_the_page_that_asks_is_slowed_down(config: Config, people: People, late: None) -> None:
    browser = create_app(replace(config, failures_per_account="3/minute")).test_client()
    sign_in(browser, "chief")
    answers = [post(browser, "/dashboard/groups", group="x", current=f"wrong {turn}") for turn in range(4)]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_form_that_is_too_long_is_not_kept(chief: FlaskClient, late: None) -> None:
    page = post(chief, "/dashboard/groups", group="x" * 70_000)
    assert page.status_code == 403
    assert len(page.data) < 20_000
    assert "too long to be kept" in page.text


def test_one_who_may_not_is_not_asked(app: Flask, people: People, late: None) -> None:
    browser = app.test_client()
    sign_in(browser, "manager")
    page = post(browser, "/dashboard/groups", group="news", current=PASSWORD)
    assert page.status_code == 403
    assert ASKS not in page.text
