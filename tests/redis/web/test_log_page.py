"""The page of a thread's log, as the server makes it: paged, narrowed, jumped in, and never too large."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from html import unescape
from itertools import chain

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.domain.config import Config
from psthreads.domain.model import Level, Line, Outcome, Report, Status
from psthreads.threads.store import ThreadStore
from tests.support.people import People
from tests.support.threads import new_thread

HOSTILE = "<img src=x onerror=alert(1)>\"'&</td></script>"
LIMIT = 60_000
NOON = 1_652_616_000_000


@dataclass
class World:
    """A running thread of group acme, and whoever looks at its log."""

    browser: FlaskClient
    people: People
    store: ThreadStore
    thread: str
    reports: int = 0

    def log(self, *lines: Line | str) -> None:
        self.reports += 1
        made = [line if isinstance(line, Line) else Line(NOON, Level.INFO, line) for line in lines]
        self.store.report(self.thread, "t", Report(self.reports, lines=tuple(made)))

    def get(self, query: str = "", who: str = "chief", group: str = "") -> TestResponse:
        base = f"/dashboard/groups/{group}" if group else "/dashboard"
        headers = self.people.bearer(who)
        return self.browser.get(f"{base}/threads/{self.thread}/log{query}", headers=headers)

    def link(self, page: TestResponse, label: str) -> str | None:
        found = re.search(rf'<a href="[^"?]*(\?[^"]*)?"[^>]*>{label}</a>', page.text)
        return unescape(found[1] or "") if found else None

    def walk(self, query: str, label: str) -> Iterator[list[int]]:
        """The numbers on this page and on all to which the label leads."""
        following: str | None = query
        while following is not None:
            page = self.get(following)
            yield numbers(page)
            following = self.link(page, label)


@pytest.fixture
def world(app: Flask, redis: Redis, store: ThreadStore, people: People) -> World:
    thread_id = store.create(new_thread(redis, group=people.acme, name=HOSTILE))
    assert store.claim(thread_id, "t", "w")
    return World(app.test_client(), people, store, thread_id)


@pytest.fixture
def config(config: Config, request: pytest.FixtureRequest) -> Config:
    return replace(config, **getattr(request, "param", {}))


def numbers(page: TestResponse) -> list[int]:
    return [int(found) for found in re.findall(r'\bid="L(\d+)"', page.text)]


def chained(pages: Iterable[list[int]]) -> list[int]:
    return list(chain.from_iterable(pages))


def first(world: World) -> int:
    """The number of the first line that a test itself logs: accepting and starting are told before it."""
    return world.store.log(world.thread, 1, 1).total + 1


def test_the_end_of_a_log_is_shown_and_every_line_is_reached_both_ways(world: World) -> None:
    world.log(*(f"line {number}" for number in range(1_000)))
    total = world.store.log(world.thread, 1, 1).total
    page = world.get()
    assert numbers(page) == list(range(total - 199, total + 1))
    assert f"Lines {total - 199:,} to {total:,} of {total:,}" in page.text
    assert world.link(page, "Newer") is None
    back = list(world.walk("", "Older"))
    assert chained(reversed(back)) == list(range(1, total + 1))
    assert max(map(len, back)) == 200
    begin = world.link(page, "First")
    assert begin is not None
    assert chained(world.walk(begin, "Newer")) == list(range(1, total + 1))


def test_a_line_is_jumped_to_by_its_number(world: World) -> None:
    world.log(*(f"line {number}" for number in range(1_000)))
    page = world.get("?from=500")
    assert re.findall(r'id="L(\d+)" class="[^"]*here"', page.text) == ["500"]
    # What led to it stands before it.
    assert numbers(page) == list(range(490, 690))
    assert world.get("?from=500", who="contributor", group="acme").status_code == 200
    assert numbers(world.get("?from=1"))[0] == 1
    total = world.store.log(world.thread, 1, 1).total
    assert numbers(world.get(f"?from={total}"))[-1] == total
    assert numbers(world.get("?from=99999999"))[-1] == total


def test_lines_are_narrowed_by_level_and_text_and_the_address_keeps_both(world: World) -> None:
    begin = first(world)
    for number in range(300):
        level = (Level.INFO, Level.WARN, Level.ERROR)[number % 3]
        world.log(Line(NOON, level, f"Straße {'A' if number % 2 else 'b'} {number}"))
    assert numbers(world.get("?level=ERROR")) == list(range(begin + 2, begin + 300, 3))
    # In any case of letters, and a form's empty fields mean nothing.
    both = world.get("?level=WARN&text=STRASSE+a&from=")
    assert numbers(both) == []
    assert "No line in this range matches." in both.text
    both = world.get("?level=WARN&text=straße+a&from=")
    assert numbers(both) == [begin + number for number in range(300) if number % 3 and number % 2]
    assert 'value="straße a"' in both.text
    assert '<option value="WARN" selected>' in both.text
    latest = world.link(both, "Latest")
    assert latest == "?level=WARN&text=stra%C3%9Fe+a"


def test_a_narrowed_page_looks_at_5000_lines_and_offers_to_go_on(world: World) -> None:
    begin = first(world)
    for piece in range(0, 12_000, 1_000):
        world.log(*(f"{'needle' if number % 700 == 0 else 'hay'} {number}" for number in range(piece, piece + 1_000)))
    total = world.store.log(world.thread, 1, 1).total
    needles = [begin + number for number in range(0, 12_000, 700)]
    page = world.get("?text=needle")
    assert numbers(page) == [number for number in needles if number > total - 5_000]
    assert f"of lines {total - 4_999:,} to {total:,} match; {total:,} lines in total" in page.text
    assert chained(reversed(list(world.walk("?text=needle", "Older")))) == needles
    assert chained(world.walk("?text=needle&after=0", "Newer")) == needles
    # Many matches are paged like everything else.
    assert chained(reversed(list(world.walk("?text=hay", "Older")))) == sorted(
        set(range(begin, begin + 12_000)) - set(needles)
    )
    assert numbers(world.get(f"?text=needle&from={begin + 1}"))[0] == begin + 700


@pytest.mark.parametrize("config", [{"log_events": 1_000}], indirect=True)
@pytest.mark.parametrize("query", ["", "?text=line+1", "?level=ERROR"])
def test_lines_that_are_gone_are_told_by_their_own_line_and_passed_over(world: World, query: str) -> None:
    for piece in range(0, 9_000, 500):
        world.log(*(f"line {number}" for number in range(piece, piece + 500)))
    whole = world.store.log(world.thread, 1, 2_000)
    (gap,) = [event for event in whole.events if "lines are gone" in event.message]
    assert gap.seq > 8_000
    wanted = [
        event.seq
        for event in whole.events
        if event is gap or (query != "?level=ERROR" and ("line 1" in event.message or not query))
    ]
    back = list(world.walk(query, "Older"))
    assert chained(reversed(back)) == wanted
    assert len(back) <= 7
    on = "&" if query else "?"
    assert chained(world.walk(f"{query}{on}after=0", "Newer")) == wanted
    # Who jumps to a line that is gone learns so.
    assert gap.seq in numbers(world.get("?from=5000"))
    assert "lines are gone from here" in world.get("?from=5000").text
    assert "lines are gone from here" in world.get("?from=5000&whole=true").text


def test_what_a_line_says_is_shown_and_does_nothing(world: World) -> None:
    world.log(HOSTILE, "\u202e\u05e9\u05dc\u05d5\u05dd", "{{ 7 * 7 }}", "a\nb")
    for query in ("", "?text=%3Cimg", f"?from={first(world) - 4}&whole=true"):
        page = world.get(query)
        assert "<img" not in page.text.replace('<img src="/static/icon.svg"', "")
        assert "&lt;img src=x onerror=alert(1)&gt;" in page.text
    text = world.get("?text=" + HOSTILE.replace("&", "%26").replace("<", "%3C").replace('"', "%22")).text
    assert "\"'&" not in text
    assert numbers(world.get("?text=7+*+7")) == [first(world) - 2]


def test_a_traceback_is_for_administrators_alone_and_cannot_be_sought_by_others(world: World) -> None:
    world.log(Line(NOON, Level.ERROR, "ValueError: Bad things", "Traceback of secret.py, line 1"))
    number = first(world) - 1
    assert "secret.py" in world.get().text
    assert numbers(world.get("?text=SECRET.py")) == [number]
    for query in ("", f"?from={number}&whole=true", "?text=things"):
        page = world.get(query, who="contributor", group="acme")
        assert "ValueError: Bad things" in page.text
        assert "secret.py" not in page.text
    assert numbers(world.get("?text=secret.py", who="contributor", group="acme")) == []


@pytest.mark.parametrize("text", ["&" * 16_000, "漢" * 16_000, "x" * 16_000, "<\n" * 8_000, "short"])
def test_a_page_stays_small_whatever_its_lines_are(world: World, text: str) -> None:
    for _ in range(12):
        world.log(*(Line(NOON, Level.ERROR, text, text) for _ in range(20)))
    page = world.get("?level=ERROR&text=" + text[:1].replace("&", "%26"))
    assert numbers(page)
    for query in ("", "?from=50", "?after=0", "?level=WARN"):
        page = world.get(query)
        assert len(page.data) < LIMIT
        assert numbers(page)
    total = world.store.log(world.thread, 1, 1).total
    assert chained(reversed(list(world.walk("", "Older")))) == list(range(1, total + 1))
    assert chained(world.walk("?after=0", "Newer")) == list(range(1, total + 1))


def test_a_long_line_is_cut_and_leads_to_all_of_its_text(world: World) -> None:
    text = f"begin {'middle ' * 1_000}end"
    world.log(text)
    page = world.get()
    assert "begin middle" in page.text
    assert text not in page.text
    whole = world.link(page, "full line")
    assert whole == f"?from={first(world) - 1}&whole=true"
    page = world.get(whole)
    assert text in page.text
    assert numbers(page) == [first(world) - 1]
    world.log(Line(NOON, Level.INFO, "&" * 16_000, "&" * 16_000))
    page = world.get(f"?from={first(world) - 1}&whole=true")
    assert "the download has the full text" in page.text
    assert len(page.data) < LIMIT


def test_lines_of_another_day_say_which(world: World) -> None:
    day = 86_400_000
    world.log(*(Line(NOON + offset, Level.INFO, "x") for offset in (0, 1, day, day + 1)))
    assert re.findall(r'scope="rowgroup">([\d-]+)<', world.get().text)[-2:] == ["2022-05-15", "2022-05-16"]


@pytest.mark.parametrize(
    ("who", "group", "status"),
    [
        ("anonymous", "", 302),
        ("chief", "", 200),
        ("manager", "", 403),
        ("contributor", "acme", 200),
        ("chief", "acme", 200),
        ("reviewer", "acme", 403),
        ("outsider", "acme", 403),
        ("outsider", "other", 404),
    ],
)
def test_a_log_is_seen_by_those_who_may_see_its_thread(world: World, who: str, group: str, status: int) -> None:
    world.log("of acme")
    page = world.get(who=who, group=group)
    assert page.status_code == status
    assert ("of acme" in page.text) == (status == 200)


def test_a_groups_page_leads_to_nothing_of_the_servers(world: World) -> None:
    world.log(*("x" * 300 for _ in range(500)))
    page = world.get("?from=100", who="contributor", group="acme")
    addresses = re.findall(r'(?:href|action|data-stream|data-logs|hx-get)="(/[^"]*)"', page.text)
    assert any("/events" in address for address in addresses)
    assert any("/logs/download" in address for address in addresses)
    elsewhere = ("/static/", "/dashboard/groups", "/groups/acme/", "/sign-out")
    for_everybody = ["/", "/dashboard/account", "/api"]
    assert [address for address in addresses if not address.startswith(elsewhere)] == for_everybody


@pytest.mark.parametrize("query", ["?from=x", "?from=-1", "?level=LOUD", "?whole=perhaps", "?text=" + "x" * 201])
def test_a_wrong_parameter_is_told_by_name(world: World, query: str) -> None:
    page = world.get(query)
    assert (page.status_code, page.mimetype) == (400, "text/html")
    assert f"&#39;{query[1:].partition('=')[0]}&#39;" in page.text


def test_only_a_thread_that_runs_has_a_stream_and_only_the_end_of_its_log_grows(world: World) -> None:
    world.log(*("x" for _ in range(500)))
    total = world.store.log(world.thread, 1, 1).total
    page = world.get("?level=INFO")
    assert f'events?level=INFO&amp;from={total + 1}"' in page.text
    assert f'data-next="{total + 1}"' in page.text
    for query in ("?from=400", "?after=0", "?before=100"):
        assert "data-next" not in world.get(query).text
        assert f'events?from={total + 1}"' in world.get(query).text
    world.store.finish(world.thread, "t", Outcome(Status.COMPLETED, "Done"))
    assert "data-stream" not in world.get().text


def test_a_refresh_of_the_pages_head_reads_no_line(world: World) -> None:
    world.log("a line")
    headers = {**world.people.bearer("chief"), "HX-Request": "true"}
    page = world.browser.get(f"/dashboard/threads/{world.thread}/log?text=line", headers=headers)
    assert 'id="now"' in page.text
    assert "a line" not in page.text
    assert "<html" not in page.text
    assert len(page.data) < 2_000
