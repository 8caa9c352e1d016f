"""The names of result files, and the file that a process writes.

A result's name contains the id of its thread: that decides who may download it, and when it is removed.
"""

from __future__ import annotations

import mimetypes
import os
import re
from io import BufferedRandom, FileIO
from typing import Final

from psthreads.documents.paths import FORBIDDEN, printable
from psthreads.domain.errors import UnsafePath

MAX_FILENAME: Final = 200
"""The longest name of a result file, in bytes of UTF-8, including the thread's id."""

_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


class ResultFile(BufferedRandom):
    """A file that is being written: binary and seekable. It gets its name, `filename`, when it is complete."""

    filename = ""

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self._owner = os.getpid()

    @property
    def is_forked(self) -> bool:
        """True in an operating system process that was forked from the one that opened the file."""
        return self._owner != os.getpid()

    def close(self) -> None:
        """Write what is in the buffer, and close the file; in a fork, leave the buffer to the process that owns it."""
        if not self.closed and self.is_forked:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno(), inheritable=False)
            os.close(nothing)
        super().close()


def owner(filename: str) -> str | None:
    """Return the id of the thread that a file's name contains, or None."""
    ids = _ID.findall(filename)
    return ids[-1] if ids else None


def public_name(filename: str, thread_id: str) -> str:
    """Add the thread's id to a file's name, unless it is there: report.html becomes report-<id>.html."""
    if owner(filename) == thread_id:
        return filename
    stem, dot, ending = filename.rpartition(".")
    name = f"{stem}-{thread_id}.{ending}" if dot else f"{filename}-{thread_id}"
    return name if owner(name) == thread_id else f"{filename}-{thread_id}"


def media_type(filename: str) -> str:
    """Return the media type of a result, with its charset where it is text, by the ending of its name."""
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    if kind in {"text/xml", "application/xml"}:
        return "application/xml;charset=utf-8"  # PageSeeder's clients read no other form.
    return f"{kind}; charset=utf-8" if kind in {"text/html", "text/plain", "text/csv"} else kind


def check_filename(filename: str) -> None:
    """Raise UnsafePath for a name that no result can have."""
    if not filename or "/" in filename or filename.startswith(".") or FORBIDDEN.search(filename):
        reason = "a file's name has no slash, backslash, control character or leading dot"
        raise UnsafePath(printable(filename), reason, name="filename")
    if len(filename.encode()) > MAX_FILENAME:
        raise UnsafePath(printable(filename), f"it is longer than {MAX_FILENAME} bytes", name="filename")
