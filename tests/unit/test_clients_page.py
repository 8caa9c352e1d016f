"""The page of clients: each cell of its tables names a test that there is, or says that there is no counterpart."""

from __future__ import annotations

import re

from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "clients.md"
ACTIONS = ["sign in", "start", "follow", "cancel", "log", "fetch a result"]
CELL = re.compile(r'\[tested\]\((\S+) "(test_\w+)"\)')


def test_every_cell_of_the_page_of_clients_is_a_test_or_has_no_counterpart() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line[:1] == "|"
    ]
    heads = [row for row in rows if row[0] == "client"]
    assert heads
    assert all(row[1:] == ACTIONS for row in heads)
    for name, *cells in rows:
        if name in {"client", "---"}:
            continue
        assert len(cells) == len(ACTIONS), name
        for action, cell in zip(ACTIONS, cells, strict=True):
            if not cell.startswith("no counterpart"):
                match = CELL.match(cell)
                assert match, (name, action)
                assert f"def {match[2]}(" in (PAGE.parent / match[1]).read_text(), (name, action)
