"""Scripts of other sites use the API by a Bearer token, where their origin is allowed, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from redis import Redis

from psthreads.domain.config import Config
from psthreads.web.app import create_app
from tests.support.forms import sign_in
from tests.support.people import People

SITE = "https://app.example"
PREFLIGHT = {
    "Origin": SITE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, idempotency-key",
}


@pytest.fixture(params=["another site", "an origin of its own"])
def client(request: pytest.FixtureRequest, redis: Redis, config: Config) -> FlaskClient:
    if request.param == "another site":
        return create_app(replace(config, cors_origins=(SITE,))).test_client()
    return create_app(replace(config, origins=("http://localhost", SITE))).test_client()


@pytest.fixture
def token(people: People) -> str:
    return people.token("chief")


def allowed(headers: object) -> dict[str, str]:
    return {name: value for name, value in headers if name.startswith("Access-Control-")}  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/threads", "/api/v1/threads", "/ps/service/threads"])
def test_a_script_of_an_allowed_site_reads_answers_to_its_token(client: FlaskClient, token: str, path: str) -> None:
    answer = client.get(path, headers={"Origin": SITE, "Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.vary


def test_it_reads_errors_too(client: FlaskClient) -> None:
    answer = client.get("/threads", headers={"Origin": SITE, "Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == SITE


def test_a_preflight_is_answered_for_it(client: FlaskClient) -> None:
    answer = client.options("/threads/x/cancel", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "https://app.example.evil.example", SITE.upper()]
)
def test_no_other_site_is_allowed(client: FlaskClient, token: str, origin: str) -> None:
    answer = client.get("/threads", headers={"Origin": origin, "Authorization": f"Bearer {token}"})
    assert not allowed(answer.headers)
    assert not allowed(client.options("/threads", headers={**PREFLIGHT, "Origin": origin}).headers)


def test_a_preflight_for_a_request_without_a_token_is_not_answered(client: FlaskClient) -> None:
    answer = client.options("/threads", headers={**PREFLIGHT, "Access-Control-Request-Headers": "content-type"})
    assert answer.status_code == 405
    assert not allowed(answer.headers)


def test_neither_the_cookie_nor_basic_is_of_use_to_it(client: FlaskClient, people: People) -> None:
    assert not allowed(client.get("/threads", headers={"Origin": SITE, **people.basic("chief")}).headers)
    sign_in(client, "chief")
    answer = client.get("/threads", headers={"Origin": SITE})
    assert answer.status_code == 200
    assert not allowed(answer.headers)
    answer = client.post("/threads/x/cancel", headers={"Origin": SITE, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_credentials_are_never_allowed(client: FlaskClient, token: str) -> None:
    for answer in (
        client.options("/threads", headers=PREFLIGHT),
        client.get("/threads", headers={"Origin": SITE, "Authorization": f"Bearer {token}"}),
    ):
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_without_the_setting_nothing_is_allowed(redis: Redis, config: Config, token: str) -> None:
    client = create_app(config).test_client()
    answer = client.get("/threads", headers={"Origin": SITE, "Authorization": f"Bearer {token}"})
    assert not allowed(answer.headers)
    assert client.options("/threads", headers=PREFLIGHT).status_code == 405
