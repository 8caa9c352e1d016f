"""Every page of the dashboard: usable by everybody, light enough, and not to be attacked by what people write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, expect

from psthreads.documents.layout import Documents
from psthreads.threads.store import ThreadStore
from tests.browser.browser import Pages, Scheme, Site, axe, problems, sign_in
from tests.support.checkout import ROOT
from tests.support.nginx import PREFIX
from tests.support.waiting import wait_for

IMAGE: Final = "<img src=x onerror=alert(1)>"
COUSINS: Final = (
    IMAGE,
    "<script>alert(2)</script>",
    "<svg/onload=alert(3)>",
    '"><img src=x onerror=alert(4)>',
    "' autofocus onfocus=alert(5) x='",
    "</title><script>alert(6)</script>",
    "javascript:alert(7)",
    "{{ 7 * 7 }}<iframe srcdoc='<script>alert(8)</script>'>",
    "--><script>alert(9)</script><!--",
    "</textarea></select></script><script>alert(10)</script>",
    "\u202e<b hx-get=/threads hx-trigger=load hx-on:load=alert(11)>",
)


@dataclass(frozen=True)
class Place:
    """A page, who looks at it, and whether it is for administrators."""

    path: str
    who: str = "chief"


@pytest.fixture
def places(site: Site, store: ThreadStore) -> list[Place]:
    """All pages, with a thread in each state, and what people can write full of what they should not."""
    folder = site.people.acme_folder
    for number, text in enumerate(COUSINS):
        folder.write(f"/documents/{number}{text.replace('/', '|')}.xml", b"<d>not well-formed")
        ended = site.start("hostile", text=text)
    zone = Documents(site.config.documents).loading_zone(site.people.acme, site.people.members["contributor"].id)
    for text in COUSINS:
        with zone.write(f"{text.replace('/', '|')}.zip", 10) as arrival:
            arrival.write(b"no zip")
    validated = site.start("validate", path="/documents")
    for number in range(20):
        folder.write(f"/plain/{number}.xml", b"<d/>")
    exported = site.start("export", path="/", excludes=IMAGE)
    failed = site.start("end", how="raise")
    for thread in (ended, validated, failed):
        wait_for(lambda thread=thread: store.fetch(thread).status.is_final)  # type: ignore[misc]
    running = site.start("count", to=100_000, pause=0.2)
    waiting = site.start("sleep", mark="/dev/null")
    server_wide = site.start("server-wide", by="chief", group=None)
    base = "/dashboard/groups/acme"
    paths = ["", "/threads", "/threads?status=finished", "/threads?text=%3Cimg", "/threads?status=failed&text=nothing"]
    paths += ["/threads?status=all", "/failures"]
    paths += [f"/threads/{thread}" for thread in (ended, validated, exported, failed, running, waiting)]
    paths += [f"/threads/{thread}/log" for thread in (ended, validated, running)]
    paths += [
        f"/threads/{ended}/log?text=%3Cimg&level=WARN&from=3",
        "/start",
        "/start/export",
        f"/start/hostile?like={ended}",
    ]
    found = [Place(f"/dashboard{path}") for path in paths]
    found += [Place(f"{base}{path}", "contributor") for path in paths]
    found += [Place(path) for path in (f"/dashboard/threads/{server_wide}", "/api")]
    found += [Place(path, "contributor") for path in (f"{base}/loading-zone", "/dashboard/account")]
    found += [
        Place(f"/dashboard{path}")
        for path in (
            *("/groups", "/groups/acme/members", "/groups/acme/remove", "/audit", "/audit?act=thread"),
            *("/members", "/members/add", "/members/manager", "/members/manager/remove"),
        )
    ]
    return [*found, Place("/dashboard/groups", "guest")]


def visit(new_page: Pages, site: Site, places: list[Place], **options: object) -> list[tuple[Place, Page]]:
    """A page for each member who looks, signed in; and the places in turn."""
    pages: dict[str, Page] = {}
    for place in places:
        if place.who not in pages:
            pages[place.who] = new_page(**options)  # type: ignore[arg-type]
            sign_in(pages[place.who], site, place.who)
    return [(place, pages[place.who]) for place in places]


def test_nothing_that_anybody_writes_runs(site: Site, new_page: Pages, places: list[Place], store: ThreadStore) -> None:
    chief = new_page()
    sign_in(chief, site, "chief")
    # A reason, a member's name in a search, a filter and a parameter that is wrong are shown again, too.
    chief.goto("/dashboard/threads")
    for thread in [one.id for one in store.page("active").threads][:1]:
        chief.goto(f"/dashboard/threads/{thread}")
        chief.get_by_label("Reason").fill(IMAGE)
        chief.get_by_role("button", name="Cancel this thread").click()
    assert problems(chief) == []
    seen = 0
    for place, page in visit(new_page, site, places):
        page.goto(place.path)
        assert page.locator("img[src=x], iframe, main script, [onerror], [onload], [onfocus], b[hx-get]").count() == 0
        seen += sum(page.content().count(text) for text in ("&lt;img src=x", "&lt;script&gt;", "&lt;svg/onload"))
        assert problems(page) == [], place
    assert seen > 50, "what people wrote is not on the pages, so this test shows nothing"


def test_the_policy_would_have_stopped_it(site: Site, new_page: Pages, places: list[Place]) -> None:
    by_kind = {re.sub(r"[0-9a-f]{32}", "", place.path).partition("?")[0]: place for place in places}
    assert len(by_kind) > 15
    for place, page in visit(new_page, site, list(by_kind.values()), tolerant=True):
        answer = page.goto(place.path)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        problems(page)
        page.evaluate(
            """async text => {
                for (const one of text) document.querySelector('main').insertAdjacentHTML('beforeend', one);
                document.body.append(Object.assign(document.createElement('script'), {textContent: 'alert(20)'}));
                const link = Object.assign(document.createElement('a'), {href: 'javascript:alert(21)'});
                document.body.append(link);
                link.click();
                // Not at once: what the tools of developers run themselves may evaluate text.
                setTimeout(() => {
                    const made = [() => eval('alert(22)'), () => new Function('alert(23)')()];
                    for (const act of made) try { act() } catch { /* refused, as it should be */ }
                });
                setTimeout('alert(24)');
                await new Promise(resolve => setTimeout(resolve, 200));
            }""",
            list(COUSINS),
        )
        found = "\n".join(problems(page))
        assert "alert:" not in found, place
        assert found.count("of the policy forbids inline") >= 4, place
        assert "script-src of the policy forbids eval" in found, place


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(site: Site, new_page: Pages, places: list[Place], scheme: Scheme) -> None:
    found = []
    for place, page in visit(new_page, site, places, scheme=scheme):
        page.goto(place.path)
        found += [f"{place.path}: {violation}" for violation in axe(page)]
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_questions_answers_and_errors(site: Site, new_page: Pages, scheme: Scheme) -> None:
    for _ in range(3):
        site.start("sleep", mark="/dev/null")
    page = new_page(scheme=scheme, width=360, tolerant=True)
    sign_in(page, site, "chief")

    def is_good(heading: str) -> None:
        expect(page.locator("h1")).to_have_text(heading)
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360

    page.goto("/dashboard/threads")
    expect(page.get_by_role("button", name="Cancel selected")).to_be_hidden()
    page.evaluate("document.getElementById('bulk').requestSubmit()")
    is_good("No threads selected")
    page.goto("/dashboard/threads")
    assert page.locator("tbody tr").first.bounding_box()["height"] < 90  # type: ignore[index] # two lines, and a message
    page.locator("[data-pick]").first.check()
    page.get_by_label("All matching threads").check()
    page.get_by_role("button", name="Cancel selected").click()
    is_good("Cancel 3 threads?")
    page.get_by_role("button", name="Cancel 3 threads").click()
    is_good("Results for 3 threads")
    page.goto("/dashboard/threads?group=nope&since=never")
    is_good("Threads")
    page.goto("/dashboard/start/count")
    page.locator("[name=group]").fill("nope")
    page.get_by_role("button", name="Start", exact=True).click()
    is_good("Start count")
    page.goto("/dashboard/members/manager")
    page.get_by_role("button", name="Remove… from acme").click()
    is_good("Remove manager from acme?")
    page.goto("/dashboard/nowhere")
    is_good("Not found")
    sign_in(page, site, "reviewer")
    page.goto("/dashboard")
    is_good("Not allowed")


def _weigh(weights: dict[str, int], answer: Response) -> None:
    path = urlsplit(answer.url).path.removeprefix(PREFIX)
    if path.startswith("/static/"):
        weights[path] = (ROOT / path.removeprefix("/")).stat().st_size  # as it was at first, before it was cached


def test_no_page_is_wider_than_a_narrow_window_nor_heavy(site: Site, new_page: Pages, places: list[Place]) -> None:
    for place, page in visit(new_page, site, places, width=360):
        weights: dict[str, int] = {}
        page.on("response", partial(_weigh, weights))
        answer = page.goto(place.path)
        assert answer is not None
        html = len(answer.body())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
        if place.path != "/api":
            assert html < 60_000, place
            assert len(weights) >= 3, place
            assert html + sum(weights.values()) < 150_000, place


def test_who_wants_no_movement_has_none(site: Site, new_page: Pages, places: list[Place]) -> None:
    moving = """() => document.getAnimations().length + [...document.querySelectorAll('*')].filter(element => {
        const style = getComputedStyle(element);
        return parseFloat(style.transitionDuration) > 0.01 || style.scrollBehavior === 'smooth';
    }).length"""
    for place, page in visit(new_page, site, places[:12], still=True):
        page.goto(place.path)
        assert page.evaluate(moving) == 0, place


def test_everything_is_done_by_keyboard(site: Site, page: Page, store: ThreadStore) -> None:
    thread = site.start("count", to=10_000, pause=0.1)
    page.goto("/sign-in")
    expect(page.get_by_label("Username")).to_be_focused()  # without a key, a moment after the page is there
    page.keyboard.type("chief")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Overview")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.goto("/dashboard/threads")

    def tab_to(name: str) -> None:
        """Go on by the Tab key alone until what is called so has the focus, and is seen to have it."""
        for _ in range(60):
            page.keyboard.press("Tab")
            found = page.evaluate(
                """() => {
                    const at = document.activeElement;
                    const label = at.labels?.[0]?.textContent ?? at.getAttribute('aria-label') ?? at.textContent;
                    const style = getComputedStyle(at);
                    const box = at.getBoundingClientRect();
                    return [label.trim(), style.outlineStyle !== 'none' && box.width > 0];
                }"""
            )
            assert found[1], f"{found[0]} does not show that it has the focus"
            if found[0].startswith(name):
                return
        pytest.fail(f"{name} cannot be reached")

    tab_to("Name, message or ID")
    page.keyboard.type("counting")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("text=counting"))
    tab_to("Select Counting")
    page.keyboard.press("Space")
    tab_to("Cancel selected")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Cancel 1 thread?")
    tab_to("Reason")
    page.keyboard.type("by keyboard")
    tab_to("Cancel 1 thread")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Result for 1 thread")
    wait_for(lambda: store.fetch(thread).status.is_final)
    page.goto("/dashboard")
    tab_to("Signed in as")
    page.keyboard.press("Enter")
    tab_to("Sign out")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Sign in")
