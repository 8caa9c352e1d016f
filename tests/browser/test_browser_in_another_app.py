"""The example of an application that has psthreads in it, served as its page says, in a real browser."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, expect
from redis import Redis

from psthreads.domain.config import Config
from tests.browser.browser import Pages
from tests.support.checkout import ROOT
from tests.support.waiting import wait_for
from tests.system import stack

EXAMPLE = ROOT / "examples" / "flask-app"


@pytest.fixture
def address(config: Config, redis: Redis) -> Iterator[str]:
    redis.ping()
    config = replace(config, processes=("reports",))
    path = {"PYTHONPATH": f"{EXAMPLE}:{ROOT}"}
    options = ["--config", "/dev/null", "--threads", "8", "--bind", f"127.0.0.1:{config.port}"]
    web = [sys.executable, "-m", "gunicorn", *options, "intranet:create_app()"]
    with stack.Program(config, web, **path), stack.supervisor(config, **path):
        address = f"http://127.0.0.1:{config.port}"

        def answers() -> bool:
            with suppress(requests.RequestException):
                return requests.get(f"{address}/jobs/readyz", timeout=5).ok
            return False

        wait_for(answers, 60)
        yield address


def test_somebody_signs_in_at_the_application_starts_follows_and_cancels(chromium: Browser, address: str) -> None:
    pages = Pages(chromium, address)
    page = pages()
    page.goto(f"{address}/jobs/dashboard/groups/acme/start/report")
    assert "/login?next=" in page.url
    page.get_by_label("Name").fill("jjones")
    page.get_by_label("Password").fill("an example")
    page.get_by_role("button", name="Sign in here").click()
    page.wait_for_url("**/jobs/dashboard/groups/acme/start/report")  # Back to where they were.
    page.goto(f"{address}/")
    page.get_by_label("Pages").fill("2")
    page.get_by_role("button", name="Write a report").click()
    expect(page.locator("body")).to_contain_text("2 pages")  # It loads itself again when the thread ends.
    expect(page.locator("body")).to_contain_text("Completed")
    page.goto(f"{address}/jobs/dashboard/groups/acme/start/report")
    page.get_by_label(re.compile("pages", re.IGNORECASE)).fill("5000")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("main")).to_contain_text("Page 3")
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.locator("main")).to_contain_text("Cancelled by jjones")
    assert page.request.get(f"{address}/jobs/sign-in").status == 404
    pages.close()


def test_the_example_is_short() -> None:
    lines = (Path(EXAMPLE) / "intranet.py").read_text().splitlines()
    assert len([line for line in lines if line]) <= 60
