"""Request ids, in answers and in lines."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.domain.config import Config
from psthreads.telemetry import logs
from psthreads.web.app import create_app


@pytest.fixture
def behind_proxy(redis: Redis, config: Config) -> FlaskClient:
    return create_app(replace(config, proxies=1)).test_client()


def test_each_answer_has_an_id_of_its_own(app: Flask) -> None:
    client = app.test_client()
    ids = {client.get(path).headers["X-Request-Id"] for path in ("/healthz", "/threads", "/none", "/healthz")}
    assert len(ids) == 4


def test_a_stranger_cannot_choose_the_id(app: Flask) -> None:
    assert app.test_client().get("/healthz", headers={"X-Request-Id": "mine"}).headers["X-Request-Id"] != "mine"


@pytest.mark.parametrize("text", ["", "a b", "x" * 129, 'a"b', "é"])
def test_an_odd_id_of_a_proxy_is_replaced(behind_proxy: FlaskClient, text: str) -> None:
    assert behind_proxy.get("/healthz", headers={"X-Request-Id": "a-1.b"}).headers["X-Request-Id"] == "a-1.b"
    assert behind_proxy.get("/healthz", headers={"X-Request-Id": text}).headers["X-Request-Id"] not in {text, "a-1.b"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_carries_the_id_of_its_request(
    app: Flask, config: Config, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("Bad\nthings")

    app.before_request_funcs.setdefault(None, []).insert(0, fail)
    answer = app.test_client().get("/a%0Ab")
    assert answer.status_code == 500
    record = next(record for record in caplog.records if record.levelno == logging.ERROR)
    line = logs.formatter(replace(config, log_format=form)).format(record)
    assert answer.headers["X-Request-Id"] in line.partition("\n")[0]
    assert "ValueError: Bad" in line
