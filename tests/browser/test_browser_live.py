"""What the pages' scripts do: parts that change while a reader is at them, and saying when they cannot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from redis import Redis

from psthreads.documents.layout import Documents
from psthreads.domain.config import Config
from psthreads.domain.model import Report
from psthreads.identity.directory import Directory
from psthreads.local.programs import free_port
from psthreads.local.server import RedisServer
from psthreads.threads.store import ThreadStore
from tests.browser.browser import Pages, Site, problems, serving, sign_in
from tests.support.people import People
from tests.support.threads import new_thread

AWAY = "The database is unavailable. Reconnecting…"


@pytest.fixture
def config(config: Config) -> Config:
    # The threads here have no worker: the tests speak for it, and nobody is to take it for lost.
    return replace(config, lost_after=3_600, group_threads=100)


@pytest.fixture
def site(config: Config, people: People) -> Iterator[Site]:
    with serving(config, people, workers=0) as running:
        yield running


def running(redis: Redis, store: ThreadStore, site: Site, name: str = "A thread") -> str:
    thread_id = store.create(new_thread(redis, group=site.people.acme, name=name))
    assert store.claim(thread_id, "t", "w")
    return thread_id


def waited(page: Page, milliseconds: int) -> None:
    page.evaluate("time => new Promise(resolve => setTimeout(resolve, time))", milliseconds)


def refreshes(page: Page) -> list[Any]:
    """The requests that htmx makes from now on."""
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request) if "hx-request" in request.headers else None)
    return asked


def test_a_selection_a_focus_and_the_scroll_survive_what_changes_around_them(
    site: Site, page: Page, redis: Redis, store: ThreadStore
) -> None:
    ids = [running(redis, store, site, f"Thread {number}") for number in range(30)]
    sign_in(page, site, "chief", "/dashboard/threads")
    expect(page.locator("tbody tr")).to_have_count(30)
    page.locator(f"#t-{ids[2]} a").focus()
    page.evaluate("id => getSelection().selectAllChildren(document.querySelector(`#t-${id} a`))", ids[1])
    page.evaluate("scrollTo(0, 300)")
    page.evaluate("window.row = document.querySelector('tbody tr')")
    for number in range(2):
        running(redis, store, site, f"Newer {number}")
        store.report(ids[4], "t", Report(number + 1, message=f"Message {number}"))
        expect(page.locator("tbody tr")).to_have_count(31 + number)
        expect(page.locator(f"#t-{ids[4]}")).to_contain_text(f"Message {number}")
    assert page.evaluate("id => document.activeElement === document.querySelector(`#t-${id} a`)", ids[2])
    assert page.evaluate("String(getSelection())") == "Thread 1"
    # The row that was looked at is the same one still, and where it was.
    assert page.evaluate("row.isConnected")
    assert page.evaluate("scrollY") > 0


def test_a_page_whose_parts_cannot_be_had_loads_itself_again_once(
    site: Site, new_page: Pages, redis: Redis, store: ThreadStore
) -> None:
    running(redis, store, site)
    page = new_page(tolerant=True)
    sign_in(page, site, "chief", "/dashboard/threads")
    loads = list[str]()

    def refuse(route: Route) -> None:
        if "hx-request" in route.request.headers:
            route.fulfill(status=404, body="Not here")
        else:
            loads.append(route.request.url)
            route.continue_()

    page.route("**/dashboard/threads", refuse)
    running(redis, store, site)
    for _ in range(3):  # The page loads itself again after the first; after the others it only tries again.
        with page.expect_response(lambda response: response.status == 404):
            pass
    assert len(loads) == 1
    page.unroute("**/dashboard/threads")
    running(redis, store, site)
    expect(page.locator("tbody tr")).to_have_count(3)


def test_all_boxes_are_ticked_at_once_and_counted(site: Site, page: Page, redis: Redis, store: ThreadStore) -> None:
    for _ in range(4):
        running(redis, store, site)
    sign_in(page, site, "chief", "/dashboard/threads")
    every, count = page.locator("[data-select-all]"), page.locator("[data-count]")
    expect(count).to_have_text("None selected")
    every.check()
    expect(count).to_contain_text("4 selected")
    page.locator("tbody input").first.uncheck()
    expect(count).to_contain_text("3 selected")
    assert every.evaluate("box => box.indeterminate")
    page.locator("tbody input").first.check()
    assert every.is_checked()
    # The list stands still while some are ticked; what has come meanwhile is there once none is.
    running(redis, store, site)
    every.uncheck()
    expect(page.locator("tbody tr")).to_have_count(5)
    expect(count).to_have_text("None selected")


def test_a_part_is_asked_for_once_a_second_at_most_and_not_while_the_page_is_hidden(
    site: Site, page: Page, redis: Redis, store: ThreadStore
) -> None:
    thread = running(redis, store, site)
    sign_in(page, site, "chief", "/dashboard/threads")
    expect(page.locator("tbody tr")).to_have_count(1)
    waited(page, 1_500)
    asked = refreshes(page)
    for number in range(30):
        store.report(thread, "t", Report(number + 1, message=f"Message {number}"))
        waited(page, 100)
    expect(page.locator("tbody")).to_contain_text("Message 29")
    assert 2 <= len(asked) <= 6
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away ?? true, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    asked.clear()
    store.report(thread, "t", Report(31, message="While nobody looked"))
    waited(page, 1_500)
    assert asked == []
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("tbody")).to_contain_text("While nobody looked")
    assert len(asked) == 1


def test_what_a_reader_has_opened_stays_open(site: Site, page: Page, redis: Redis, store: ThreadStore) -> None:
    sign_in(page, site, "chief", "/dashboard")
    page.locator("main details summary").first.click()
    page.locator("main details table").first.evaluate("table => { window.table = table }")
    name = "A thread that is new"
    running(redis, store, site, name)
    expect(page.locator("main")).to_contain_text(name)
    expect(page.locator("main details").first).to_have_attribute("open", "")
    assert page.evaluate("table.isConnected")


def test_htmx_makes_no_code_and_no_style_and_keeps_no_history(site: Site, page: Page) -> None:
    sign_in(page, site, "chief", "/dashboard/threads")
    assert page.evaluate("htmx.version") == "4.0.1"
    assert page.evaluate("document.adoptedStyleSheets.length") == 0
    assert page.evaluate("[...document.querySelectorAll('style')].length") == 0
    assert page.evaluate("htmx.config.history") is False
    assert page.evaluate("Object.keys({...sessionStorage, ...localStorage})") == []
    assert problems(page) == []
    page.evaluate(
        """() => {
            const part = document.createElement('button');
            part.setAttribute('hx-get', 'js:window.made = 1');
            part.setAttribute('hx-on:click', 'window.made = 2');
            part.setAttribute('hx-vals', 'js:{a: window.made = 3}');
            part.setAttribute('hx-trigger', 'click[window.made = 4]');
            document.querySelector('main').append(part);
            htmx.process(part);
            part.click();
        }"""
    )
    waited(page, 300)
    assert page.evaluate("window.made") is None
    problems(page)  # It says on the console that it was refused.


def test_the_menu_opens_by_keyboard_and_closes_as_menus_do(site: Site, page: Page) -> None:
    sign_in(page, site, "chief", "/dashboard/threads")
    out = page.get_by_role("button", name="Sign out", exact=True)
    expect(out).to_be_hidden()
    page.locator("details.who summary").focus()
    page.keyboard.press("Enter")
    expect(out).to_be_visible()
    page.keyboard.press("Escape")
    expect(out).to_be_hidden()
    expect(page.locator("details.who summary")).to_be_focused()
    page.locator("details.who summary").click()
    page.locator("h1").click()
    expect(out).to_be_hidden()
    page.locator("body").press("Tab")
    page.goto("/dashboard/threads")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_who_is_signed_out_elsewhere_is_led_to_the_sign_in_page(
    site: Site, new_page: Pages, redis: Redis, store: ThreadStore
) -> None:
    thread = running(redis, store, site)
    page = new_page(tolerant=True)
    sign_in(page, site, "chief", "/dashboard/threads")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.context.clear_cookies()
    store.report(thread, "t", Report(1, message="Something new"))
    page.wait_for_url(f"{site.address}/sign-in?next={site.path}/dashboard/threads", timeout=15_000)


# Without its store.


@pytest.fixture
def away(config: Config) -> Iterator[tuple[RedisServer, Config, People]]:
    """A Redis of the test's own, that can be taken away, and members in it."""
    with tempfile.TemporaryDirectory(prefix="ps-") as folder, RedisServer(Path(folder)) as own:
        mine = replace(config, redis_url=own.url, port=free_port())
        with Redis(unix_socket_path=str(own.socket)) as redis:
            yield own, mine, People(Directory(redis), Documents(mine.documents))


