"""The audit: who did what, when, from where and why; written with the deed itself, and never changed.

It is one Redis stream, `ps:audit`, to which the scripts of the store and of the directory append in the same step as
they change something. Every entry has the same fields, all of them short texts, in the order of `FIELDS`. What is older
than the retention goes by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from redis import Redis

from psthreads.database.connection import translated
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import clean

KEY: Final = "ps:audit"
LONGEST: Final = 500
"""The longest reason, in characters."""

FIELDS: Final = ("act", "by", "byid", "address", "subject", "id", "group", "groupname", "reason", "detail")
LOOKED_AT: Final = 2_000
"""At how many entries one page looks, whatever is stored; then it says where to go on."""

_AT_ONCE: Final = 500
_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")

ACTS: Final = {
    "session.start": "signed in",
    "session.end": "signed out",
    "session.end-all": "ended all sessions",
    "account.locked": "account locked",
    "account.unlocked": "unlocked the account",
    "thread.start": "started the thread",
    "thread.cancel": "cancelled the thread",
    "thread.kill": "killed the thread",
    "thread.delete": "deleted the thread",
    "member.add": "added the member",
    "member.remove": "removed the member",
    "member.password": "changed the password",
    "member.admin": "set the administrator's rights",
    "role.set": "gave a role",
    "role.remove": "ended a membership",
    "group.add": "added the group",
    "group.remove": "removed the group",
    "token.create": "made the token",
    "token.revoke": "revoked the token",
    "client.add": "made the OAuth client",
    "client.remove": "removed the OAuth client",
}
"""What is written down, and what each act is called."""

KINDS: Final = tuple(dict.fromkeys(act.partition(".")[0] for act in ACTS))
"""The kinds of acts: what stands before their points."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, from where and why. `member_id` is None for whoever is no member: the command line, a provider."""

    username: str
    member_id: int | None = None
    address: str = ""
    reason: str = ""

    def fields(self) -> dict[str, str]:
        """Return the entry's fields that say who acted, from where and why, as the scripts take them."""
        return {
            "by": clean(self.username, LONGEST),
            "byid": "" if self.member_id is None else str(self.member_id),
            "address": clean(self.address, LONGEST),
            "reason": clean(self.reason.strip(), LONGEST),
        }


SETUP: Final = Origin("setup")
"""Who puts the sample group there, and what a test begins with."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One deed. `id` is its place in the audit, and begins with the time; the other fields are as they are stored."""

    id: str
    act: str
    by: str
    byid: str
    address: str
    subject: str
    subject_id: str
    group: str
    groupname: str
    reason: str
    detail: str

    @property
    def time(self) -> int:
        """When it was, in milliseconds since the epoch, by Redis's clock."""
        return int(self.id.partition("-")[0])

    @classmethod
    def read(cls, entry_id: bytes, stored: dict[bytes, bytes]) -> Self:
        """The entry in what the stream holds; a field that is missing is empty."""
        fields = (stored.get(field.encode(), b"").decode(errors="replace") for field in FIELDS)
        return cls(entry_id.decode(), *fields)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries are wanted: what is empty or 0 does not matter.

    `by`, `subject` and `group` are a name, without regard to case, or an id; `act` is an act, or the kind before its
    point; `since` and `until` are milliseconds since the epoch, the latter not included.
    """

    by: str = ""
    act: str = ""
    subject: str = ""
    group: str = ""
    since: int = 0
    until: int = 0

    def has(self, entry: AuditEntry) -> bool:
        """Whether the entry is wanted, whenever it was."""
        return (
            _is(self.by, entry.by, entry.byid)
            and _is(self.subject, entry.subject, entry.subject_id)
            and _is(self.group, entry.groupname, entry.group)
            and (not self.act or f"{entry.act}.".startswith(f"{self.act}."))
        )


def _is(wanted: str, name: str, its_id: str) -> bool:
    return not wanted or wanted.lower() == name.lower() or (bool(its_id) and wanted == its_id)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first. `before` is where to go on, empty at the end; there may be more where few are here."""

    entries: tuple[AuditEntry, ...]
    before: str


class Audit:
    """The reading of the audit. All raise Unavailable when Redis is away; entries are written by the scripts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def page(self, wanted: AuditQuery, before: str = "", size: int = 50) -> AuditPage:
        """So many wanted entries at most, from before that one on, and newest first.

        At most 2,000 entries are looked at, so that it costs the same whatever is stored. Raises BadParameter where
        `before` is no entry's id.
        """
        if before and not _ID.fullmatch(before):
            raise BadParameter("before", "Parameter 'before' must be the place of an entry, such as 1652667241924-0.")
        found: list[AuditEntry] = []
        looked_at = 0
        while looked_at < LOOKED_AT:
            # Nothing is left out, and one page needs one round trip, where every entry is wanted.
            some = self._read(wanted, before, min(_AT_ONCE, LOOKED_AT - looked_at) if _narrows(wanted) else size + 1)
            for entry in some.entries:
                if len(found) == size:
                    return AuditPage(tuple(found), before)
                before = entry.id
                if wanted.has(entry):
                    found.append(entry)
            looked_at += len(some.entries)
            if not some.before:
                return AuditPage(tuple(found), "")
        return AuditPage(tuple(found), before)

    def export(self, wanted: AuditQuery) -> Iterator[AuditEntry]:
        """All wanted entries there are when it begins, newest first, read piece by piece."""
        before = ""
        while True:
            some = self._read(wanted, before, _AT_ONCE)
            yield from filter(wanted.has, some.entries)
            if not (before := some.before):
                return

    def _read(self, wanted: AuditQuery, before: str, size: int) -> AuditPage:
        """So many entries within the wanted time, wanted or not."""
        latest = f"({before}" if before else "+"
        if wanted.until and not (before and int(before.partition("-")[0]) < wanted.until):
            latest = f"({wanted.until}-0"
        with translated(self._redis):
            stored = self._redis.xrevrange(KEY, latest, str(wanted.since) if wanted.since else "-", count=size)
        entries = tuple(AuditEntry.read(*one) for one in cast("list[tuple[bytes, dict[bytes, bytes]]]", stored))
        return AuditPage(entries, entries[-1].id if len(entries) == size else "")


def _narrows(wanted: AuditQuery) -> bool:
    return any((wanted.by, wanted.act, wanted.subject, wanted.group))


def fields_of(entry: AuditEntry) -> dict[str, Any]:
    """The entry's fields by the names that they are stored under."""
    values = (getattr(entry, name) for name in AuditEntry.__slots__[1:])
    return dict(zip(FIELDS, values, strict=True))
