"""Signing in at an outside provider, which runs as a process of its own, and does things wrong when it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP, Audit, AuditQuery
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.web.app import create_app
from psthreads.web.auth.oidc import is_admin
from tests.support.checkout import ROOT
from tests.support.command_line import operate
from tests.support.forms import sign_in as sign_in_by_form
from tests.support.forms import token_in
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.web import oidc_provider


@dataclass
class Provider:
    issuer: str

    def tell(self, fault: str = "", **claims: Any) -> None:
        """What it says of the next who come, and what it does wrong."""
        requests.post(f"{self.issuer}/told", json={"claims": claims, "fault": fault}, timeout=10).raise_for_status()

    def send_back(self, leaving: TestResponse) -> str:
        """Where it sends a browser that comes from there."""
        assert leaving.status_code == 302
        assert leaving.headers["Location"].startswith(f"{self.issuer}/authorize?")
        answer = requests.get(leaving.headers["Location"], allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    port = free_port()
    program = str(Path(oidc_provider.__file__))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, program, str(port), str(os.getpid())], env=environment)
    provider = Provider(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        assert process.poll() is None
        try:
            return requests.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_for(answers)
        yield provider
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.tell()
    return running


@pytest.fixture
def set_up(config: Config, provider: Provider) -> Config:
    return replace(
        config,
        oidc_issuer=provider.issuer,
        oidc_client_id=oidc_provider.CLIENT_ID,
        oidc_client_secret=oidc_provider.CLIENT_SECRET,
    )


@pytest.fixture
def browser(set_up: Config, people: People) -> Iterator[FlaskClient]:
    with create_app(set_up).test_client() as client:
        yield client


def sign_in(browser: FlaskClient, provider: Provider, following: str = "") -> TestResponse:
    back = provider.send_back(browser.get("/sign-in/oidc", query_string={"next": following}))
    return browser.get(back)


def is_in(browser: FlaskClient) -> bool:
    return browser.get("/dashboard").status_code == 200


def test_a_member_whom_the_provider_knows_is_signed_in_and_led_on(browser: FlaskClient, provider: Provider) -> None:
    assert "/sign-in/oidc?next=/dashboard" in browser.get("/sign-in?next=/dashboard").text
    provider.tell(preferred_username="Chief")
    answer = sign_in(browser, provider, "/dashboard?status=failed")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard?status=failed")
    assert is_in(browser)
    assert "chief" in browser.get("/dashboard").text


def test_the_way_there_carries_a_challenge_a_state_and_a_nonce_and_only_ours_knows_the_verifier(
    browser: FlaskClient, provider: Provider
) -> None:
    first, second = (
        parse_qs(urlsplit(browser.get("/sign-in/oidc").headers["Location"]).query, strict_parsing=True)
        for _ in range(2)
    )
    for asked in (first, second):
        assert asked["response_type"] == ["code"]
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == ["http://localhost/sign-in/oidc/callback"]
        assert "code_verifier" not in asked
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 20
        assert first[name] != second[name]


@pytest.mark.parametrize(
    "username", ["stranger", "1", "~chief", "", None, 7, ["chief"], {"a": 1}, "chief\n", "x" * 9999]
)
def test_whom_we_do_not_know_is_told_so_and_not_added(
    browser: FlaskClient, provider: Provider, people: People, username: Any
) -> None:
    before = people.directory.members()
    provider.tell(preferred_username=username)
    answer = sign_in(browser, provider)
    assert answer.status_code == 401
    assert "no member here" in answer.text or "does not say who you are" in answer.text
    assert not is_in(browser)
    assert people.directory.members() == before


@pytest.mark.parametrize("fault", oidc_provider.FAULTS)
def test_an_answer_with_anything_wrong_in_it_signs_nobody_in(
    set_up: Config, people: People, provider: Provider, fault: str
) -> None:
    with create_app(set_up).test_client() as browser:  # which has no key of the provider yet
        provider.tell(fault, preferred_username="chief")
        answer = sign_in(browser, provider)
        assert answer.status_code == 401, answer.text
        assert "not accepted" in answer.text
        assert not is_in(browser)
        provider.tell(preferred_username="chief")
        assert sign_in(browser, provider).status_code == (401 if fault == "no-keys" else 303)


def test_a_state_and_a_code_are_of_use_once_and_only_in_their_own_browser(
    browser: FlaskClient, set_up: Config, provider: Provider
) -> None:
    provider.tell(preferred_username="chief")
    back = provider.send_back(browser.get("/sign-in/oidc"))
    before = browser.get_cookie("session")
    assert before is not None
    with create_app(set_up).test_client() as other:
        assert other.get(back).status_code == 401  # An attacker's own code, put upon somebody else.
        other.get("/sign-in/oidc")
        assert other.get(back).status_code == 401
        assert not is_in(other)
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 401
    browser.set_cookie("session", before.value)  # The cookie of the time before, with the state in it.
    assert not is_in(browser)
    assert browser.get(back).status_code == 401
    for query in ("", "?code=x", "?state=x", "?code=x&state=x", "?error=access_denied&error_description=%3Cb%3E"):
        answer = browser.get(f"/sign-in/oidc/callback{query}")
        assert answer.status_code == 401
        assert "<b>" not in answer.text


def test_a_sign_in_at_the_provider_is_a_proof_where_it_was_just_now_and_the_form_goes_on(
    browser: FlaskClient, provider: Provider, people: People
) -> None:
    def add(group: str) -> TestResponse:
        token = token_in(browser.get("/dashboard/account").text)
        return browser.post("/dashboard/groups", data={"csrf_token": token, "group": group})

    provider.tell(preferred_username="chief")  # without saying when
    sign_in(browser, provider)
    page = add("first")
    assert page.status_code == 403
    assert "/sign-in/oidc?prove=true" in page.text
    token = token_in(page.text)
    leaving = browser.get("/sign-in/oidc?prove=true")
    asked = parse_qs(urlsplit(leaving.headers["Location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    for auth_time in (None, int(time.time()) - 3600, "now"):
        provider.tell(preferred_username="chief", auth_time=auth_time)
        refused = browser.get(provider.send_back(browser.get("/sign-in/oidc?prove=true")))
        assert refused.status_code == 401
        assert "auth_time" in refused.text or "not accepted" in refused.text
        assert add("first").status_code == 403
    provider.tell(preferred_username="chief", auth_time=int(time.time()))
    back = browser.get(provider.send_back(browser.get("/sign-in/oidc?prove=true")))
    assert (back.status_code, back.headers["Location"]) == (303, "/dashboard/account?done=proven")
    assert browser.post("/dashboard/groups", data={"csrf_token": token, "group": "first"}).status_code == 303
    assert people.directory.find_group("first")
    # A plain sign-in counts from when the provider says that it was.
    for ago, status in ((3600, 403), (60, 303)):
        provider.tell(preferred_username="chief", auth_time=int(time.time()) - ago)
        sign_in(browser, provider)
        assert add(f"ago{ago}").status_code == status


def test_a_session_of_the_provider_replaces_that_of_before(browser: FlaskClient, provider: Provider) -> None:
    provider.tell(preferred_username="chief")
    sign_in(browser, provider)
    stolen = browser.get_cookie("session")
    assert stolen is not None
    provider.tell(preferred_username="manager", sub="another")
    sign_in(browser, provider)
    browser.set_cookie("session", stolen.value)
    assert not is_in(browser)


def test_the_claims_of_the_settings_give_the_name_and_make_administrators_and_the_audit_says_who_did(
    set_up: Config, people: People, provider: Provider, redis: Redis
) -> None:
    config = replace(set_up, oidc_username_claim="email", oidc_admin_claim="groups=operators")
    with create_app(config).test_client() as browser:
        provider.tell(preferred_username="chief", email="manager", groups=["staff", "operators"])
        assert sign_in(browser, provider).status_code == 303
        assert is_in(browser)
        assert people.directory.find_member("manager").admin
        provider.tell(email="manager", groups=["staff"])
        sign_in(browser, provider)
        assert browser.get("/dashboard").status_code == 403
        assert not people.directory.find_member("manager").admin
    host = urlsplit(provider.issuer).netloc
    entries = list(Audit(redis).export(AuditQuery(subject="manager", act="member.admin")))
    assert [(one.by, one.address, one.detail) for one in entries] == [
        (f"provider:{host}", "127.0.0.1", flag) for flag in ("off", "on")
    ]
    started = next(Audit(redis).export(AuditQuery(by="manager", act="session.start")))
    assert (started.detail, started.address) == (f"by {host}", "127.0.0.1")


def test_without_the_setting_no_claim_makes_an_administrator_or_ends_one(
    browser: FlaskClient, people: People, provider: Provider
) -> None:
    provider.tell(preferred_username="manager", admin=True, groups=["operators"])
    sign_in(browser, provider)
    assert not people.directory.find_member("manager").admin
    provider.tell(preferred_username="chief", admin=False, sub="another")
    sign_in(browser, provider)
    assert people.directory.find_member("chief").admin


@pytest.mark.parametrize(
    ("setting", "claims", "expected"),
    [
        ("admin", {"admin": True}, True),
        *(("admin", {"admin": value}, False) for value in (False, "true", 1, ["admin"], None)),
        ("admin", {}, False),
        ("groups=ops", {"groups": ["ops", "x"]}, True),
        ("groups=ops", {"groups": "ops"}, True),
        *(("groups=ops", {"groups": value}, False) for value in ("ops2", "xops", ["opsx"], True, {"ops": 1}, None)),
    ],
)
def test_an_administrator_is_one_by_exactly_what_the_setting_says(
    setting: str, claims: dict[str, Any], *, expected: bool
) -> None:
    assert is_admin(claims, setting) is expected


def test_a_provider_that_is_away_or_calls_itself_otherwise_is_a_503(
    set_up: Config, people: People, provider: Provider
) -> None:
    away = replace(set_up, oidc_issuer=f"http://127.0.0.1:{free_port()}")
    with create_app(away).test_client() as browser:
        answer = browser.get("/sign-in/oidc")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "does not answer" in answer.text
    with create_app(set_up).test_client() as browser:
        provider.tell("settings")
        assert browser.get("/sign-in/oidc").status_code == 503
        provider.tell()
        assert browser.get("/sign-in/oidc").status_code == 302


def test_a_locked_password_is_no_lock_for_the_provider(
    browser: FlaskClient, people: People, provider: Provider, redis: Redis
) -> None:
    Directory(redis, config=Config(lock_after=1))._run("guessed", "chief", SETUP.fields())
    assert people.directory.locked()
    provider.tell(preferred_username="chief")
    assert sign_in(browser, provider).status_code == 303


def test_the_first_sign_in_binds_the_subject_and_the_name_does_not_matter_afterwards(
    browser: FlaskClient, people: People, provider: Provider, redis: Redis
) -> None:
    provider.tell(preferred_username="chief", sub="A1")
    assert sign_in(browser, provider).status_code == 303
    (entry,) = Audit(redis).export(AuditQuery(act="member.bind"))
    assert (entry.by, entry.subject, entry.detail) == ("chief", "chief", f"A1 of {provider.issuer}")
    assert people.directory.account("chief").identity == f"A1 of {provider.issuer}"
    # Somebody else to whom the provider gives the name.
    with create_app(browser.application.extensions["psthreads"].config).test_client() as other:
        provider.tell(preferred_username="chief", sub="B2")
        refused = sign_in(other, provider)
        assert refused.status_code == 401
        assert "belongs to another identity" in refused.text
        assert not is_in(other)
        # And the same somebody under another name is the member of that name.
        provider.tell(preferred_username="manager", sub="B2")
        assert sign_in(other, provider).status_code == 303
        assert not is_in(other)
        provider.tell(preferred_username="chief", sub="B2")
        sign_in(other, provider)
        assert "manager" in other.get("/dashboard/groups").text
    for name in ("renamed", "manager", "loner"):
        provider.tell(preferred_username=name, sub="A1")
        assert sign_in(browser, provider).status_code == 303
        assert is_in(browser)


@pytest.mark.parametrize("subject", [None, "", 7, ["A1"], "x" * 256])
def test_an_identity_without_a_subject_signs_nobody_in(
    browser: FlaskClient, people: People, provider: Provider, subject: Any
) -> None:
    provider.tell(preferred_username="chief", sub=subject)
    assert sign_in(browser, provider).status_code == 401
    assert not is_in(browser)


def test_an_administrator_unbinds_an_account_which_ends_its_sessions(
    set_up: Config, browser: FlaskClient, people: People, provider: Provider
) -> None:
    provider.tell(preferred_username="manager", sub="A1")
    sign_in(browser, provider)
    with create_app(set_up).test_client() as desk:
        assert sign_in_by_form(desk, "chief") == 303
        page = desk.get("/dashboard/members/manager").text
        assert f"A1 of {provider.issuer}" in page
        form = {"csrf_token": token_in(page), "confirmed": "true"}
        assert desk.post("/dashboard/members/manager/unbind", data=form).status_code == 303
    assert browser.get("/dashboard/groups").status_code == 302
    provider.tell(preferred_username="manager", sub="B2")
    assert sign_in(browser, provider).status_code == 303
    done = operate(set_up, "admin member unbind manager")
    assert "is unbound" in done.stderr
    again = operate(set_up, "admin member unbind manager")
    assert (again.exit_code, "was not bound" in again.stderr) == (0, True)


def test_a_removed_members_identity_is_free(
    browser: FlaskClient, people: People, provider: Provider, redis: Redis
) -> None:
    provider.tell(preferred_username="loner", sub="A1")
    sign_in(browser, provider)
    people.directory.by(SETUP).remove_member(people.members["loner"])
    assert not redis.hlen("ps:identities")
    provider.tell(preferred_username="guest", sub="A1")
    assert sign_in(browser, provider).status_code == 303


def test_without_the_setting_there_is_no_such_way_in(config: Config, people: People) -> None:
    with create_app(config).test_client() as browser:
        assert "oidc" not in browser.get("/sign-in").text
        assert browser.get("/sign-in/oidc").status_code == browser.get("/sign-in/oidc/callback").status_code == 404


@pytest.mark.parametrize(
    "issuer", ["http://id.example", "id.example", "https://", "ftp://id.example", "https://a@b", "x"]
)
def test_a_provider_is_only_reached_by_tls_or_on_this_machine(issuer: str) -> None:
    environment = {"PSTHREADS_OIDC_CLIENT_ID": "x"}
    with pytest.raises(ConfigError, match="PSTHREADS_OIDC_ISSUER"):
        Config.from_env(environment | {"PSTHREADS_OIDC_ISSUER": issuer})
    for good in ("https://id.example", "https://id.example/realms/x", "http://127.0.0.1:9", "http://localhost:9/x"):
        assert Config.from_env(environment | {"PSTHREADS_OIDC_ISSUER": good}).oidc_issuer == good
    with pytest.raises(ConfigError, match="CLIENT_ID"):
        Config.from_env({"PSTHREADS_OIDC_ISSUER": "https://id.example"})
