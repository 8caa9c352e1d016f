"""Phrases and filenames that several processes use."""

from __future__ import annotations

import re

from psthreads.authoring.context import Context
from psthreads.documents.group_documents import OnSkip
from psthreads.domain.access import Group


def many(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is 1."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def filename_of(group: Group) -> str:
    """Return a group's name as a part of a filename."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", group.name)[:80] or "group"


def warn_of_skips(context: Context) -> OnSkip:
    """Return a callback for a walk that reports what it leaves out."""
    return lambda path, reason: context.warning(f"{path} was left out: {reason}.")
