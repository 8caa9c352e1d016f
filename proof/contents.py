"""The contents of Redis that a search has met, without what no script reads in order to decide anything.

A content is kept as a short text, which has a character for each key: the number of the value among all that the key
has had. So a content takes some dozens of bytes, and is compared, and looked up, as fast as a text.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from proof.memory_values import Hash, SortedSet, Stream, Value
from psthreads.domain.model import Status
from psthreads.proving.rules import LEASES, TOMBSTONES, Record, record_of
from psthreads.threads import jobs

START_TIME: Final = 1_000_000_000_000
"""The time at which everything happens, in milliseconds. Only the order of times counts."""

_WIDTH: Final = 64
_ABSENT: Final = "\0"

# No script but the one that answers people reads the lists of what has ended. They are checked in each content.
_LISTINGS: Final = "ps:threads:"
_FINAL: Final = (*(f":{status}" for status in Status if status.is_final), ":finished")
# No script reads these in order to decide anything.
_SINKS: Final = (
    *("ps:feed", "ps:audit", "ps:hours:", "ps:durations:", "ps:log:", "ps:logged:", "ps:installation"),
    *("ps:worker-counts", "ps:ended"),
)
# Nor these fields of a record. Those that are times are there or not, and which time it is only people want to know.
_TEXTS: Final = frozenset({"message", "worker", "xml", "rates"})
_COUNTERS: Final = frozenset({"rev", "log_head", "log_head_bytes", "log_tail", "log_tail_bytes", "log_dropped"})
_TIMES: Final = frozenset({"started", "ended", "heard", "reported", "cancel_asked"})
# Of one that has ended, nor these, nor who owned it; its `restarts` are compared with its calls, see state.py.
_COURSE: Final = frozenset(
    {"status", "started", "warnings", "errors", "restarts", "has_result", "cancelled_by", "cancel_asked"}
)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of Redis: its text, the threads' records, and the scores of their leases.

    `alike` is equal for contents that every script takes for the same, but for who owns which thread.
    """

    text: str
    records: tuple[Record | None, ...]
    is_over: tuple[bool, ...]
    """For each thread: there, and ended."""
    scores: tuple[float | None, ...]
    alike: int


