"""What a stylesheet makes of a document: its output, and further results in the folder of that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from psthreads.processes.xml.parsing import plain

LARGEST_OUTPUT: Final = 64 * 1024 * 1024
"""The bytes of one document's output with its further results, at most."""

ENDINGS: Final = {"html": ".html", "xhtml": ".html", "text": ".txt"}
"""The extensions by output method; all others are `.xml`."""

_MOST_RESULTS: Final = 2_000  # of one document
_LONGEST_NAME: Final = 1_000
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\\]")


class NotTransformed(Exception):
    """A document cannot be transformed. The text is the reason."""


@dataclass(frozen=True, slots=True)
class Output:
    """A document's output, the extension for its name, and the stylesheet's messages.

    `results` are further results, by their paths relative to the folder of the document. The output is empty where the
    stylesheet wrote these alone.
    """

    content: bytes
    ending: str
    messages: list[str]
    results: Mapping[str, bytes] = field(default_factory=dict)


class FurtherResults:
    """Collects the further results of one document; raises NotTransformed for one that may not be."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._left = LARGEST_OUTPUT

    def add(self, address: str, content: bytes) -> None:
        """Add a result at an address relative to the document's own."""
        path = _inside(address)
        if path in self.contents:
            raise NotTransformed(f"the stylesheet writes '{plain(address)}' twice")
        self._left -= len(content)
        if self._left < 0 or len(self.contents) >= _MOST_RESULTS:
            size = LARGEST_OUTPUT // 1024 // 1024
            raise NotTransformed(f"its results are more than {_MOST_RESULTS:,}, or larger than {size} MiB")
        self.contents[path] = content


def _inside(address: str) -> str:
    """Return the path of a result relative to the folder; raises NotTransformed if it leads out of that."""
    try:
        split = urlsplit(address)
    except ValueError:
        raise NotTransformed(f"the stylesheet writes '{plain(address)}', which is not an address") from None
    path = unquote(split.path)
    names = [name for name in path.split("/") if name != "."]
    is_outside = split.scheme or split.netloc or path.startswith("/") or ".." in names
    if is_outside:
        raise NotTransformed(
            f"the stylesheet writes '{plain(address)}', which is not in the folder of its result: name a path below it"
        )
    if not all(names) or not names or len(path) > _LONGEST_NAME or _UNSAFE.search(path):
        raise NotTransformed(f"the stylesheet writes '{plain(address)}', which cannot be the name of a file")
    return "/".join(names)
