"""The frames that a process and its child exchange through two pipes: a kind, and fields of bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

REQUESTS: Final = b"Q"
"""To the child: pieces of work, each the number of its fields and then these."""

REPLY: Final = b"D"
"""To the child: what it asked its parent for."""

REFUSAL: Final = b"N"
"""To the child: why there is no reply; the kind of the error and its arguments."""

READY: Final = b"R"
"""From the child, once: it can begin."""

UNUSABLE: Final = b"U"
"""From the child, instead: why it cannot."""

ANSWERS: Final = b"A"
"""From the child: the answers to the next pieces of work, put together; each begins with ANSWERED or FAILED."""

ANSWERED: Final = b"+"
"""The answer follows."""

FAILED: Final = b"-"
"""The exception follows that the piece of work raised."""

ASK: Final = b"?"
"""From the child: what it wants to read."""

LARGEST: Final = 256 * 1024 * 1024
"""The bytes of a frame, at most."""

_HEAD: Final = struct.Struct("<cII")  # the kind, the number of fields, and the bytes of all that follows
_SIZE: Final = struct.Struct("<I")

Frame = tuple[bytes, list[bytes]]
"""A kind and fields."""


def pack(kind: bytes, fields: Sequence[bytes]) -> bytes:
    """Return a frame as bytes."""
    sizes = list(map(len, fields))
    table = struct.pack(f"<{len(sizes)}I", *sizes)
    return b"".join((_HEAD.pack(kind, len(sizes), len(table) + sum(sizes)), table, *fields))


def read(exactly: Callable[[int], bytes]) -> Frame:
    """Read the next frame by a function that returns so many bytes; raises ValueError if it is none."""
    kind, count, size = _HEAD.unpack(exactly(_HEAD.size))
    if size > LARGEST or count * _SIZE.size > size:
        raise ValueError("This is no frame")
    data = exactly(size)
    at = count * _SIZE.size
    fields = []
    for length in struct.unpack_from(f"<{count}I", data):
        fields.append(data[at : at + length])
        at += length
    if at != size:
        raise ValueError("This is no frame")
    return kind, fields


def put_together(parts: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Return the fields of several pieces as those of one frame."""
    return [field for part in parts for field in (_SIZE.pack(len(part)), *part)]


def taken_apart(fields: Sequence[bytes]) -> list[list[bytes]]:
    """Return the pieces that were put together."""
    parts = []
    at = 0
    while at < len(fields):
        (count,) = _SIZE.unpack(fields[at])
        parts.append(list(fields[at + 1 : at + 1 + count]))
        at += 1 + count
    return parts