class Contents:
    """The contents by their numbers; 0 is an empty Redis. `ids` are those of the threads."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        self._keys = [LEASES, *map(jobs.key, ids)]
        self._positions = {key: position for position, key in enumerate(self._keys)}
        self._ids = ids
        self._wip = jobs.key_names("")["STARTED"]
        self._entities: list[dict[Hashable, str]] = [{} for _ in range(_WIDTH)]
        self._values: list[list[tuple[Value | None, bool]]] = [[(None, False)] for _ in range(_WIDTH)]
        self._records: list[list[Record | None]] = [[None] for _ in range(_WIDTH)]
        self._alike: list[dict[str, int]] = [{_ABSENT: 0} for _ in range(_WIDTH)]
        self._likenesses: list[dict[Hashable, int]] = [{None: 0} for _ in range(_WIDTH)]
        self._kinds: dict[bytes, int] = {}
        self._tuples: dict[Hashable, Any] = {}
        self._numbers: dict[str, int] = {}
        self._contents: list[Content] = []
        self.number(_ABSENT * _WIDTH)

    def __getitem__(self, number: int) -> Content:
        return self._contents[number]

    def __len__(self) -> int:
        return len(self._contents)

    def number(self, text: str) -> int:
        """Return the number of a content."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._contents)
            self._contents.append(self._content(text))
        return number

    def position(self, key: str) -> int | None:
        """Return where a content has the character of this key; None for a key that nobody reads."""
        position = self._positions.get(key)
        if position is None and not key.startswith(_SINKS):
            position = self._positions[key] = len(self._keys)
            self._keys.append(key)
            if position >= _WIDTH:
                raise RuntimeError(f"More than {_WIDTH} keys")
        return position

    def value(self, text: str, key: str) -> Value | None:
        """Return the value of a key, None where there is none."""
        position = self._positions.get(key)
        return None if position is None else self._values[position][ord(text[position])][0]

    def is_expiring(self, text: str, key: str) -> bool:
        """Return whether a key has a time to live."""
        position = self._positions.get(key)
        return position is not None and self._values[position][ord(text[position])][1]

    def values(self, text: str) -> dict[str, Value]:
        """Return the values by their keys."""
        return {key: value for key, value, _ in self.items(text)}

    def items(self, text: str) -> Iterator[tuple[str, Value, bool]]:
        """Return the keys that there are, with their values, and whether they have a time to live."""
        for position, key in enumerate(self._keys):
            value, is_expiring = self._values[position][ord(text[position])]
            if value is not None:
                yield key, value, is_expiring

    def character(self, position: int, value: Value | None, *, is_expiring: bool) -> str:
        """Return the character for a value of the key at this position."""
        if value is None:
            return _ABSENT
        value = self._normal(self._keys[position], value)
        entity = (frozenset(value.items()) if isinstance(value, dict) else value, is_expiring)
        character = self._entities[position].get(entity)
        if character is None:
            values = self._values[position]
            character = self._entities[position][entity] = chr(len(values))
            values.append((value, is_expiring))
            fields = json.loads(value["meta"]) if isinstance(value, Hash) and "meta" in value else None
            self._records[position].append(None if fields is None else record_of(fields))
            likeness = _alike(fields) if fields is not None else self._common(position, value)
            likenesses = self._likenesses[position]
            self._alike[position][character] = likenesses.setdefault(
                None if likeness is None else (likeness, is_expiring), len(likenesses)
            )
        return character

    def _normal(self, key: str, value: Value) -> Value:
        """Return the value without what nobody reads."""
        if isinstance(value, Hash) and "meta" in value:
            fields = json.loads(value["meta"])
            kept = {
                name: START_TIME if name in _TIMES and each else each
                for name, each in fields.items()
                if name not in _COUNTERS and name not in _TEXTS
            }
            normal = Hash({"meta": json.dumps(kept, sort_keys=True, separators=(",", ":"))})
            return Hash({**normal, "data": value["data"]}) if "data" in value else normal
        if isinstance(value, SortedSet) and key.startswith(self._wip):
            return SortedSet(dict.fromkeys(value, 0.0))
        return value

    def _common(self, position: int, value: Value) -> Hashable:
        """Return what all values have in common that are taken for the same, None where that is so of none as well.

        Of sorted sets, only the order counts.
        """
        if isinstance(value, SortedSet):
            if self._keys[position] in {LEASES, TOMBSTONES}:
                return frozenset(value)
            if self._keys[position].startswith(_LISTINGS) and self._keys[position].endswith(_FINAL):
                return None
            if self._keys[position].startswith(self._wip):
                return tuple(sorted(member.partition(":")[0] for member in value))
            return tuple(sorted(value, key=lambda member: (value[member], member)))
        if isinstance(value, dict):
            return frozenset(value.items())
        return () if isinstance(value, Stream) else value

    def _content(self, text: str) -> Content:
        leases = self._values[0][ord(text[0])][0]
        scores = tuple(leases.get(each) if isinstance(leases, SortedSet) else None for each in self._ids)
        records = tuple(self._records[number][ord(text[number])] for number in range(1, len(self._ids) + 1))
        likeness = array("H", (alike[each] for alike, each in zip(self._alike, text, strict=True))).tobytes()
        alike = self._kinds.setdefault(likeness, len(self._kinds))
        is_over = tuple(record is not None and record.status.is_final for record in records)
        return Content(text, self._once(records), self._once(is_over), self._once(scores), alike)

    def _once(self, values: Any) -> Any:
        return self._tuples.setdefault(values, values)


def _alike(fields: dict[str, Any]) -> Hashable:
    """Return the fields without what differs between records that are alike: who owns them, and when they began."""
    is_over = Status(fields["status"]).is_final
    left_out = {"token", "created"} | (_COURSE if is_over else set())
    kept = {name: value for name, value in fields.items() if name not in left_out and value not in {0, ""}}
    return (is_over, *sorted(kept.items()))
