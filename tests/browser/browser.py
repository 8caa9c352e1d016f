"""A real browser for the tests: headless Chromium, a site that is really served, and what goes wrong on its pages.

The fixtures `site`, `new_page` and `page` of conftest.py are made of this.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import requests
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from psthreads.authoring.plugins import load
from psthreads.client import Client, Download
from psthreads.domain.config import Config
from tests.support.machine import find_browser
from tests.support.nginx import nginx
from tests.support.people import PASSWORD, People
from tests.support.waiting import wait_for
from tests.system import stack

Scheme = Literal["light", "dark"]

_QUIT_SECONDS = 2.0

ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
STANDARDS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")
# Chromium says in words on its console what was refused, but only this event tells by which directive. And whoever
# gets a page to run a script makes it call alert().
_TELLING = """
addEventListener("securitypolicyviolation", event =>
    console.error(`${event.effectiveDirective} of the policy forbids ${event.blockedURI}`))
window.alert = text => console.error(`alert: ${text}`)
"""


@contextmanager
def launched() -> Iterator[Browser]:
    """The installed browser, without a window; raises Missing where there is none."""
    path = find_browser()
    # As long as Playwright waits elsewhere: the machine may be busy with other tests.
    expect.set_options(timeout=30_000)
    # Its sandbox is off, as Playwright has it: root cannot use it, and all that is looked at are pages of ours.
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=ARGUMENTS) as browser,
    ):
        yield browser


# The site.


@dataclass(frozen=True)
class Site:
    """A site that is served by real processes, and its members."""

    config: Config
    people: People
    address: str
    certificate: Path | None = None  # of the nginx before it

    @property
    def path(self) -> str:
        """The path below which the site is shown, without a slash at the end."""
        return urlsplit(self.address).path

    def client(self, name: str) -> Client:
        """A client that speaks for the member; a context manager."""
        return Client(self.address, token=self.people.token(name), member=name, certificate=str(self.certificate or ""))

    def start(self, process: str, *, by: str = "manager", group: str | None = "acme", **values: Any) -> str:
        """Start a process over HTTP, by the name of its function; gives the thread's id."""
        found = load(self.config.processes).find(process)
        assert found is not None, f"There is no process {process}"
        with self.client(by) as client:
            started = client.start(process, group, route=found.route, **values)
        assert not isinstance(started, Download)
        return started.id


@contextmanager
def serving(config: Config, people: People, *, workers: int | None = None) -> Iterator[Site]:
    """The site, once its web process answers, with as many worker processes as said there or here.

    With BEHIND=nginx in the environment, it is seen through nginx, TLS and a path.
    """
    site = Site(config, people, f"http://{config.host}:{config.port}")
    with ExitStack() as programs:
        if os.environ.get("BEHIND") == "nginx":
            config = replace(config, proxies=1)
            site = Site(config, people, *programs.enter_context(nginx(config.port)))
        web = programs.enter_context(stack.web(config))
        for _ in range(config.workers if workers is None else workers):
            programs.enter_context(stack.worker(config))

        process = web.process
        assert process is not None

        def answers() -> bool:
            assert process.poll() is None, "The web process ended by itself"
            with suppress(requests.RequestException):
                return requests.get(f"http://{config.host}:{config.port}/healthz", timeout=5).ok
            return False

        wait_for(answers)
        try:
            yield site
        finally:
            # Killed, it would leave an orphan, and how long those take to be gone is up to the system.
            process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_QUIT_SECONDS)


def sign_in(page: Page, site: Site, name: str, following: str = "") -> None:
    """Sign the member in by the form, which leads on to this path, or to the start page."""
    page.goto(f"{site.address}/sign-in" + (f"?next={site.path}{following}" if following else ""))
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/sign-in" not in url, wait_until="domcontentloaded")


# The pages.


class Pages:
    """Gives fresh pages, each in a context of its own: cookies, viewport and colours are not shared."""

    def __init__(self, chromium: Browser, address: str) -> None:
        self._chromium = chromium
        self._address = address
        self._watched: list[Page] = []
        self._contexts: list[BrowserContext] = []

    def __call__(
        self,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: Scheme = "light",
        still: bool = True,
        javascript: bool = True,
        tolerant: bool = False,
        timezone: str = "UTC",
    ) -> Page:
        """A page for which paths begin at the site.

        `still` asks for no movement, as some people do. What `problems` would find at the end of the test
        fails it, unless it is `tolerant`.
        """
        context = self._chromium.new_context(
            base_url=self._address,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce" if still else "no-preference",
            java_script_enabled=javascript,
            ignore_https_errors=True,
            locale="en-GB",
            timezone_id=timezone,
        )
        self._contexts.append(context)
        _watch(context, self._address)
        page = context.new_page()
        visit = page.goto
        # A path begins at the site, not at its host.
        page.goto = lambda url, **options: visit(self._address + url if url.startswith("/") else url, **options)  # type: ignore[method-assign]
        if not tolerant:
            self._watched.append(page)
        return page

    def close(self) -> None:
        """Close all of them; fails the test for problems that nobody asked for."""
        left = [problem for page in self._watched for problem in problems(page)]
        for context in self._contexts:
            context.close()
        assert left == []


_FOUND: WeakKeyDictionary[BrowserContext, list[str]] = WeakKeyDictionary()


def problems(page: Page) -> list[str]:
    """What went wrong since the last call, on this page and others of its context.

    Errors and warnings on the console, errors of scripts, what the policy forbade, requests that failed or
    were refused, and requests to other places.
    """
    if not page.is_closed():
        # What the browser told before its answer has been heard when the answer comes.
        with suppress(Error):
            page.evaluate("0")
    found = _FOUND[page.context]
    taken = found.copy()
    found.clear()
    return taken


def _watch(context: BrowserContext, address: str) -> None:
    found = _FOUND[context] = []

    def console(message: ConsoleMessage) -> None:
        # What the browser itself says of an answer is told below, with its status.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            found.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def asked(request: Request) -> None:
        if not request.url.startswith((f"{address}/", "data:", "blob:")):
            found.append(f"asked elsewhere: {request.method} {request.url}")

    def failed(request: Request) -> None:
        # Leaving a page ends its streams, and a download is taken over from the page.
        if request.failure != "net::ERR_ABORTED":
            found.append(f"failed: {request.method} {request.url}: {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            found.append(f"refused: {response.request.method} {response.url}: {response.status}")

    context.on("console", console)
    context.on("weberror", lambda error: found.append(f"script: {error.error}"))
    context.on("request", asked)
    context.on("requestfailed", failed)
    context.on("response", answered)
    context.add_init_script(_TELLING)


# Access for everybody.


def axe(page: Page, within: str = ":root") -> list[str]:
    """Where the page, or what this selector finds in it, violates WCAG 2.1 A and AA or axe-core's best practices.

    The page's scripts must be on. Each element is told by itself: the rule, its place, its HTML and what to do.
    """
    # The protocol of the browser's developer tools puts it there, whatever the page's policy says.
    page.evaluate(_axe_core())
    options = {"runOnly": {"type": "tag", "values": STANDARDS}, "resultTypes": ["violations"]}
    results = page.evaluate("([within, options]) => axe.run(within, options)", [within, options])
    return [
        f"{rule['id']} ({node['impact']}): {rule['help']}: {' '.join(map(str, node['target']))}: {node['html']}\n"
        f"{node['failureSummary']}"
        for rule in results["violations"]
        for node in rule["nodes"]
    ]


@cache
def _axe_core() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()
