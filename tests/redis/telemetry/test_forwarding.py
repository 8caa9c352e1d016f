"""Proxies that are not those of the settings are told, once."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from redis import Redis

from psthreads.admin import redis_checks
from psthreads.domain.config import Config
from psthreads.web.app import create_app
from tests.support.people import People

FORWARDED = {"X-Forwarded-For": "203.0.113.9"}


@pytest.mark.parametrize(
    ("proxies", "headers", "is_told"), [(0, {}, False), (0, FORWARDED, True), (1, FORWARDED, False), (1, {}, True)]
)
def test_proxies_that_are_not_those_of_the_settings_are_told_once_and_to_the_doctor(
    redis: Redis,
    config: Config,
    proxies: int,
    headers: dict[str, str],
    is_told: bool,  # noqa: FBT001 (a parameter of the test)
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = replace(config, proxies=proxies)
    client = create_app(config).test_client()
    for _ in range(3):
        client.get("/version", headers=headers)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["PSTHREADS_PROXIES" in sentence for sentence in told] == [True] * is_told
    assert [str(problem) for problem in redis_checks.proxies(redis, config)] == told
    assert not list(redis_checks.proxies(redis, replace(config, proxies=1 - proxies)))
    assert redis.ttl("ps:forwarding") > 86_000 or not is_told


def test_probes_and_monitors_need_no_proxy(redis: Redis, config: Config, caplog: pytest.LogCaptureFixture) -> None:
    client = create_app(replace(config, proxies=1)).test_client()
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)
    assert not caplog.records


def test_cookies_are_secure_where_the_servers_own_address_is(redis: Redis, config: Config, people: People) -> None:
    for origins, is_secure in (((), False), (("https://ps.example",), True), (("http://localhost",), False)):
        client = create_app(replace(config, origins=origins)).test_client(use_cookies=False)
        answer = client.get("/sign-in", headers={"Host": "127.0.0.1:8000"})
        assert ("Secure" in answer.headers["Set-Cookie"]) is is_secure
