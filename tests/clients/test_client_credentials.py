"""How PageSeeder's clients get their access tokens."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.access import TokenScope
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter, Conflict
from tests.support.command_line import operate
from tests.support.leaves import Signed, post
from tests.support.people import People

TOKEN, REVOKE = "/ps/oauth/token", "/ps/oauth/revoke"
GRANT = {"grant_type": "client_credentials"}
EXISTING = ("0A1B2C3D4E5F60718293A4B5C6D7E8F9", "Zm9yLXRoZS1vbGQtc2VydmVy")


def parsed_by_the_bridge(text: str) -> dict[str, str]:
    """Return what bridge, JSONParameter.parse, finds: it stops at the first part that it cannot read."""
    found: dict[str, str] = {}
    for part in filter(None, re.split(r"\s*[{,}]\s*", text)):
        match = re.fullmatch(r'"([a-z_]+)":(?:"([^"]+)"|([0-9]+))', part)
        if match is None:
            break
        found[match[1]] = match[2] or match[3]
    return found


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture
def credentials(people: People) -> tuple[str, str]:
    return people.directory.by(SETUP).add_client(people.members["manager"], "program")


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()}


def test_jsonparameter_finds_the_token_and_its_time(http: FlaskClient, credentials: tuple[str, str]) -> None:
    """bridge, JSONParameter (JSON_STRING and JSON_NUMBER): no blank after a colon; TokenResponse.extractToken."""
    answer = http.post(TOKEN, data=GRANT, headers=basic(*credentials))
    found = parsed_by_the_bridge(answer.text)
    assert re.fullmatch(r"[a-zA-Z0-9=.+/_-]{16,}", found["access_token"])
    assert int(found["expires_in"]) == 3600
    assert found["token_type"] == "Bearer"


def test_jsonparameter_finds_the_whole_sentence_of_a_refusal(http: FlaskClient, credentials: tuple[str, str]) -> None:
    """bridge, TokenResponse.getError and getErrorDescription: a comma, a brace or a quote would end it."""
    client_id, secret = credentials
    for answer in (
        http.post(TOKEN, data=GRANT, headers=basic(client_id, "wrong")),
        http.post(TOKEN, query_string=GRANT | {"client_id": client_id, "client_secret": secret}),
        http.post(REVOKE, data={"token": "x"}, headers=basic(client_id, "wrong")),
    ):
        found = parsed_by_the_bridge(answer.text)
        assert answer.status_code in {400, 401}
        assert found == answer.json


def test_an_id_is_lower_case_hexadecimal(credentials: tuple[str, str]) -> None:
    """netdox, pageseeder.py, refreshToken (line 47) writes it in lower case; bridge, ClientCredentials: 16 and more."""
    assert re.fullmatch(r"[0-9a-f]{32}", credentials[0])


def test_an_id_is_found_whatever_its_case(http: FlaskClient, people: People, redis: Redis) -> None:
    """netdox, refreshToken (line 47), with an id from PageSeeder."""
    people.directory.by(SETUP).add_client(people.members["manager"], "netdox", credentials=EXISTING)
    for client_id in (EXISTING[0], EXISTING[0].lower()):
        form = {**GRANT, "client_id": client_id, "client_secret": EXISTING[1]}
        answer = http.post(TOKEN, data=form)
        assert answer.status_code == 200
        token: Any = answer.json
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert http.get("/ps/service/groups/~acme/threads", headers=headers).status_code == 200
        assert http.post(REVOKE, data={"token": token["access_token"]} | form).status_code == 200
    assert EXISTING[1].encode() not in b"".join(redis.dump(key) or b"" for key in redis.keys("*client*"))


def test_credentials_in_a_query_are_refused_with_a_sentence(http: FlaskClient, credentials: tuple[str, str]) -> None:
    """netdox, refreshToken (line 51) sends them there, and shows the text of a refusal."""
    client_id, secret = credentials
    query = GRANT | {"client_id": client_id, "client_secret": secret}
    for answer in (
        http.post(TOKEN, query_string=query),
        http.post(TOKEN, query_string=query, data=query),
        http.post(REVOKE, query_string={"token": "x"}, headers=basic(client_id, secret)),
    ):
        refused: Any = answer.json
        assert (answer.status_code, refused["error"]) == (400, "invalid_request")
        assert "in the form that is the request's body" in refused["error_description"]
        assert secret not in answer.text


def test_two_clients_never_share_an_id(people: People) -> None:
    changes, members = people.directory.by(SETUP), people.members
    changes.add_client(members["manager"], "one", credentials=EXISTING)
    for member, name in (("manager", "two"), ("chief", "one")):
        with pytest.raises(Conflict, match="this id already"):
            changes.add_client(members[member], name, credentials=(EXISTING[0].lower(), EXISTING[1]))
    with pytest.raises(Conflict, match="this id already"):
        changes.add_client(members["manager"], "one", credentials=(EXISTING[0], "another-secret-of-it"))
    changes.remove_client(members["manager"], "one")
    changes.add_client(members["chief"], "one", credentials=EXISTING)


@pytest.mark.parametrize(
    ("client_id", "secret", "name"),
    [
        ("short", EXISTING[1], "id"),
        ("x" * 129, EXISTING[1], "id"),
        (EXISTING[0], "fifteen-letters", "secret"),
        (EXISTING[0], "with a blank in it, and a comma", "secret"),
        (EXISTING[0], "x" * 513, "secret"),
    ],
)
def test_what_not_every_client_would_send_alike_is_not_registered(
    people: People, client_id: str, secret: str, name: str
) -> None:
    with pytest.raises(BadParameter) as refusal:
        people.directory.by(SETUP).add_client(people.members["manager"], "old", credentials=(client_id, secret))
    assert refusal.value.name == name
    assert secret not in refusal.value.message


@pytest.fixture
def token_of_existing(http: FlaskClient) -> Callable[[], int]:
    return lambda: http.post(TOKEN, data=GRANT, headers=basic(*EXISTING)).status_code


def test_the_command_registers_an_existing_client(
    people: People, config: Config, token_of_existing: Callable[[], int]
) -> None:
    assert token_of_existing() == 401
    line = f"admin client register netdox --member manager --id {EXISTING[0]} --group ~acme --secret-stdin"
    result = operate(config, line, typed=EXISTING[1] + "\n")
    assert result.exit_code == 0, result.output
    assert result.stdout == EXISTING[0].lower() + "\n"
    assert EXISTING[1] not in result.output
    assert token_of_existing() == 200
    (client,) = people.directory.clients.of(people.members["manager"])
    assert client.token_scope == TokenScope(groups=frozenset({people.acme.id}))


def test_the_form_registers_an_existing_client(
    signed: Signed, people: People, token_of_existing: Callable[[], int]
) -> None:
    browser = signed("chief")
    form = {"name": "netdox", "id": EXISTING[0], "secret": EXISTING[1], "read": "on", "act": "on"}
    path, page = "/dashboard/members/manager/clients/register", "/dashboard/members/manager"
    answer = post(browser, path, page, **form)
    assert (answer.status_code, token_of_existing()) == (303, 200)
    short = post(browser, path, page, **form | {"name": "x", "secret": "short"})
    assert (short.status_code, "16 to 512" in short.text) == (400, True)
