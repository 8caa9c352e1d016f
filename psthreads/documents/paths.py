"""Paths and names of documents: which are accepted, and how a message shows them."""

from __future__ import annotations

import re
from typing import Final

from psthreads.domain.errors import UnsafePath

MAX_PATH: Final = 4_096
"""The longest path of a document, in characters."""

MAX_NAME: Final = 255
"""The longest name of a document or folder that can be written, in bytes of UTF-8: file systems take no longer one."""

TEMPORARY: Final = ".psthreads-"
"""How the name of a file starts that is still being written."""

# Lone surrogates are how Python shows the bytes of a name that is not UTF-8.
NEVER: Final = re.compile("[\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What is in no name of a document or of a result."""

PLAIN: Final = re.compile("[^./\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff][^/\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]*\\Z")
"""A name that needs no closer look."""

ODD_NAME: Final = "its name holds a backslash, a control character or what is not UTF-8"
_SHOWN: Final = 200  # characters


def shown(text: str) -> str:
    """A path or name as a message may show it: cut, and without what is in no name."""
    return NEVER.sub("\ufffd", text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def names_of(path: str) -> list[str]:
    """The names in a path, without those that say nothing; raises UnsafePath for what is no path, or leads outside."""
    if len(path) > MAX_PATH:
        raise UnsafePath(shown(path), f"it is longer than {MAX_PATH:,} characters")
    if NEVER.search(path):
        raise UnsafePath(shown(path), ODD_NAME)
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise UnsafePath(path, "'..' would leave the folder")
    if any(name.startswith(TEMPORARY) for name in names):
        raise UnsafePath(path, f"names that start with '{TEMPORARY}' are for files that are being written")
    return names


def fitting(path: str) -> list[str]:
    """As `names_of`, for what is to be written: raises UnsafePath for a name that no file system takes, too."""
    names = names_of(path)
    if any(len(name.encode()) > MAX_NAME for name in names):
        raise UnsafePath(shown(path), f"a name in it is longer than {MAX_NAME} bytes")
    return names
