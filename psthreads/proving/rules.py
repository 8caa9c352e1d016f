"""The rules that hold of each thread after every atomic step, whoever made it. This is the one place for them.

proof/ checks them in every state that the scripts can reach, judge.py after every step of an append-only file. `name`
is how a sentence calls the thread; `values` has what Redis holds, by key.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any, Final, NamedTuple

from psthreads.domain.model import SERVER_WIDE, Status
from psthreads.threads.records import VERSION

LEASES: Final = "ps:leases"
QUEUED: Final = "ps:queued"
TOMBSTONES: Final = "ps:tombstones"

Values = Mapping[str, Any]
"""What Redis holds, by key: of sets, lists and sorted sets, what tells whether a thread's id is in one."""


class Violation(Exception):
    """A rule is broken; the text says which, and by what."""


class Record(NamedTuple):
    """The fields of a thread's record that the rules need."""

    status: Status
    token: str | None
    waits: bool
    cancelling: bool
    cancelled_by: str
    exclusive: bool
    group: int
    member: int
    process: str
    restarts: int
    warnings: int


def read_record(name: str, raw: bytes | str) -> Record:
    """Return the record. Raises Violation for one that cannot be read, or that a newer version wrote."""
    try:
        meta = json.loads(raw)
        if meta.get("version", 0) > VERSION:
            raise Violation(f"{name} has a record of a newer version of psthreads, which this one cannot judge")
        return record_of(meta)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Violation(f"{name} has a record that cannot be read") from None


def record_of(meta: Mapping[str, Any]) -> Record:
    """Return the record with these fields. Raises KeyError, ValueError or TypeError for missing and wrong ones."""
    return Record(
        Status(meta["status"]),
        meta.get("token"),
        bool(meta.get("waits")),
        bool(meta.get("cancelling")),
        meta.get("cancelled_by", ""),
        bool(meta.get("exclusive")),
        int(meta["groupid"]),
        int(meta["memberid"]),
        meta["process"],
        int(meta.get("restarts", 0)),
        int(meta.get("warnings", 0)),
    )


def check_change(name: str, old: Record | None, new: Record | None) -> None:
    """Raise Violation where one step must not make this of a thread's record; None is no record."""
    if old is None:
        if new is not None and new.status is not Status.INITIALISED:
            raise Violation(f"{name} begins as {new.status}")
        return
    if new is None:
        if not old.status.is_final:
            raise Violation(f"{name} was {old.status}, and has vanished")
        return
    if old.status.is_final:
        if new.status is not old.status:
            raise Violation(f"{name} had ended as {old.status}, and is {new.status}")
    else:
        _check_course(name, old, new)


def _check_course(name: str, old: Record, new: Record) -> None:
    """Check the change of a thread that had not ended."""
    if old.cancelling and not (new.status is Status.CANCELLED or (new.cancelling and not new.status.is_final)):
        raise Violation(f"{name} was to be cancelled, and {'ended as' if new.status.is_final else 'is'} {new.status}")
    if new.status is Status.CANCELLED and not new.cancelled_by:
        raise Violation(f"{name} was cancelled by nobody")
    if not old.restarts <= new.restarts <= old.restarts + 1:
        raise Violation(f"{name} had restarted {old.restarts} times, and then {new.restarts}")
    if old.token and new.token not in {None, old.token}:
        raise Violation(f"{name} went to another execution before its own had lost it")


def check_place(name: str, thread_id: str, record: Record, values: Values) -> None:
    """Raise Violation where a thread is not queued, or has no slot or lease, where its record says that it should."""
    group, is_final = record.group, record.status.is_final
    is_admitted = group != SERVER_WIDE and not is_final and not record.waits
    is_first = record.status is Status.INITIALISED
    is_running = bool(record.token) and not is_final
    slots, waiting = slots_key(group), waiting_keys(group)
    facts = (
        ("waits for a slot", record.waits, _is_in(values, thread_id, *waiting)),
        ("has a slot", is_admitted, _is_in(values, thread_id, slots)),
        ("may change documents", is_admitted and record.exclusive, _is_in(values, thread_id, f"{slots}:changes")),
        ("has a lease", is_running, _is_in(values, thread_id, LEASES)),
        ("is queued", is_first and not record.waits, _is_in(values, thread_id, QUEUED)),
        ("has begun", is_running, not is_final and not is_first),
        ("is being cancelled", record.cancelling and is_running, record.cancelling),
    )
    for words, expected, actual in facts:
        # What has ended, or waits no more, is skipped where it is still on the list of those that wait.
        if expected != actual and not (words == "waits for a slot" and actual):
            who = "its record" if expected else "a list"
            raise Violation(f"{name} is {record.status}: it {words}, says {who} alone")


def check_listings(name: str, thread_id: str, record: Record, values: Values) -> None:
    """Raise Violation where a thread is not in exactly the listings that its status puts it in."""
    is_final = record.status.is_final
    scopes = ("server",) if record.group == SERVER_WIDE else ("server", record.group)
    owners = (f"member:{record.member}", f"process:{record.process}")
    for scope in (*scopes, *owners):
        kinds = {"active": not is_final}
        if scope in owners:
            kinds["finished"] = is_final
        else:
            kinds |= {status: status is record.status for status in Status}
        for kind, expected in kinds.items():
            if _is_in(values, thread_id, f"ps:threads:{scope}:{kind}") is not expected:
                verb = "is not in" if expected else "is in"
                raise Violation(f"{name} is {record.status}: it {verb} the list of {kind} threads of {scope}")


def check_retention(name: str, record: Record, *, expires: bool) -> None:
    """Raise Violation where a thread that has ended is kept for ever, or one that has not may vanish."""
    if record.status.is_final != expires:
        raise Violation(f"{name} {'may vanish' if expires else 'has ended, and is kept for ever'}")


def check_tombstone(name: str, thread_id: str, values: Values) -> None:
    """Raise Violation where nothing says when the files of a thread that is over may be removed."""
    if not _is_in(values, thread_id, TOMBSTONES):
        raise Violation(f"{name} is over, and nothing says when its files may be removed")


def check_share(number: int, share: int, words: str) -> None:
    """Raise Violation where a group has more slots than its share; `words` say what the slots are for."""
    if number > share:
        raise Violation(f"the group has {number} {words}, and may have {share}")


def slots_key(group: int) -> str:
    """Return the key of the slots that a group uses; with `:changes` after it, of those that change documents."""
    return f"ps:slots:{group}"


def waiting_keys(group: int) -> tuple[str, str]:
    """Return the keys of the lists of a group's waiting threads."""
    return f"ps:waiting:{group}", f"ps:waiting:{group}:changes"


def _is_in(values: Values, thread_id: str, *keys: str) -> bool:
    empty: Container[str] = ()
    return any(thread_id in values.get(key, empty) for key in keys)
