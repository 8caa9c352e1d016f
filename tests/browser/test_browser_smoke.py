"""The pages in a real browser: that they work there at all, and that what looks at them sees what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Pages, Scheme, Site, axe, problems, sign_in
from tests.support.waiting import wait_for


def test_a_member_signs_in_and_sees_a_thread_that_runs(site: Site, page: Page, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    site.start("sleep", mark=mark)
    wait_for(mark.exists)
    sign_in(page, site, "chief")
    page.goto("/dashboard")
    expect(page.locator("body")).to_contain_text("Sleeping")
    assert problems(page) == []


def test_signing_in_leads_on_to_where_one_wanted_to_go(site: Site, page: Page) -> None:
    sign_in(page, site, "chief", "/api")
    assert page.url == f"{site.address}/api"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_use_the_sign_in_page(new_page: Pages, scheme: Scheme, width: int) -> None:
    page = new_page(scheme=scheme, width=width)
    page.goto("/sign-in")
    assert axe(page) == []
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_signing_in_needs_no_script(site: Site, new_page: Pages) -> None:
    page = new_page(javascript=False)
    sign_in(page, site, "chief")
    response = page.goto("/dashboard")
    assert response is not None
    assert (response.status, page.url) == (200, f"{site.address}/dashboard")


# What looks at the pages.


def test_what_is_wrong_on_a_page_is_seen(site: Site, page: Page) -> None:
    page.goto("/sign-in")
    for script in (
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'alert(1)'}))",
        "setTimeout(() => { throw new Error('of a script') })",
        "console.warn('odd')",
        "alert('hello')",
        f"document.body.append(Object.assign(new Image(), {{src: '{site.path}/nowhere.png'}}))",
        "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:1/elsewhere.png'}))",
    ):
        page.evaluate(f"() => {{ {script} }}")
    found: list[str] = []

    def are_seen() -> bool:
        found.extend(problems(page))
        return all(
            any(problem.startswith(start) for problem in found)
            for start in (
                "console error: script-src-elem of the policy forbids inline",
                "script: ",
                "console warning: odd",
                "console error: alert: hello",
                f"refused: GET {site.address}/nowhere.png: 404",
                "console error: img-src of the policy forbids http://127.0.0.1:1/elsewhere.png",
            )
        )

    wait_for(are_seen)


def test_what_not_everybody_can_use_is_seen(page: Page) -> None:
    page.goto("/sign-in")
    page.evaluate("document.querySelectorAll('label').forEach(label => label.remove())")
    (username, password) = axe(page, "form")
    assert username.startswith("label (critical): Form elements must have labels: #username: <input ")
    assert "#password" in password
