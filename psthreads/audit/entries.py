"""The audit: who did what, when, from where and why. Entries are never changed.

It is one Redis stream, `ps:audit`. The scripts of threads and of the directory add an entry in the same step as they
change something. Every entry has the same fields, all of them short texts, in the order of `FIELDS`. Entries older than
the retention are dropped as new ones come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self, cast

from redis import Redis

from psthreads.database.connection import translate_errors
from psthreads.domain.errors import BadParameter
from psthreads.domain.masking import mask
from psthreads.domain.model import clean

KEY: Final = "ps:audit"
LONGEST: Final = 500
"""The longest reason, in characters."""

FIELDS: Final = ("act", "by", "byid", "address", "subject", "id", "group", "groupname", "reason", "detail")
SCANNED: Final = 2_000
"""The number of entries that one page looks at, at most; then it says where to go on."""

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
    "member.bind": "bound the account to the provider's identity",
    "member.unbind": "unbound the account from the provider's identity",
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
"""The acts that are recorded, and what people read for each."""

REFUSED_KEY: Final = "ps:audit:refused"
"""The security log: a stream of the same form, for those who were refused."""

REFUSALS: Final = {
    "refused.password": "wrong username or password",
    "refused.token": "token not accepted",
    "refused.client": "OAuth client not accepted",
    "refused.session": "session not accepted",
    "refused.anonymous": "no credentials",
    "refused.identity": "provider's identity not accepted",
    "refused.access": "not permitted",
    "refused.forgery": "request from another site, or without the page's token",
    "refused.throttle": "too many wrong credentials",
    "refused.more": "too many refusals in a minute to record each",
}
"""What the security log records, and what people read for each."""

KINDS: Final = tuple(dict.fromkeys(act.partition(".")[0] for act in ACTS))
"""The kinds of acts: the parts before their points."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The author of an act, with address and reason. `member_id` is None where no member acts: on the command line."""

    username: str
    member_id: int | None = None
    address: str = ""
    reason: str = ""

    def fields(self, mask: Callable[[str], str] = mask) -> dict[str, str]:
        """Return the entry's fields that say who acted, from where and why, as the scripts take them.

        Secrets in the reason are masked.
        """
        return {
            "by": clean(self.username, LONGEST),
            "byid": "" if self.member_id is None else str(self.member_id),
            "address": clean(self.address, LONGEST),
            "reason": mask(clean(self.reason.strip(), LONGEST)) if self.reason else "",
        }


SETUP: Final = Origin("setup")
"""The origin of the sample group, and of what tests begin with."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. `id` is its place in the audit, and begins with the time; the other fields are as they are stored."""

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
        """When it happened, in milliseconds since the epoch, by Redis's clock."""
        return int(self.id.partition("-")[0])

    @classmethod
    def parse(cls, entry_id: bytes, stored: dict[bytes, bytes]) -> Self:
        """Return the entry in a stream's record; a missing field is empty."""
        fields = (stored.get(field.encode(), b"").decode(errors="replace") for field in FIELDS)
        return cls(entry_id.decode(), *fields)

    def fields(self) -> dict[str, str]:
        """Return the fields by the names that they are stored under."""
        return dict(zip(FIELDS, (getattr(self, name) for name in AuditEntry.__slots__[1:]), strict=True))


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The entries to find. An empty text or 0 matches every entry.

    `by`, `subject` and `group` are a name, without regard to case, or an id; `act` is an act, or the kind before its
    point; `since` and `until` are milliseconds since the epoch, the latter not included.
    """

    by: str = ""
    act: str = ""
    subject: str = ""
    group: str = ""
    since: int = 0
    until: int = 0

    @property
    def is_narrow(self) -> bool:
        """True where entries have to be looked at one by one, apart from their times."""
        return any((self.by, self.act, self.subject, self.group))

    def matches(self, entry: AuditEntry) -> bool:
        """Return whether the entry matches, apart from its time."""
        return (
            _matches(self.by, entry.by, entry.byid)
            and _matches(self.subject, entry.subject, entry.subject_id)
            and _matches(self.group, entry.groupname, entry.group)
            and (not self.act or f"{entry.act}.".startswith(f"{self.act}."))
        )


def _matches(ref: str, name: str, entry_id: str) -> bool:
    return not ref or ref.lower() == name.lower() or (bool(entry_id) and ref == entry_id)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first. `before` is where to go on, empty at the end; a page may be short and yet not the last."""

    entries: tuple[AuditEntry, ...]
    before: str


class Audit:
    """The reader of the audit, or of the security log, which the scripts write.

    All methods raise Unavailable when Redis is away.
    """

    def __init__(self, redis: Redis, key: str = KEY) -> None:
        self._redis = redis
        self._key = key

    def page(self, query: AuditQuery, before: str = "", size: int = 50) -> AuditPage:
        """Return at most `size` matching entries before the one with the id `before`, newest first.

        Looks at 2,000 entries at most, so that a page costs the same whatever is stored. Raises BadParameter where
        `before` is no entry's id.
        """
        if before and not _ID.fullmatch(before):
            raise BadParameter("before", "Parameter 'before' must be the place of an entry, such as 1652667241924-0.")
        matching: list[AuditEntry] = []
        scanned = 0
        while scanned < SCANNED:
            # Where every entry matches, a page is one round trip.
            chunk = self._read(query, before, min(_AT_ONCE, SCANNED - scanned) if query.is_narrow else size + 1)
            for entry in chunk.entries:
                if len(matching) == size:
                    return AuditPage(tuple(matching), before)
                before = entry.id
                if query.matches(entry):
                    matching.append(entry)
            scanned += len(chunk.entries)
            if not chunk.before:
                return AuditPage(tuple(matching), "")
        return AuditPage(tuple(matching), before)

    def export(self, query: AuditQuery) -> Iterator[AuditEntry]:
        """Yield all matching entries there are at the start, newest first; they are read in chunks."""
        before = ""
        while True:
            chunk = self._read(query, before, _AT_ONCE)
            yield from filter(query.matches, chunk.entries)
            if not (before := chunk.before):
                return

    def _read(self, query: AuditQuery, before: str, size: int) -> AuditPage:
        """Return so many entries of the query's time, matching or not."""
        latest = f"({before}" if before else "+"
        if query.until and not (before and int(before.partition("-")[0]) < query.until):
            latest = f"({query.until}-0"
        with translate_errors():
            rows = self._redis.xrevrange(self._key, latest, str(query.since) if query.since else "-", count=size)
        entries = tuple(AuditEntry.parse(*row) for row in cast("list[tuple[bytes, dict[bytes, bytes]]]", rows))
        return AuditPage(entries, entries[-1].id if len(entries) == size else "")
