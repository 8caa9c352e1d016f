"""Scripts of pages: clocks, the reader's own time, names while one types, and secrets that are copied."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from psthreads.threads.store import ThreadStore
from psthreads.web.pages.formatting import ago, duration
from tests.browser.browser import Pages, Site, sign_in
from tests.support.waiting import wait_for

SHOW = """seconds => new Promise(resolve => {
    const at = Date.now() - 1000 * seconds;
    const since = Object.assign(document.createElement('span'), {textContent: '?'});
    const back = Object.assign(document.createElement('time'), {textContent: '?'});
    since.dataset.since = at;
    back.dataset.ago = '';
    back.dateTime = new Date(at).toISOString();
    document.querySelector('main').append(since, back);
    const look = () => since.textContent === '?'
        ? setTimeout(look, 20) : resolve([since.textContent, back.textContent, (Date.now() - at) / 1000]);
    look();
})"""


def test_clocks_tick_in_the_words_of_the_server_and_times_are_the_readers(
    site: Site, new_page: Pages, store: ThreadStore
) -> None:
    over = site.start("count", to=1)
    wait_for(lambda: store.fetch(over).status.is_final)
    page = new_page(width=360, timezone="Australia/Sydney")
    sign_in(page, site, "chief", "/dashboard/threads")
    for seconds in (0, 8, 58, 3_599, 90_061):
        since, back, now = page.evaluate(SHOW, seconds)
        # A second more or less, by when the clock ticked and how late the page came.
        near = [1000 * each for each in range(max(0, int(now) - 4), int(now) + 2)]
        assert since in map(duration, near), seconds
        assert back in [ago(0, each) for each in near], seconds
    page.goto(f"/dashboard/threads/{over}")
    time = page.locator("ol.timeline time").first
    expect(time).to_have_text(re.compile(r"^[\d-]+\s[\d:]+ \(([\d-]+\s)?[\d:]+\sUTC\)$"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_names_are_suggested_while_one_types_and_a_secret_is_copied(site: Site, new_page: Pages) -> None:
    page = new_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, site, "chief", "/dashboard/start/count")
    page.locator("[name=group]").press_sequentially("ac")
    expect(page.locator("#field-group-names option")).to_have_attribute("value", "acme")
    page.goto("/dashboard/account")
    page.get_by_text("Create a token", exact=True).click()
    page.get_by_label("Token name").fill("laptop")
    page.get_by_role("button", name="Create token").click()
    page.get_by_role("button", name="Copy Token").click()
    expect(page.locator("#banner")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#secret-1").inner_text()
