"""Passwords that nobody may choose, and administrators who sign in at the provider only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter, ConfigError
from psthreads.identity import password_rules
from psthreads.identity.directory import Directory
from psthreads.identity.passwords import generate
from psthreads.web.app import create_app
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People
from tests.support.speed import QuickHashes

NAMES = ("jjones", "psthreads", "press-room")


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        *(("short", "10 to"), ("ninechars", "10 to"), ("x" * 1025, "10 to")),
        *((each, "most common") for each in ("password123", "Password123!", "qwertyuiop", "P@ssw0rd2024")),
        *((each, "most common") for each in ("1234567890", "monkey1234", "!!dragon99", "q1w2e3r4t5", "MANCHESTER")),
        *((each, "repeats") for each in ("aaaaaaaaaa", "1212121212", "abcabcabcabc")),
        *((each, "the name") for each in ("jjones12345", "JJonesJJones", "psthreads1!", "PSThre@ds2024")),
    ],
)
def test_what_is_tried_first_is_refused(password: str, sentence: str) -> None:
    with pytest.raises(BadParameter, match=sentence) as caught:
        password_rules.check(password, NAMES)
    assert caught.value.name == "password"


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "jjones has a long sentence",
        "monkey 8301947562",
        "Tr0ub4dor&3x",
        "\0\1\2\3\4\5\6\7\x08\t",
        "пароль-для-всех",
        "🐎🐄🐖🐑🐐🐓🐇🐁🐕🐈",
    ],
)
def test_others_are_not(password: str) -> None:
    password_rules.check(password, NAMES)
    password_rules.check(generate(), NAMES)


def test_the_names_are_the_members_own_its_groups_and_the_sites(redis: Redis, config: Config, people: People) -> None:
    named = replace(config, origins=("https://threads.acme-corp.example",))
    changes = Directory(redis, QuickHashes(), config=named).by(SETUP)
    for name in ("acme-corp", "threads.acme-corp.example"):
        with pytest.raises(BadParameter, match="the name"):
            changes.change_password(people.members["outsider"], f"{name}123")
    changes.set_membership(people.members["outsider"], changes.add_group("press-room"), Role.GUEST)
    with pytest.raises(BadParameter, match="press-room"):
        changes.change_password(people.members["outsider"], "press-room1")
    with pytest.raises(BadParameter, match="elizabetta"):
        changes.add_member("elizabetta", "elizabetta")
    changes.change_password(people.members["outsider"], "press-room and much more")


def test_the_page_says_so(app: Flask, people: People) -> None:
    browser = app.test_client()
    sign_in(browser, "manager")
    form = {
        "csrf_token": token_in(browser.get("/dashboard/account").text),
        "current": PASSWORD,
        "password": "manager123",
    }
    answer = browser.post("/dashboard/account/password", data=form)
    assert answer.status_code == 400
    assert "little more than the name" in answer.text


def test_with_the_setting_no_password_signs_an_administrator_in(config: Config, people: People) -> None:
    by_provider = replace(
        config, admins_by_provider=True, oidc_issuer="https://id.example", oidc_client_id="x", oidc_client_secret="y"
    )
    browser = create_app(by_provider).test_client()
    assert "Administrators sign in with their organisation only" in browser.get("/sign-in").text
    assert sign_in(browser, "chief") == 401
    assert browser.get("/threads", headers=people.basic("chief")).status_code == 401
    assert browser.get("/threads", headers=people.bearer("chief")).status_code == 200
    assert browser.get("/groups/acme/threads", headers=people.basic("manager")).status_code == 200
    assert sign_in(browser, "manager") == 303
    with pytest.raises(ConfigError, match="PSTHREADS_OIDC_ISSUER"):
        Config.from_env({"PSTHREADS_ADMINS_BY_PROVIDER": "true"})
