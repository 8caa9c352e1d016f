"""The blocks of code in the docs."""

from __future__ import annotations

import re


def block_of(page: str, marker: str) -> str:
    """The fenced block of a page that stands below this marker."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None, marker
    return found[1]
