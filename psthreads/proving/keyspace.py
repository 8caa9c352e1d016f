"""What a Redis holds of threads, as far as the rules need it, while the commands of an append-only file go by.

Kept are the threads' records, and who is in which listing, lease, slot and queue; no log, no parameters, nothing of
members. So it takes a part of what Redis takes, however long the file is.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from psthreads.domain.model import Status
from psthreads.proving.rules import TOMBSTONES, Record, Violation
from psthreads.threads import jobs

_PREFIXES: Final = ("ps:threads:", "ps:slots:", "ps:waiting:")
_KEYS: Final = frozenset({"ps:leases", "ps:queued", TOMBSTONES, "ps:settings"})
_ENDED: Final = tuple(f":{kind}" for kind in (*(status for status in Status if status.is_final), "finished"))
_RECORD: Final = b"meta"


class Job:
    """The hash of a thread: its record after the last step, and `raw`, which has been written since, if anything has.

    `expires` is when it may vanish, in milliseconds since the epoch; 0 for never.
    """

    __slots__ = ("expires", "raw", "record")

    def __init__(self) -> None:
        self.record: Record | None = None
        self.raw: bytes | None = None
        self.expires = 0


class SortedSet(dict[str, float]):
    """Scores by members."""


class Queue:
    """A list, and how often each value is in it."""

    def __init__(self) -> None:
        self._values: deque[str] = deque()
        self._counts: Counter[str] = Counter()

    def __contains__(self, value: str) -> bool:
        return value in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def push(self, value: str) -> None:
        """Put the value at the end."""
        self._values.append(value)
        self._counts[value] += 1

    def pop(self) -> str:
        """Remove the first value and return it. Raises IndexError where there is none."""
        value = self._values.popleft()
        self._counts[value] -= 1
        if not self._counts[value]:
            del self._counts[value]
        return value


class Keyspace:
    """One database. `queue` is the name of the threads' queue.

    `touched` has the threads that commands were about since the last step, each with its hash before, None for none.
    """

    def __init__(self, queue: str) -> None:
        self.values: dict[str, Any] = {}
        self.jobs: dict[str, Job] = {}
        self.touched: dict[str, Job | None] = {}
        self.buried: set[str] = set()
        """The threads of which something said since the last step from when on their files may be removed."""
        self.grown: set[str] = set()
        """The keys of slots that more threads have than at the last step."""
        self.has_expired = False
        """Whether a key vanished since the last step that had a time to live."""
        self._expiring: set[str] = set()
        self._job = jobs.key("")
        self._prefixes = (self._job, "ps:", jobs.workers_key(""))
        self._commands: dict[str, Callable[[str, list[bytes]], None]] = {
            **dict.fromkeys(("DEL", "UNLINK"), self._del),
            **dict.fromkeys(("HSET", "HMSET"), self._hset),
            "HDEL": self._hdel,
            "PEXPIREAT": self._expire_at,
            "PERSIST": self._persist,
            "ZADD": self._zadd,
            "ZREM": self._zrem,
            "ZREMRANGEBYSCORE": self._zremrangebyscore,
            "SADD": self._sadd,
            "SREM": self._srem,
            "RPUSH": self._rpush,
            "LPOP": self._lpop,
        }
        self.workers = jobs.workers_key(queue)
        """The key of the set of workers."""

    def apply(self, words: list[bytes]) -> None:
        """Do what the command does, where it is about threads. Raises Violation for one that cannot be judged."""
        name, rest = words[0].upper().decode("latin-1"), words[2:]
        if name in _IGNORED:
            return
        command = self._commands.get(name)
        many = name in _OF_KEYS
        for key in (_text(word) for word in (words[1:] if many or command is None else words[1:2])):
            if not key.startswith(self._prefixes) or not self._is_kept(key):
                continue
            try:
                (command or _refuse)(key, rest)
            except (ValueError, IndexError):
                raise Violation(f"{name} on {key} is nothing that a script does, and cannot be judged") from None

    def clear(self) -> None:
        """Forget everything, as FLUSHALL does."""
        for thread_id in list(self.jobs):
            self._remove(self._job + thread_id)
        self.values.clear()

    def next_step(self) -> None:
        """Forget what the last step was about."""
        self.touched = {}
        self.buried.clear()
        self.grown.clear()
        self.has_expired = False

    def _is_kept(self, key: str) -> bool:
        return key.startswith((self._job, *_PREFIXES)) or key in _KEYS or key == self.workers

    def _thread_of(self, key: str) -> str | None:
        """Return the id of the thread whose hash this is, after noting that it is touched."""
        if not key.startswith(self._job):
            return None
        thread_id = key.removeprefix(self._job)
        self._touch(thread_id)
        return thread_id

    def _touch(self, thread_id: str) -> None:
        if thread_id not in self.touched:
            self.touched[thread_id] = self.jobs.get(thread_id)

    def _get(self, key: str, kind: type[Any]) -> Any:
        value = self.values.get(key)
        if type(value) is not kind:
            value = self.values[key] = kind()
        return value

    def _shrunk(self, key: str, value: Any) -> None:
        if not value:
            del self.values[key]

    def _remove(self, key: str) -> None:
        if thread_id := self._thread_of(key):
            job = self.jobs.pop(thread_id, None)
            self.has_expired |= job is not None and job.expires > 0
            return
        for member in self.values.pop(key, ()):
            self._touch(member)
        self.has_expired |= key in self._expiring
        self._expiring.discard(key)

    # Commands.

    def _del(self, key: str, _: list[bytes]) -> None:
        self._remove(key)

    def _hset(self, key: str, words: list[bytes]) -> None:
        if thread_id := self._thread_of(key):
            for field, value in zip(words[::2], words[1::2], strict=False):
                if field == _RECORD:
                    self.jobs.setdefault(thread_id, Job()).raw = value
        elif key == "ps:settings":
            fields = self._get(key, dict)
            fields.update(
                (field.decode("latin-1"), value) for field, value in zip(words[::2], words[1::2], strict=False)
            )

    def _hdel(self, key: str, words: list[bytes]) -> None:
        if (thread_id := self._thread_of(key)) and _RECORD in words:
            self.jobs.pop(thread_id, None)

    def _expire_at(self, key: str, words: list[bytes]) -> None:
        if not key.startswith(self._job):
            self._expiring.add(key)
        elif job := self.jobs.get(self._thread_of(key) or ""):
            job.expires = int(words[0])

    def _persist(self, key: str, _: list[bytes]) -> None:
        self._expiring.discard(key)
        if job := self.jobs.get(self._thread_of(key) or ""):
            job.expires = 0

    def _zadd(self, key: str, words: list[bytes]) -> None:
        scores = self._get(key, SortedSet)
        for at, word in zip(words[::2], words[1::2], strict=True):
            scores[member := _text(word)] = float(at)  # Options, such as GT, are no numbers.
            self._touch(member)
            if key == TOMBSTONES:
                self.buried.add(member)

    def _zrem(self, key: str, words: list[bytes]) -> None:
        scores = self._get(key, SortedSet)
        for word in words:
            member = _text(word)
            if scores.pop(member, None) is not None and key != TOMBSTONES:
                self._touch(member)
        self._shrunk(key, scores)

    def _zremrangebyscore(self, key: str, words: list[bytes]) -> None:
        scores = self._get(key, SortedSet)
        least, greatest = (word.decode("latin-1") for word in words)
        low, high = float(least.strip("(")), float(greatest.strip("("))
        removed = []
        for member, at in scores.items():
            if (at > low or (at == low and least[0] != "(")) and (at < high or (at == high and greatest[0] != "(")):
                removed.append(member)
            elif key.endswith(_ENDED):
                break  # What has ended stands in the order of its end, and the list may be long.
        self._zrem(key, [member.encode("latin-1") for member in removed])

    def _sadd(self, key: str, words: list[bytes]) -> None:
        members = self._get(key, set)
        for word in words:
            members.add(member := _text(word))
            self._touch(member)
        self.grown.add(key)

    def _srem(self, key: str, words: list[bytes]) -> None:
        members = self._get(key, set)
        for word in words:
            members.discard(member := _text(word))
            self._touch(member)
        self._shrunk(key, members)

    def _rpush(self, key: str, words: list[bytes]) -> None:
        queue = self._get(key, Queue)
        for word in words:
            queue.push(value := _text(word))
            self._touch(value)

    def _lpop(self, key: str, words: list[bytes]) -> None:
        queue = self._get(key, Queue)
        for _ in range(min(int(words[0]) if words else 1, len(queue))):
            self._touch(queue.pop())
        self._shrunk(key, queue)


def _refuse(*_: object) -> None:
    raise ValueError


def _text(word: bytes) -> str:
    """Return the word as a text, which is the same one wherever the word occurs."""
    return sys.intern(word.decode("latin-1"))


_OF_KEYS: Final = frozenset({"DEL", "UNLINK"})
_IGNORED: Final = frozenset({"HINCRBY", "HINCRBYFLOAT", "XADD", "XTRIM", "XDEL", "SELECT", "PUBLISH", "SPUBLISH"})
