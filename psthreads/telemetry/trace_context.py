"""The trace that a thread is part of, as W3C's `traceparent` names it, from the request to what the process calls."""

from __future__ import annotations

import re
from typing import Final

ENVIRONMENT: Final = "TRACEPARENT"
"""The variable by which programs that a process starts learn the trace."""

_FORM: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-[!-~]{0,64})?"
)


def read(header: str) -> str:
    """Return the header as this version writes it; empty where it is none."""
    match = _FORM.fullmatch(header)
    return f"00-{match[1]}" if match is not None else ""


def below(parent: str, span_id: str) -> str:
    """Return the traceparent of what is done within this span of the parent's trace."""
    version, trace_id, _, flags = parent.split("-")
    return f"{version}-{trace_id}-{span_id}-{flags}"
