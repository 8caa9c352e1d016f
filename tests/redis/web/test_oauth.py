"""Access tokens for programs, by OAuth 2.0: what a client sends, what it gets, and how it ends."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.domain.access import TokenScope
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict, MemberNotFound, NotFound, NotSignedIn
from psthreads.identity import oauth_clients
from psthreads.identity.credentials import Token
from psthreads.identity.directory import Directory
from psthreads.web.app import create_app
from tests.support.people import PASSWORD, People
from tests.support.waiting import wait_for

SAFE = r"[a-zA-Z0-9=.+/_-]{16,}"
GRANT = {"grant_type": "client_credentials"}


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()}


class Program:
    """A client of the manager's, and what it sends."""

    def __init__(self, app: Flask, people: People, token_scope: TokenScope | None = None) -> None:
        self.http: FlaskClient = app.test_client(use_cookies=False)
        self.directory = people.directory
        self.id, self.secret = people.directory.by(SETUP).add_client(people.members["manager"], "program", token_scope)

    def ask(self, **form: str) -> TestResponse:
        return self.http.post("/ps/oauth/token", data=GRANT | form, headers=basic(self.id, self.secret))

    def token(self, **form: str) -> str:
        answer = self.ask(**form)
        assert answer.status_code == 200, answer.text
        return str(answer.json["access_token"])  # type: ignore[index]

    def revoke(self, token: str) -> TestResponse:
        return self.http.post("/ps/oauth/revoke", data={"token": token}, headers=basic(self.id, self.secret))

    def get(self, token: str, path: str = "/groups/acme/threads") -> int:
        return self.http.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.fixture
def program(app: Flask, people: People) -> Program:
    return Program(app, people)


def test_ids_secrets_and_tokens_have_the_characters_that_pageseeders_clients_take(program: Program) -> None:
    for text in (program.id, program.secret, program.token()):
        assert re.fullmatch(SAFE, text)
        assert len(text) <= 1_024


def test_an_access_token_acts_as_the_member_that_the_client_belongs_to(program: Program) -> None:
    answer = program.ask()
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    found: Any = answer.json
    assert set(found) == {"access_token", "token_type", "expires_in"}
    assert (found["token_type"], found["expires_in"]) == ("Bearer", 3600)
    caller = program.directory.identify(Token(found["access_token"]), "acme")
    assert caller.member.username == "manager"
    assert caller.token_scope is None
    assert program.get(found["access_token"]) == 200
    assert program.get(found["access_token"], "/groups/other/threads") == 403
    assert program.get(found["access_token"], "/threads") == 403


def test_a_client_shows_its_secret_by_basic_or_in_the_form_but_not_by_both(program: Program) -> None:
    form = {**GRANT, "client_id": program.id, "client_secret": program.secret}
    assert program.http.post("/ps/oauth/token", data=form).status_code == 200
    both = program.http.post("/ps/oauth/token", data=form, headers=basic(program.id, program.secret))
    assert (both.status_code, both.json["error"]) == (401, "invalid_client")  # type: ignore[index]
    in_query = program.http.post("/ps/oauth/token", data=GRANT, query_string=form)
    assert in_query.status_code == 400  # A query ends up in logs.


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 400, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "manager", "password": PASSWORD}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "unsupported_grant_type"),
        ({"grant_type": "é\u0000<"}, 400, "unsupported_grant_type"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, 400, "invalid_request"),
        (GRANT | {"scope": "everything"}, 400, "invalid_scope"),
        (GRANT | {"scope": "group:nope"}, 400, "invalid_scope"),
        (GRANT | {"scope": "read group:"}, 400, "invalid_scope"),
        (GRANT | {"scope": 'é"\\'}, 400, "invalid_scope"),
    ],
)
def test_what_cannot_be_answered_is_told_as_rfc_6749_has_it(
    program: Program, form: dict[str, Any], status: int, error: str
) -> None:
    answer = program.http.post("/ps/oauth/token", data=form, headers=basic(program.id, program.secret))
    assert (answer.status_code, answer.json["error"]) == (status, error)  # type: ignore[index]
    assert answer.headers["Cache-Control"] == "no-store"


def test_wrong_credentials_of_every_kind_are_one_answer(program: Program) -> None:
    wrong = [
        {},
        basic(program.id, "wrong"),
        basic(program.id, ""),
        basic(program.id, program.secret + "x"),
        basic("psc_" + "x" * 24, program.secret),
        basic("", program.secret),
        basic("*", program.secret),
        basic("x" * 100_000, program.secret),
        basic("manager", PASSWORD),
        {"Authorization": "Basic /////w=="},
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer " + program.token()},
    ]
    answers = [program.http.post("/ps/oauth/token", data=GRANT, headers=headers) for headers in wrong]
    answers.append(program.http.post("/ps/oauth/revoke", data={"token": "x"}, headers=wrong[1]))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert all(answer.json["error"] == "invalid_client" for answer in answers)  # type: ignore[index]
    assert all(answer.headers["WWW-Authenticate"].startswith("Basic realm=") for answer in answers)


