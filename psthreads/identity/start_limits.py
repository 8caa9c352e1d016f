"""How many threads a member, and a group, may start in a while.

The scripts of the threads count the starts, with an exact moving window: one is counted in the step that stores its
thread, and for all web processes together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from psthreads.domain.config import NO_RATE
from psthreads.domain.errors import TooManyRequests

if TYPE_CHECKING:
    from psthreads.domain.access import Group
    from psthreads.domain.config import Config

_OF_MEMBER: Final = "Member '{}' has started as many threads as a member may for now: try again in {} s."
_OF_GROUP: Final = "As many threads as may be were started in group '{}' for now: try again in {} s."


class StartLimit(NamedTuple):
    """At most `most` starts in so many milliseconds, of the member or in the group of this name.

    `key` is the list in Redis that has the times of the latest.
    """

    key: str
    most: int
    milliseconds: int
    name: str
    sentence: str

    def fields(self) -> dict[str, str | int]:
        """Return it as threads/lua/common.lua takes it."""
        return {"key": self.key, "most": self.most, "milliseconds": self.milliseconds}

    def refusal(self, wait: int) -> TooManyRequests:
        """Return the error for a start that came so many milliseconds too early."""
        seconds = max(1, math.ceil(wait / 1000))
        return TooManyRequests(self.sentence.format(self.name, seconds), seconds)


class StartLimits:
    """The limits of the settings."""

    def __init__(self, config: Config) -> None:
        self._per_member = _parsed(config.starts_per_member)
        self._per_group = _parsed(config.starts_per_group)

    def of(self, member_id: int, username: str, group: Group | None) -> list[StartLimit]:
        """Return the limits for a start by this member, in this group or on the server."""
        limits = []
        if self._per_member:
            limits.append(_limit(f"starts/{member_id}", self._per_member, username, _OF_MEMBER))
        if self._per_group and group is not None:
            limits.append(_limit(f"starts-in/{group.id}", self._per_group, group.name, _OF_GROUP))
        return limits


def _limit(kind: str, rate: tuple[int, int], name: str, sentence: str) -> StartLimit:
    # Processes with other settings, as while they are changed, count apart: each keeps as many as it needs.
    return StartLimit(f"ps:limit:{kind}/{rate[0]}/{rate[1]}", *rate, name, sentence)


def _parsed(rate: str) -> tuple[int, int] | None:
    """Return the number of starts, and the time for them in milliseconds; None for no limit."""
    if rate == NO_RATE:
        return None
    from limits import parse  # noqa: PLC0415 (workers know threads, too, and need no package for this)

    parsed = parse(rate)
    return parsed.amount, 1000 * parsed.get_expiry()
