"""Addresses are made in one way, `url_for` and `here`, so that all lead below the path that a proxy shows."""

from __future__ import annotations

import re

import pytest

from tests.support.checkout import ROOT

FORBIDDEN = {
    "*.html": re.compile(
        r"""\b(?:href|action|formaction|src|hx-(?:get|post)|data-stream)=["']?/|\brequest\.(?:path|full_path|url)\b"""
    ),
    "*.js": re.compile(r"""["'`]/[A-Za-z]"""),
    "*.py": re.compile(r"""\bredirect\(f?["']/|\brequest\.full_path\b|\bLocation"\] = f?["']/"""),
}
FOLDERS = {
    "*.html": ROOT / "templates",
    "*.js": ROOT / "psthreads" / "web" / "static",
    "*.py": ROOT / "psthreads" / "web",
}
THE_ONE_WAY = ROOT / "psthreads" / "web" / "http" / "routing.py"


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_address_is_made_by_hand(kind: str) -> None:
    files = [file for file in FOLDERS[kind].rglob(kind) if "vendor" not in file.parts and file != THE_ONE_WAY]
    assert files
    by_hand = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if FORBIDDEN[kind].search(line)
    ]
    assert by_hand == []
