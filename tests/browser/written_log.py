"""A log that a test writes while a browser looks at it, and what the browser then shows of it."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import requests
from playwright.sync_api import Page, expect

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.store import ThreadStore
from tests.support.waiting import wait_for
from tests.system import stack

MOMENT = 1_652_616_000_000


@dataclass
class Log:
    """A running thread of group acme whose log the test writes, and a browser that looks at it."""

    store: ThreadStore
    thread: str
    reports: int = 0
    total: int = 0

    def write(self, *lines: str | Line) -> int:
        """Write lines; gives the number of the last one."""
        self.reports += 1
        made = [line if isinstance(line, Line) else Line(MOMENT, Level.INFO, line) for line in lines]
        self.store.report(self.thread, "t", Report(self.reports, lines=tuple(made)))
        self.total = self.store.log(self.thread, 1, 1).total
        return self.total

    def many(self, count: int) -> int:
        """Write that many lines; gives the number of the last one."""
        for begin in range(0, count, 100):
            self.write(*(f"line {number}" for number in range(begin, min(begin + 100, count))))
        return self.total

    def end(self) -> None:
        self.store.finish(self.thread, "t", Outcome(Status.COMPLETED, "All done"))

    def address(self, query: str = "") -> str:
        return f"/dashboard/threads/{self.thread}/log{query}"


@dataclass
class Webs:
    """Web processes of the site, one after the other."""

    config: Config
    running: ExitStack | None = None

    def start(self) -> None:
        self.running = ExitStack()
        self.running.enter_context(stack.web(self.config))

        def answers() -> bool:
            with suppress(requests.RequestException):
                return requests.get(f"http://127.0.0.1:{self.config.port}/healthz", timeout=5).ok
            return False

        wait_for(answers)

    def stop(self) -> None:
        if self.running is not None:
            self.running.close()
        self.running = None


def numbers(page: Page) -> list[int]:
    found: list[int] = page.eval_on_selector_all("#log tr[id]", "rows => rows.map(row => Number(row.id.slice(1)))")
    return found


def shows(page: Page, number: int) -> Any:
    return expect(page.locator(f"#L{number}"))


def is_whole(page: Page) -> bool:
    """Whether the lines on the page are in order, without a gap or a double."""
    found = numbers(page)
    return found == list(range(found[0], found[0] + len(found)))


def distance(page: Page) -> float:
    """How far the end of the log is below what is in view, in pixels."""
    away: float = page.eval_on_selector("#log", "box => box.scrollHeight - box.clientHeight - box.scrollTop")
    return away


def top_of(page: Page, number: int) -> float:
    top: float = page.eval_on_selector(f"#L{number}", "row => row.getBoundingClientRect().top")
    return top


def scroll_up(page: Page) -> None:
    page.locator("#log").hover()
    page.mouse.wheel(0, -600)
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")


def numbers_of(page: Page) -> list[int]:
    """As `numbers`, without a script of the page."""
    return [int(str(row.get_attribute("id"))[1:]) for row in page.locator("#log tbody tr[id]").all()]


def select(page: Page, first: int, last: int) -> str:
    """Select the text of some lines; gives it."""
    page.evaluate(
        """([from, to]) => {
            const range = document.createRange();
            range.setStart(document.getElementById('L' + from).lastElementChild.firstChild, 0);
            range.setEnd(document.getElementById('L' + to).lastElementChild.firstChild, 4);
            getSelection().removeAllRanges();
            getSelection().addRange(range);
        }""",
        [first, last],
    )
    return selected(page)


def selected(page: Page) -> str:
    """What is selected."""
    return str(page.evaluate("String(getSelection())"))
