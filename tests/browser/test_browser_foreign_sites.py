"""Another site, in the same real browser: what its pages send here does nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page

from psthreads.domain.config import Config
from tests.browser.browser import Pages, Site, axe, serving, sign_in
from tests.support.people import PASSWORD, People
from tests.support.waiting import wait_for


@contextmanager
def evil_site(host: str, action: str, fields: dict[str, str]) -> Iterator[str]:
    """Another site, with a page whose form is sent to the action; gives its address."""
    inputs = "".join(f"<input name='{name}' value='{escape(value)}'>" for name, value in fields.items())
    page = f"<form method=post action='{escape(action)}'>{inputs}<button>Win a prize</button></form>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def press(page: Page, evil: str) -> int:
    """Press the button on the other site; gives the status of the answer that the form got here."""
    page.goto(evil)
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.get_by_role("button", name="Win a prize").click()
    return answer.value.status


# A port is another origin of the same site, so that cookies go there; a name is another site.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_sites_form_makes_no_administrator_of_a_password_that_the_browser_remembers(
    site: Site, new_page: Pages, host: str
) -> None:
    page = new_page(tolerant=True)
    page.set_extra_http_headers(site.people.basic("chief"))
    page.goto("/threads")
    assert "<threads" in page.content()  # It sends the password by itself.
    member = {"username": "mallory", "password": "mallory has come in", "admin": "on"}
    with evil_site(host, f"{site.address}/dashboard/members/add", member) as evil:
        assert press(page, evil) == 403
    with evil_site(host, f"{site.address}/members/chief/groups/acme/samples/count", {}) as evil:
        assert press(page, evil) == 403
    assert {each.username for each in site.people.directory.members()} == set(site.people.members)
    with site.client("chief") as client:
        assert client.threads("acme").total == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_sites_form_does_nothing_with_a_session(site: Site, new_page: Pages, host: str) -> None:
    page = new_page(tolerant=True)
    sign_in(page, site, "chief")
    token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    with evil_site(host, f"{site.address}/dashboard/groups", {"csrf_token": token, "group": "mallory"}) as evil:
        assert press(page, evil) == 403
    assert {group.name for group in site.people.directory.groups()} == {"acme", "other"}


def test_another_site_signs_nobody_in(site: Site, new_page: Pages) -> None:
    page = new_page(tolerant=True)
    page.goto("/sign-in")
    token = page.locator("input[name=csrf_token]").get_attribute("value") or ""
    form = {"csrf_token": token, "username": "loner", "password": PASSWORD}
    with evil_site("127.0.0.1", f"{site.address}/sign-in", form) as evil:
        assert press(page, evil) == 403
    page.goto("/dashboard/groups")
    assert "/sign-in" in page.url


def test_a_service_that_a_person_opens_leads_to_the_sign_in_and_back(site: Site, new_page: Pages) -> None:
    page = new_page(tolerant=True)
    page.goto("/threads")
    assert page.url == f"{site.address}/sign-in?next={site.path}/threads"
    page.locator("input[name=username]").fill("chief")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/threads", wait_until="domcontentloaded")
    assert "<threads" in page.content()


def test_a_form_that_needs_a_proof_is_kept_until_its_member_has_given_it(
    config: Config, people: People, chromium: Browser
) -> None:
    with serving(replace(config, session_proof=1), people, workers=0) as site:
        pages = Pages(chromium, site.address)
        page = pages(tolerant=True)
        sign_in(page, site, "chief")
        signed_in = time.time()
        page.goto("/dashboard/members/loner")
        page.get_by_text("Create a token").click()
        page.locator("#token-name").fill("laptop")
        page.locator("#reason-tokens").fill("For the <laptop>")
        wait_for(lambda: time.time() - signed_in > 2)
        page.get_by_role("button", name="Create token").click()
        page.get_by_role("heading", name="Confirm that it is you").wait_for()
        assert axe(page) == []
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("it is not shown again").wait_for()
        assert {token.name for token in people.directory.tokens(people.members["loner"])} == {"laptop", "test"}
        pages.close()
