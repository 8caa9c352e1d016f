"""Paths and names of documents: which are accepted, and how a message shows them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from psthreads.domain.errors import UnsafePath

MAX_PATH: Final = 4_096
"""The longest path of a document, in characters."""

MAX_NAME: Final = 255
"""The longest name of a new document or folder, in bytes of UTF-8: the limit of file systems."""

MAX_DEPTH: Final = 64
"""The most folders that something new may be below."""

TEMPORARY: Final = ".psthreads-"
"""The prefix of the name of a file that is still being written."""

# Lone surrogates: Python's form of the bytes of a name that is not UTF-8.
FORBIDDEN: Final = re.compile("[\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""The characters that no name of a document or of a result may contain."""

PLAIN: Final = re.compile("[^./\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff][^/\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]*\\Z")
"""A name that needs no further check."""

FORBIDDEN_NAME: Final = "its name contains a backslash, a control character or bytes that are not UTF-8"
_PRINTED: Final = 200  # characters


def printable(text: str) -> str:
    """Return a path or name for a message: shortened, and with forbidden characters replaced."""
    return FORBIDDEN.sub("\ufffd", text if len(text) <= _PRINTED else f"{text[:_PRINTED]}…")


def composed(text: str) -> str:
    """Return a path or name with its letters composed, as keyboards write them; macOS takes them apart."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def forms_of(name: str) -> tuple[str, ...]:
    """Return the forms of a name that look the same: as it is, composed, and taken apart."""
    return tuple(dict.fromkeys((name, composed(name), unicodedata.normalize("NFD", name))))


def names_of(path: str) -> list[str]:
    """Split a path into its names, without empty ones and "."; raises UnsafePath if it is invalid or leads outside."""
    if len(path) > MAX_PATH:
        raise UnsafePath(printable(path), f"it is longer than {MAX_PATH:,} characters")
    if FORBIDDEN.search(path):
        raise UnsafePath(printable(path), FORBIDDEN_NAME)
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise UnsafePath(path, "'..' would leave the folder")
    if TEMPORARY in path and any(name.startswith(TEMPORARY) for name in names):
        raise UnsafePath(path, f"names that start with '{TEMPORARY}' are for files that are being written")
    return names


def normal_of(path: str) -> tuple[list[str], str]:
    """Return the names in a path, and its normal form. Raises UnsafePath."""
    names = names_of(path)
    return names, "/" + "/".join(names)


def new_names_of(path: str) -> list[str]:
    """Split the path of something new, as `names_of`; also raises UnsafePath for a long name or many folders."""
    names = names_of(path)
    if len(names) > MAX_DEPTH + 1:
        raise UnsafePath(printable(path), f"it is in more than {MAX_DEPTH} folders, one in another")
    if len(path.encode()) > MAX_NAME and any(len(name.encode()) > MAX_NAME for name in names):
        raise UnsafePath(printable(path), f"a name in it is longer than {MAX_NAME} bytes")
    return names
