"""Keys of documents and zones, and the names that a key can have.

A folder is there where an object is below it, or its own: an empty one that stands for a folder without documents.
"""

from __future__ import annotations

import re
from typing import Final

from psthreads.documents.paths import FORBIDDEN, FORBIDDEN_NAME, MAX_PATH, TEMPORARY, printable
from psthreads.domain.errors import UnsafePath

FOLDER: Final = f"{TEMPORARY}folder"
"""The name of the object that stands for a folder without documents."""

# S3 lists keys as XML 1.0, which has none of these; control characters are refused everywhere.
_NO_XML: Final = re.compile("[\ufffe\uffff]")
_LONGEST_KEY: Final = 1_000  # bytes; S3 takes 1,024, some of which the prefix and the group need


def key_of(root: str, names: list[str]) -> str:
    """Return the key of what has these names below a root, or of the root itself."""
    return "/".join((root, *names))


def check_key(path: str, names: list[str]) -> None:
    """Raise UnsafePath for the path of something new that the store cannot have."""
    if _NO_XML.search(path):
        raise UnsafePath(printable(path), "it has a character that XML cannot have")
    if len("/".join(names).encode()) > _LONGEST_KEY:
        raise UnsafePath(printable(path), f"it is longer than {_LONGEST_KEY:,} bytes, the limit of object stores")


def objection(path: str) -> str:
    """Return why a walk leaves out an object with this path; a blank where it is nobody's business; empty if not."""
    if TEMPORARY in path and any(name.startswith(TEMPORARY) for name in path.split("/")):
        return " "
    if FORBIDDEN.search(path):
        return FORBIDDEN_NAME
    if len(path) > MAX_PATH:
        return f"its path is longer than {MAX_PATH:,} characters"
    return ""
