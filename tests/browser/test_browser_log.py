"""A log that is followed in a real browser: it grows by itself, loses and doubles no line, and does not move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from redis import Redis

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line
from psthreads.local.programs import free_port
from psthreads.threads.store import ThreadStore
from tests.browser.browser import Pages, Site, axe, problems, serving, sign_in
from tests.browser.written_log import (
    MOMENT,
    Log,
    Webs,
    distance,
    is_whole,
    numbers,
    numbers_of,
    scroll_up,
    select,
    selected,
    shows,
    top_of,
)
from tests.support.people import People
from tests.support.threads import new_thread
from tests.system import stack

MOST = 1_000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def config(config: Config) -> Config:
    # The threads here have no worker: the tests speak for it, and nobody is to take it for lost.
    return replace(config, lost_after=3_600)


@pytest.fixture
def site(config: Config, people: People) -> Iterator[Site]:
    with serving(config, people, workers=0) as running:
        yield running


@pytest.fixture
def log(site: Site, redis: Redis, store: ThreadStore) -> Log:
    thread_id = store.create(new_thread(redis, group=site.people.acme))
    assert store.claim(thread_id, "t", "w")
    made = Log(store, thread_id)
    made.many(300)
    return made


@pytest.fixture
def page(site: Site, page: Page) -> Page:
    sign_in(page, site, "chief")
    return page


@pytest.fixture
def tolerant(site: Site, new_page: Pages) -> Page:
    """A page whose requests may fail."""
    page = new_page(tolerant=True)
    sign_in(page, site, "chief")
    return page


def test_a_log_grows_without_a_reload_until_its_thread_has_ended(config: Config, site: Site, page: Page) -> None:
    with stack.worker(config):
        thread = site.start("lines", total=3_000, pause=0.1)
        page.goto(f"/dashboard/threads/{thread}/log")
        page.evaluate("window.mark = 'the same page'")
        expect(page.locator("#follow")).to_have_text("Following")
        expect(page.locator("#log tbody tr").last).to_contain_text("Completed", timeout=30_000)
        expect(page.locator("#now")).to_contain_text("Completed")
        expect(page.locator("#follow")).to_be_hidden()
    found = numbers(page)
    assert len(found) <= MOST
    assert is_whole(page)
    assert found[-1] >= 3_003
    assert distance(page) < 8
    assert page.locator("#range").inner_text() == f"Lines {found[0]:,} to {found[-1]:,} of {found[-1]:,}"
    assert page.evaluate("window.mark") == "the same page"


def test_going_offline_and_back_loses_and_doubles_no_line(log: Log, tolerant: Page) -> None:
    page = tolerant
    page.goto(log.address())
    shows(page, log.many(10)).to_be_visible()
    for _ in range(2):
        page.context.set_offline(True)
        expect(page.locator("#banner")).to_have_text("Connection lost. Reconnecting…")
        last = log.many(150)
        page.context.set_offline(False)
        shows(page, last).to_be_visible(timeout=15_000)
        expect(page.locator("#banner")).to_have_text("Reconnected")
        assert is_whole(page)
    expect(page.locator("#banner")).to_be_hidden()
    log.end()
    expect(page.locator("#now")).to_contain_text("Completed")
    # Its stream has ended with it, and is not opened again.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.context.set_offline(False)
    page.evaluate("new Promise(resolve => setTimeout(resolve, 1500))")
    assert [url for url in asked if "/events" in url] == []


@pytest.fixture
def webs(config: Config) -> Iterator[Webs]:
    made = Webs(config)
    yield made
    made.stop()


def test_a_server_that_is_killed_and_comes_back_loses_and_doubles_no_line(
    config: Config, site: Site, redis: Redis, store: ThreadStore, log: Log, chromium: Browser, webs: Webs
) -> None:
    webs.config = replace(config, port=free_port())
    webs.start()
    pages = Pages(chromium, f"http://127.0.0.1:{webs.config.port}")
    page = pages(tolerant=True)
    sign_in(page, Site(webs.config, site.people, f"http://127.0.0.1:{webs.config.port}"), "chief")
    page.goto(log.address())
    page.evaluate("window.mark = 'the same page'")
    shows(page, log.many(10)).to_be_visible()
    webs.stop()
    expect(page.locator("#banner")).to_have_text("Connection lost. Reconnecting…")
    last = log.many(250)
    webs.start()
    expect(page.locator("#banner")).to_have_text("Reconnected")  # for some seconds, so it is looked for first
    shows(page, last).to_be_visible(timeout=20_000)
    shows(page, log.many(10)).to_be_visible()
    assert is_whole(page)
    assert page.evaluate("window.mark") == "the same page"
    pages.close()


def test_who_scrolls_up_stays_where_they_are_and_sees_how_much_is_new(log: Log, page: Page) -> None:
    page.goto(log.address())
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "true")
    shows(page, log.many(20)).to_be_in_viewport()
    scroll_up(page)
    seen = log.total - 60
    top = top_of(page, seen)
    last = log.many(37)
    expect(page.locator("#new-lines")).to_have_text("37 new lines")
    shows(page, last).to_be_attached()
    assert top_of(page, seen) == top
    shows(page, last).not_to_be_in_viewport()
    page.get_by_role("link", name="37 new lines").click()
    shows(page, last).to_be_in_viewport()
    expect(page.locator("#new-lines")).to_be_hidden()
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "true")
    shows(page, log.many(20)).to_be_in_viewport()
    # Back at the end by scrolling, it follows again; stopped by its button, it does not.
    scroll_up(page)
    page.locator("#log").focus()
    page.keyboard.press("End")
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "true")
    page.locator("#follow").click()
    log.many(5)
    expect(page.locator("#new-lines")).to_have_text("5 new lines")
    assert is_whole(page)


def test_a_page_never_holds_more_than_1000_lines_and_gets_those_that_it_counted(log: Log, page: Page) -> None:
    page.goto(log.address())
    shows(page, log.many(5)).to_be_in_viewport()
    scroll_up(page)
    seen = log.total - 40
    top = top_of(page, seen)
    last = log.many(1_800)
    expect(page.locator("#new-lines")).to_have_text("1,800 new lines", timeout=15_000)
    found = numbers(page)
    assert len(found) == MOST
    assert is_whole(page)
    assert top_of(page, seen) == top
    page.locator("#follow").click()
    shows(page, last).to_be_in_viewport()
    expect(page.locator("#new-lines")).to_be_hidden()
    assert len(numbers(page)) <= MOST
    assert is_whole(page)
    # While it follows, the oldest ones go.
    last = log.many(1_500)
    shows(page, last).to_be_in_viewport(timeout=15_000)
    assert len(numbers(page)) <= MOST
    assert is_whole(page)


def test_what_is_selected_stays_selected_and_in_its_place(log: Log, page: Page) -> None:
    page.goto(log.address())
    shows(page, log.many(5)).to_be_in_viewport()
    seen = log.total - 10
    text = select(page, seen, seen + 3)
    top = top_of(page, seen)
    assert str(seen + 1) in text
    last = log.many(1_200)
    expect(page.locator("#new-lines")).to_have_text("1,200 new lines", timeout=15_000)
    assert selected(page) == text
    assert top_of(page, seen) == top
    assert len(numbers(page)) <= MOST
    # It still follows: what came meanwhile is there as soon as nothing is selected.
    page.evaluate("getSelection().removeAllRanges()")
    shows(page, last).to_be_in_viewport(timeout=15_000)
    assert is_whole(page)


def test_a_line_is_jumped_to_by_the_address(log: Log, page: Page) -> None:
    log.many(2_000)
    page.goto(log.address("?from=700"))
    expect(page.locator("tr.here")).to_have_id("L700")
    shows(page, 700).to_be_in_viewport()
    # Whoever copies the address of a line gets one that leads there, wherever the end is by then.
    page.locator("#L710 a").first.click()
    page.wait_for_url("**/log?from=710#L710")
    page.goto(log.address())
    page.goto(log.address("#L700"))
    page.wait_for_url("**/log?from=700#L700")
    expect(page.locator("tr.here")).to_have_id("L700")
    shows(page, 700).to_be_in_viewport()
    before = numbers(page)
    log.many(20)
    expect(page.locator("#new-lines")).to_have_text("20 new lines")
    assert numbers(page) == before
    page.get_by_role("link", name="20 new lines").click()
    shows(page, log.total).to_be_in_viewport()
    # A line that is picked at the end ends following, and stays.
    page.locator(f"#L{log.total - 5} a").first.click()
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")


def test_new_lines_are_narrowed_as_the_page_is(log: Log, page: Page) -> None:
    page.goto(log.address("?level=WARN&text=NEEDLE"))
    expect(page.locator("#no-lines")).to_be_visible()
    log.write(
        Line(MOMENT, Level.WARN, "a needle"),
        Line(MOMENT, Level.INFO, "a needle, but harmless"),
        Line(MOMENT, Level.ERROR, "no such thing"),
        Line(MOMENT, Level.ERROR, "two Needles"),
    )
    shows(page, log.total).to_be_visible()
    assert numbers(page) == [log.total - 3, log.total]
    expect(page.locator("#no-lines")).to_be_hidden()
    expect(page.locator("#range")).to_contain_text("2 of lines")
    page.reload()
    assert numbers(page) == [log.total - 3, log.total]


def test_what_new_lines_say_does_nothing(log: Log, page: Page) -> None:
    page.goto(log.address())
    last = log.write(HOSTILE, "</td></tr><script>alert(1)</script>", "\u202e\u05e9\u05dc\u05d5\u05dd", "x" * 16_000)
    shows(page, last).to_contain_text("xxx… full line")
    shows(page, last - 3).to_contain_text(HOSTILE)
    assert page.locator("#log img, #log script").count() == 0
    shows(page, last).not_to_contain_text("x" * 1_000)
    page.locator(f"#L{last}").get_by_role("link", name="full line").click()
    shows(page, last).to_contain_text("x" * 16_000)
    assert problems(page) == []


def test_lines_that_did_not_come_are_fetched_before_those_that_did(log: Log, tolerant: Page) -> None:
    page = tolerant
    page.goto(log.address())
    shows(page, log.many(5)).to_be_visible()
    # From here on no line comes by the stream but those that the test makes up.
    page.context.route("**/events?**", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('offline'))")
    begin = log.total
    log.many(1_499)
    page.evaluate(
        """([seq]) => [seq, seq, seq + 1].forEach(seq => document.dispatchEvent(new CustomEvent('stream', {detail: {
            kind: 'log',
            data: {seq, datetime: '2022-05-15T12:00:00.000+00:00', level: 'INFO', message: 'made up'},
        }})))""",
        [begin + 1_500],
    )
    shows(page, begin + 1_501).to_contain_text("made up", timeout=15_000)
    assert is_whole(page)
    assert numbers(page)[-1] == begin + 1_501


def test_without_scripts_the_same_is_there_by_reloading(log: Log, site: Site, new_page: Pages) -> None:
    page = new_page(javascript=False)
    sign_in(page, site, "chief")
    page.goto(log.address())
    expect(page.locator("#follow")).to_be_hidden()
    expect(page.locator("#new-lines")).to_be_hidden()
    last = log.many(250)
    shows(page, last).not_to_be_attached()
    page.get_by_role("link", name="Latest").click()
    shows(page, last).to_be_attached()
    page.get_by_role("link", name="Older").click()
    assert numbers_of(page)[-1] == last - 200
    page.get_by_label("Go to line").fill("7")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tr.here")).to_have_id("L7")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_use_the_log(log: Log, site: Site, new_page: Pages, scheme: Any, width: int) -> None:
    page = new_page(scheme=scheme, width=width)
    sign_in(page, site, "contributor")
    log.write(
        *(Line(1_652_616_000_000, level, "word " * 100) for level in (Level.DEBUG, Level.WARN, Level.ERROR)),
        HOSTILE + "x" * 3_000,
    )
    for query in ("", "?from=100#L100", "?text=nothing", f"?from={log.total}&whole=true"):
        page.goto(log.address(query).replace("/dashboard/", "/dashboard/groups/acme/"))
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(log.address().replace("/dashboard/", "/dashboard/groups/acme/"))
    page.locator("#log").focus()
    page.keyboard.press("Home")
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")
