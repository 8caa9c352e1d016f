"""The blocks of code in the docs."""

from __future__ import annotations

import re


def block_of(page: str, marker: str) -> str:
    """The fenced block of a page that stands below this marker."""
    block = re.search(rf"^<!-- {re.escape(marker)} -->\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert block is not None, marker
    return block[1]
