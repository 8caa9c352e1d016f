"""The audit is found again, read in parts, and written into files as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from functools import partial
from typing import Any

import pytest
from redis import Redis

from psthreads.audit.entries import FIELDS, KEY, SCANNED, Audit, AuditEntry, AuditQuery, Origin
from psthreads.audit.export import pieces
from psthreads.authoring.parameter import read_timestamp
from psthreads.domain.config import Config
from psthreads.domain.errors import BadParameter, NotSignedIn
from psthreads.identity.directory import Directory
from tests.support.command_line import operate
from tests.support.people import People

CHIEF = Origin("chief", 10, "192.0.2.7", "Ticket 4711")
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1+1",
    '";=1',
    'a","=1',
    "a\n=1",
    "x;=cmd|'/C calc'!A0;",
    "x; =1",
    "x\t@SUM(A1)",
    "x|-1",
    'x;"=1',
    "<b>",
]


@pytest.fixture
def audit(redis: Redis) -> Audit:
    return Audit(redis)


# Finding and paging.


def fill(redis: Redis, number: int) -> None:
    """So many entries of 1970, one each second, of four members in two groups."""
    with redis.pipeline(transaction=False) as pipeline:
        for at in range(number):
            act = ("role.set", "session.end", "session.end-all", "thread.start")[at % 4]
            values = (act, f"by{at % 4}", str(at % 4), "", f"thing{at}", str(at), str(at % 2), f"g{at % 2}", "", "")
            pipeline.xadd(KEY, dict(zip(FIELDS, values, strict=True)), id=f"{1000 + at * 1000}-0")
        pipeline.execute()


def paged(audit: Audit, wanted: AuditQuery, size: int = 50) -> tuple[list[AuditEntry], int]:
    """All entries as pages give them, and on how many pages."""
    found: list[AuditEntry] = []
    before, pages = "", 0
    while True:
        page = audit.page(wanted, before, size)
        found += page.entries
        pages += 1
        assert len(page.entries) <= size
        if not (before := page.before):
            return found, pages


def test_pages_and_the_export_give_the_same_newest_first_and_nothing_twice(redis: Redis, audit: Audit) -> None:
    fill(redis, 5_000)
    every = list(audit.export(AuditQuery()))
    assert len(every) == 5_000
    for query in (
        AuditQuery(),
        AuditQuery(by="BY1"),
        AuditQuery(by="1"),
        AuditQuery(act="session"),
        AuditQuery(act="session.end"),
        AuditQuery(group="G1"),
        AuditQuery(group="1", act="thread"),
        AuditQuery(subject="thing4999"),
        AuditQuery(subject="12"),
        AuditQuery(since=2_000_000, until=3_000_000),
        AuditQuery(since=2_000_500, by="by3"),
        AuditQuery(until=1_500_000, act="role.set"),
        AuditQuery(act="no"),
        AuditQuery(since=10**12),
    ):
        expected = [
            entry
            for entry in every
            if query.matches(entry) and query.since <= entry.time and (not query.until or entry.time < query.until)
        ]
        entries, pages = paged(audit, query)
        assert entries == list(audit.export(query)) == expected, query
        assert [entry.time for entry in entries] == sorted((entry.time for entry in entries), reverse=True), query
        assert pages <= 5_000 // SCANNED + 1 + len(expected) // 50, query


def test_an_act_is_found_by_its_kind_or_whole_and_not_by_its_beginning(redis: Redis, audit: Audit) -> None:
    fill(redis, 8)
    assert {entry.act for entry in audit.page(AuditQuery(act="session")).entries} == {"session.end", "session.end-all"}
    assert {entry.act for entry in audit.page(AuditQuery(act="session.end")).entries} == {"session.end"}
    assert audit.page(AuditQuery(act="sess")).entries == ()


def test_a_page_costs_the_same_whatever_is_stored(redis: Redis, audit: Audit) -> None:
    fill(redis, 20_000)

    def cost(wanted: AuditQuery) -> tuple[int, int]:
        redis.config_resetstat()
        page = audit.page(wanted)
        stats: Any = redis.info("commandstats")
        assert page.before
        return stats["cmdstat_xrevrange"]["calls"], len(page.entries)

    assert cost(AuditQuery()) == (1, 50)
    assert cost(AuditQuery(by="nobody")) == (SCANNED // 500, 0)


def test_entries_that_come_meanwhile_move_no_page(redis: Redis, audit: Audit, people: People) -> None:
    redis.delete(KEY)
    fill(redis, 120)
    first = audit.page(AuditQuery())
    Directory(redis, config=Config(audit_retention=10**10)).by(CHIEF).add_group("meanwhile")
    second = audit.page(AuditQuery(), first.before)
    assert [entry.subject for entry in second.entries] == [f"thing{at}" for at in range(69, 19, -1)]


@pytest.mark.parametrize(
    "before", ["x", "1", "1-", "-", "+", "1-1-1", "(1-0", "\u0661-1", "9" * 21 + "-0", " 1-0", "1-0\n"]
)
def test_a_place_that_is_none_is_refused(audit: Audit, before: str) -> None:
    with pytest.raises(BadParameter, match="'before'"):
        audit.page(AuditQuery(), before)


def test_a_moment_is_read_with_and_without_a_zone() -> None:
    assert read_timestamp("since", "") == 0
    assert read_timestamp("since", "1970-01-01") == read_timestamp("since", "0001-01-01") == 1
    assert (
        read_timestamp("since", "2026-01-31T12:00")
        == read_timestamp("since", "2026-01-31T14:00+02:00")
        == 1_769_860_800_000
    )
    for text in ("yesterday", "2026-13-01", "1", "\x00", "9" * 100):
        with pytest.raises(BadParameter, match="is not a time"):
            read_timestamp("since", text)


# As a file.


def test_a_file_has_every_entry_with_every_field(people: People, audit: Audit) -> None:
    entries = list(audit.export(AuditQuery()))
    assert len(entries) > 20
    rows = list(csv.DictReader(io.StringIO("".join(pieces(entries, "csv")))))
    lines = [json.loads(line) for line in "".join(pieces(entries, "jsonl")).splitlines()]
    assert rows == lines
    for row, entry in zip(rows, entries, strict=True):
        assert {name: row[name] for name in FIELDS} == entry.fields()
        assert row["entry"] == entry.id
    assert "".join(pieces([], "csv")) == ",".join(f'"{name}"' for name in ("entry", "time", *FIELDS)) + "\r\n"
    assert "".join(pieces([], "jsonl")) == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_spreadsheet_is_a_formula(redis: Redis, audit: Audit, text: str) -> None:
    redis.xadd(KEY, dict.fromkeys(FIELDS, text))
    ((_, *cells),) = list(
        csv.reader(io.StringIO("".join(pieces(list(audit.export(AuditQuery())), "csv"))), strict=True)
    )[1:]
    for cell in cells[1:]:
        assert cell.replace("'", "") == text.replace("'", "")
    # A spreadsheet chooses the separator by its user's language, or splits at all of them.
    for cell in re.split("[,;|\t\r\n]", "".join(pieces(list(audit.export(AuditQuery())), "csv"))):
        assert not cell.strip(' "').startswith(tuple("=+-@\uff1d"))
    (line,) = "".join(pieces(list(audit.export(AuditQuery())), "jsonl")).splitlines()
    assert json.loads(line)["reason"] == text


def test_an_export_is_read_piece_by_piece_and_checked_before_each(redis: Redis, audit: Audit) -> None:
    fill(redis, 5_000)
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 3:
            raise NotSignedIn

    text = pieces(audit.export(AuditQuery()), "jsonl", check)
    redis.config_resetstat()
    got = [next(text), next(text)]
    stats: Any = redis.info("commandstats")
    assert stats["cmdstat_xrevrange"]["calls"] <= 3
    assert [piece.count("\n") for piece in got] == [500, 500]
    with pytest.raises(NotSignedIn):
        next(text)


def test_the_command_line_exports_and_says_who_typed_it(people: People, config: Config) -> None:
    run = partial(operate, config)
    assert run("admin group add news --reason =why").exit_code == 0
    done = run("admin audit export --act group.add --subject NEWS")
    assert (done.exit_code, done.stdout_bytes.count(b"\r\n")) == (0, 2)
    (row,) = csv.DictReader(io.StringIO(done.stdout, newline=""))
    assert row["by"].startswith("console:")
    assert (row["byid"], row["subject"], row["reason"]) == ("", "news", "'=why")
    lines = run("admin audit export --format jsonl --since 2020-01-01 --by setup").stdout
    assert {json.loads(line)["by"] for line in lines.splitlines()} == {"setup"}
    failed = run("admin audit export --until soon")
    assert (failed.exit_code, "is not a time" in failed.stderr) == (1, True)
    unknown = run("admin audit export --act nonsense")
    assert (unknown.exit_code, "'nonsense' is not one of" in unknown.stderr) == (2, True)
    assert len(run("admin audit export --act group").stdout.splitlines()) > 2
