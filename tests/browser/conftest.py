"""The browser that the tests look through, and a site of their own for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from psthreads.domain.config import Config
from tests.browser.browser import Pages, Site, launched, serving
from tests.support.machine import Missing
from tests.support.needs import leave_out
from tests.support.people import People


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(launched())
        except Missing as error:
            leave_out(error)
        yield browser


@pytest.fixture
def site(config: Config, people: People) -> Iterator[Site]:
    with serving(config, people) as running:
        yield running


@pytest.fixture
def new_page(chromium: Browser, site: Site) -> Iterator[Pages]:
    pages = Pages(chromium, site.address)
    yield pages
    pages.close()


@pytest.fixture
def page(new_page: Pages) -> Page:
    return new_page()
