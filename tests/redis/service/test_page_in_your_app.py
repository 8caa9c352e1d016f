"""The code on docs/in-your-app.md works."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from psthreads import Service, User
from psthreads.domain.config import Config
from tests.support.blocks import block_of
from tests.support.checkout import ROOT
from tests.support.waiting import wait_for

PAGE = (ROOT / "docs" / "in-your-app.md").read_text()


def run(marker: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block_of(PAGE, marker), marker, "exec"), names)  # noqa: S102 (it is our own page)
    return names


@pytest.fixture
def names(redis: Redis, config: Config, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    redis.ping()
    for name, value in config.to_env().items():
        monkeypatch.setenv(name, value)
    return run("file: shop.py", {"__name__": "shop"})


def test_the_application_of_the_page_has_psthreads_below_its_prefix(names: dict[str, Any]) -> None:
    app: Flask = names["app"]
    with app.app_context():
        service: Service = names["jobs"].service
        service.users.note(User("jjones", groups={"acme": "manager"}))
        service.documents.group(service.directory.find_group("acme")).write("documents/a.psml", b"<a/>")
    browser = app.test_client()
    assert browser.get("/jobs/dashboard", headers={"Accept": "text/html"}).headers["Location"].startswith("/login?")
    with browser.session_transaction() as session:
        session["_user_id"] = "jjones"
    place = browser.post("/export").headers["Location"]
    assert re.fullmatch(r"/jobs/dashboard/groups/acme/threads/\w{32}", place)
    assert browser.get(place).status_code == 200
    run("test: from python", names)


def test_the_program_of_the_page_follows_a_thread_to_its_end(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    block = block_of(PAGE, "test: without flask").replace("count-words", "count").replace(', path="/"', "")
    program = threading.Thread(target=lambda: exec(block, names))  # noqa: S102 (as above)
    program.start()
    thread_id = wait_for(lambda: names["thread"].id if "thread" in names else "")
    names["service"].cancel(thread_id, member="jjones")
    program.join(20)
    assert "cancelled" in capsys.readouterr().out