@given(
    st.dictionaries(st.sampled_from(["grant_type", "scope", "client_id", "client_secret", "x"]), st.text()), st.text()
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_form_makes_the_token_endpoint_stumble(program: Program, form: dict[str, str], header: str) -> None:
    encoded = b64encode(header.encode("utf-8", "replace")).decode()
    for path in ("/ps/oauth/token", "/ps/oauth/revoke"):
        answer = program.http.post(path, data=form, headers={"Authorization": f"Basic {encoded}"})
        assert answer.status_code in {400, 401, 429}, answer.text


def test_an_access_token_expires(app: Flask, people: People, config: Config, redis: Redis) -> None:
    program = Program(create_app(replace(config, oauth_expires=1)), people)
    personal, began = len(redis.keys("ps:token:*")), time.monotonic()
    token = program.token()
    assert len(redis.keys("ps:token:*")) == personal + 1
    wait_for(lambda: program.get(token) == 401)
    assert time.monotonic() - began > 0.9
    assert len(redis.keys("ps:token:*")) == personal
    wait_for(lambda: not redis.exists(f"ps:tokens-of-client:{program.id}"))


def test_a_revoked_token_is_worth_nothing_and_revoking_again_is_no_error(program: Program) -> None:
    token, kept = program.token(), program.token()
    for _ in range(2):
        answer = program.revoke(token)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert program.get(token) == 401
    assert program.get(kept) == 200
    assert program.revoke("no token at all").status_code == 200
    missing = program.http.post("/ps/oauth/revoke", headers=basic(program.id, program.secret))
    assert (missing.status_code, missing.json["error"]) == (400, "invalid_request")  # type: ignore[index]


def test_a_client_cannot_revoke_what_is_not_its_own(program: Program, people: People) -> None:
    other_id, other_secret = people.directory.by(SETUP).add_client(people.members["chief"], "program")
    token, personal = program.token(), people.token("chief")
    for foreign in (token, personal):
        answer = program.http.post("/ps/oauth/revoke", data={"token": foreign}, headers=basic(other_id, other_secret))
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")  # type: ignore[index]
    assert program.get(token) == 200
    assert program.get(personal, "/threads") == 200


def test_a_removed_client_or_member_has_no_token_any_more(program: Program, people: People, redis: Redis) -> None:
    manager = people.members["manager"]
    token = program.token()
    program.directory.by(SETUP).remove_client(manager, "program")
    assert program.get(token) == 401
    assert program.ask().status_code == 401
    with pytest.raises(NotFound, match="no client 'program'"):
        program.directory.by(SETUP).remove_client(manager, "program")
    program.id, program.secret = program.directory.by(SETUP).add_client(manager, "program")  # the name is free again
    token = program.token()
    program.directory.by(SETUP).remove_member(manager)
    assert program.get(token) == 401
    assert program.ask().status_code == 401
    assert not redis.keys("ps:*client*")
    with pytest.raises(MemberNotFound):
        program.directory.by(SETUP).add_client(manager, "late")


def test_what_is_kept_of_a_client_does_not_grow_with_what_it_asks_for(
    program: Program, people: People, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth_clients, "MOST_TOKENS", 5)
    before = people.directory.tokens(people.members["manager"])
    tokens = [program.token() for _ in range(8)]
    assert [program.get(token) for token in tokens].count(200) == 5
    assert program.get(tokens[-1]) == 200
    assert redis.zcard(f"ps:tokens-of-client:{program.id}") == 5
    assert people.directory.tokens(people.members["manager"]) == before


def test_neither_secret_nor_access_token_is_anywhere_in_redis(program: Program, redis: Redis) -> None:
    token = program.token()
    for key in redis.scan_iter("*"):
        for plain in (token, program.secret):
            assert plain.encode() not in key
            assert plain.encode() not in (redis.dump(key) or b"")


def test_a_client_is_named_once_for_each_member(people: People) -> None:
    clients, changes = people.directory.clients, people.directory.by(SETUP)
    client_id, _ = changes.add_client(people.members["manager"], "program", TokenScope(act=False))
    with pytest.raises(Conflict, match="remove it"):
        changes.add_client(people.members["manager"], "program")
    assert changes.add_client(people.members["chief"], "program")
    (found,) = clients.of(people.members["manager"])
    assert (found.id, found.name, found.token_scope) == (client_id, "program", TokenScope(act=False))


def test_a_scope_narrows_the_token_and_never_widens_the_client(app: Flask, people: People) -> None:
    program = Program(app, people, TokenScope(act=False, groups=frozenset({people.acme.id})))
    caller = program.directory.identify(Token(program.token()), "acme")
    assert caller.token_scope == TokenScope(act=False, groups=frozenset({people.acme.id}))
    for scope in ("read", "read group:acme", "group:acme", f"group:{people.acme.id}"):
        answer = program.ask(scope=scope)
        assert answer.json["scope"] == scope  # type: ignore[index]
        token = Token(answer.json["access_token"])  # type: ignore[index]
        assert program.directory.identify(token, "acme").token_scope == caller.token_scope
    for scope in ("act", "read act", "group:other", "group:acme group:other"):
        answer = program.ask(scope=scope)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_scope")  # type: ignore[index]


def test_only_post_gives_tokens(program: Program) -> None:
    for path in ("/ps/oauth/token", "/ps/oauth/revoke"):
        answer = program.http.get(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert program.http.post(path, data="x" * 2_000_000, content_type="text/plain").status_code in {
            400,
            401,
            413,
            415,
        }


def test_a_token_of_a_client_is_refused_by_every_process_once_it_is_revoked(program: Program, redis: Redis) -> None:
    elsewhere, token = Directory(redis), program.token()
    assert elsewhere.identify(Token(token))
    program.revoke(token)
    with pytest.raises(NotSignedIn):
        elsewhere.identify(Token(token))