def test_a_page_says_that_the_store_is_away_and_comes_back_by_itself(
    away: tuple[RedisServer, Config, People], chromium: Browser
) -> None:
    own, config, people = away
    with serving(config, people, workers=0) as site, Redis(unix_socket_path=str(own.socket)) as redis:
        store = ThreadStore(redis, config)
        thread = running(redis, store, site)
        pages = Pages(chromium, site.address)
        page, other, plain = pages(tolerant=True), pages(tolerant=True), pages(tolerant=True, javascript=False)
        for one in (page, other, plain):
            sign_in(one, site, "chief", "/dashboard/threads")
        page.evaluate("window.mark = 'the same page'")
        expect(page.locator("tbody tr")).to_have_count(1)
        own.kill()
        for one in (other, plain):
            response = one.goto("/dashboard/threads?status=active")
            assert response is not None
            assert response.status == 503
            expect(one.locator("h1")).to_have_text("Temporarily unavailable")
        assert plain.locator("meta[http-equiv=refresh]").count() == 1
        expect(page.locator("#banner")).to_have_text(AWAY, timeout=25_000)
        expect(other.locator("#banner")).to_have_text(AWAY, timeout=10_000)
        own.start()
        expect(other.locator("h1")).to_have_text("Threads", timeout=15_000)
        expect(plain.locator("h1")).to_have_text("Threads", timeout=15_000)
        expect(page.locator("#banner")).not_to_have_text(AWAY, timeout=15_000)
        store.report(thread, "t", Report(1, message="Alive again"))
        expect(page.locator("tbody")).to_contain_text("Alive again", timeout=20_000)
        expect(page.locator("#banner")).to_be_hidden()
        assert page.evaluate("window.mark") == "the same page"
        assert other.url.endswith("?status=active")
        pages.close()
