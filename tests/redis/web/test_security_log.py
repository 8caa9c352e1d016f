"""The security log: who was refused, from where and why; bounded, and read on the audit page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.audit.entries import REFUSED_KEY, SETUP, Audit, AuditEntry, AuditQuery
from psthreads.domain.config import Config
from psthreads.identity import refusals
from psthreads.local.server import RedisServer
from psthreads.web.app import create_app
from tests.support.command_line import operate
from tests.support.desk import HOSTILE, desk, texts
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People

__all__ = ["desk"]
ADDRESS = "203.0.113.9"


@pytest.fixture
def program(app: Flask, people: People) -> FlaskClient:
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = ADDRESS
    return client


def entries(redis: Redis) -> list[AuditEntry]:
    """All entries, the oldest first."""
    return list(Audit(redis, REFUSED_KEY).export(AuditQuery()))[::-1]


def lines(redis: Redis) -> list[tuple[str, str, str]]:
    return [(entry.act.removeprefix("refused."), entry.by, entry.subject) for entry in entries(redis)]


def test_every_refusal_is_recorded_with_address_member_and_reason(
    program: FlaskClient, people: People, redis: Redis
) -> None:
    assert sign_in(program, "chief", "wrong password") == 401
    program.get("/threads", headers=people.basic("MANAGER", "wrong password"))
    program.get("/threads", headers={"Authorization": "Bearer pst_wrong"})
    program.get("/dashboard", headers={"Authorization": "Bearer pst_wrong"})
    program.get("/threads")
    program.get("/threads", headers=people.bearer("manager"))
    program.post("/threads/x/cancel", headers=people.basic("chief") | {"Origin": "https://evil.example"})
    program.post("/ps/oauth/token", data={"grant_type": "client_credentials"}, headers=people.basic("nobody", "wrong"))
    assert sign_in(program, "chief") == 303
    program.post("/sign-out", data={"csrf_token": "forged"})
    form = {"csrf_token": token_in(program.get("/dashboard/account").text), "current": "wrong password"}
    assert program.post("/dashboard/account/password", data=form | {"password": "x"}).status_code == 400
    assert lines(redis) == [
        ("password", "chief", "POST /sign-in"),
        ("password", "manager", "GET /threads"),
        ("token", "", "GET /threads"),
        ("token", "", "GET /dashboard"),
        ("anonymous", "", "GET /threads"),
        ("access", "manager", "GET /threads"),
        ("forgery", "", "POST /threads/x/cancel"),
        ("client", "", "POST /ps/oauth/token"),
        ("forgery", "chief", "POST /sign-out"),
        ("password", "chief", "POST /dashboard/account/password"),
    ]
    assert {entry.address for entry in entries(redis)} == {ADDRESS}
    assert all(entry.reason for entry in entries(redis))
    stored = str(redis.xrange(REFUSED_KEY))
    assert not any(secret in stored for secret in ("wrong password", "pst_wrong", PASSWORD))


def test_what_was_not_refused_is_not_recorded(program: FlaskClient, people: People, redis: Redis) -> None:
    program.get("/dashboard")  # Leads to the sign-in.
    assert sign_in(program, "chief") == 303
    for path in ("/dashboard", "/threads", "/nowhere", "/healthz", f"/threads/{'0' * 32}/progress"):
        program.get(path)
    assert not redis.exists(REFUSED_KEY)


def test_a_name_that_is_no_members_is_not_kept(program: FlaskClient, redis: Redis) -> None:
    for name in ("my-secret-password", HOSTILE, "x" * 5000, "1"):
        sign_in(program, name, "wrong password")
    assert {entry.by for entry in entries(redis)} == {""}
    assert "secret" not in str(redis.xrange(REFUSED_KEY))


def test_a_session_that_was_ended_elsewhere_is_recorded_where_it_comes_again(
    program: FlaskClient, people: People, redis: Redis
) -> None:
    sign_in(program, "manager")
    people.directory.by(SETUP).sign_out_everywhere(people.members["manager"])
    program.get("/dashboard/groups")
    assert lines(redis) == [("session", "", "GET /dashboard/groups")]


def test_the_throttle_is_recorded(config: Config, people: People, redis: Redis) -> None:
    program = create_app(replace(config, failures_per_account="2/minute")).test_client()
    for turn in range(3):
        sign_in(program, "manager", f"wrong password {turn}")
    assert [line[:2] for line in lines(redis)] == [("password", "manager")] * 2 + [("throttle", "manager")]


def test_a_flood_is_counted_and_leaves_the_entries_of_others(
    program: FlaskClient, people: People, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_PER_MINUTE", 30)
    for _ in range(25):
        program.get("/threads")
    program.get("/threads", environ_base={"REMOTE_ADDR": "192.0.2.1"})
    numbers = [entry.address for entry in entries(redis)]
    assert numbers.count("192.0.2.1") == 1
    assert numbers.count(ADDRESS) <= 2 * 20  # A minute may have ended meanwhile.
    for number in range(60):
        program.get("/threads", environ_base={"REMOTE_ADDR": f"192.0.3.{number}"})
    assert len(entries(redis)) <= 2 * 30 + 1
    assert redis.hlen("ps:refusals") <= 30 + 4
    left = int(redis.hget("ps:refusals", "left") or 0)
    assert left > 0
    redis.hset("ps:refusals", "minute", "1")  # The next minute.
    before = len(entries(redis))
    program.get("/threads")
    assert [entry.act for entry in entries(redis)[before:]] == ["refused.more", "refused.anonymous"]
    assert entries(redis)[before].detail == f"{left} more"


def test_only_so_many_entries_are_kept(program: FlaskClient, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_KEPT", 100)
    monkeypatch.setattr(refusals, "_SHARE", 1_000)
    for _ in range(350):
        program.get("/threads")
    assert redis.xlen(REFUSED_KEY) < 320  # Redis drops whole parts of a stream, of 100 entries each.


def test_a_refusal_while_redis_is_away_is_still_a_refusal(server: RedisServer, app: Flask, people: People) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    away = create_app(replace(app.extensions["psthreads"].config, redis_url="unix:///nowhere.sock")).test_client()
    assert away.post("/sign-in", headers=headers).status_code == 403


def test_the_page_has_a_tab_and_a_file_for_it(desk: Any, app: Flask, config: Config) -> None:
    stranger = app.test_client()
    stranger.get("/threads", headers={"User-Agent": HOSTILE})
    sign_in(stranger, "manager", "wrong password")
    page = desk.get("/dashboard/audit?log=security")
    assert "wrong username or password manager" not in texts(page)
    for text in ("Security", "wrong username or password", "POST /sign-in", "no credentials", "127.0.0.1"):
        assert text in texts(page)
    assert "wrong username or password" not in texts(desk.get("/dashboard/audit"))
    narrow = desk.get("/dashboard/audit?log=security&act=refused.password&by=manager")
    assert "POST /sign-in" in texts(narrow)
    assert "GET /threads" not in texts(narrow)
    answer = desk.browser.get("/dashboard/audit/export?log=security&format=jsonl")
    assert 'filename="security.jsonl"' in answer.headers["Content-Disposition"]
    acts = {json.loads(line)["act"] for line in answer.text.splitlines()}
    assert acts == {"refused.password", "refused.anonymous"}
    by_command = operate(config, "admin audit export --security --format jsonl --act refused.password").stdout
    assert json.loads(by_command)["by"] == "manager"
