"""The security log: who was refused, from which address, and why. Its entries have the form of the audit's."""

from __future__ import annotations

from typing import Final

from psthreads.audit.entries import LONGEST, Origin
from psthreads.database.scripts import Scripts
from psthreads.domain.model import clean
from psthreads.identity.credentials import key_of
from psthreads.identity.throttles import network

_KEPT: Final = 10_000  # entries, the newest
_PER_MINUTE: Final = 600
_SHARE: Final = 20  # of one address in a minute


class Refusals:
    """The writer of the security log."""

    def __init__(self, scripts: Scripts) -> None:
        self._run = scripts.run

    def record(self, act: str, origin: Origin, request: str, claimed: str = "") -> None:
        """Record a refusal; `origin.reason` says why. Of too many in a minute only the number is kept.

        `claimed` is the username that came with it, and kept where there is such a member. Raises Unavailable.
        """
        entry = {
            "act": act,
            **origin.fields(),
            "claimed": key_of(claimed) if claimed else "",
            "network": network(origin.address),
            "subject": clean(request, LONGEST),
            "kept": _KEPT,
            "most": _PER_MINUTE,
            "share": _SHARE,
        }
        self._run("refuse", entry)
