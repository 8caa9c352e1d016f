"""The contents of Redis that the search has met, each kept once, and what each call of the store makes of them.

Most states differ in what workers believe and in what may still go wrong, and not in what Redis holds. So a call is
made once for each content, and looked up from then on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, NamedTuple

from proof.lua import MemoryClient
from proof.memory_redis import Hash, SortedSet, Stream, Value
from psthreads.database.scripts import SafeScript
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict
from psthreads.proving.rules import LEASES, Record, record_of
from psthreads.threads import jobs
from psthreads.threads.scripts import ThreadScripts
from psthreads.threads.store import ThreadStore

START_TIME: Final = 1_000_000_000_000
"""The time at which everything happens, in milliseconds. Only the order of times counts."""

# No script reads these in order to decide anything.
_SINKS: Final = ("ps:feed", "ps:audit", "ps:hours:", "ps:durations:", "ps:log:", "ps:logged:", "ps:installation")
_COUNTERS: Final = frozenset({"rev", "log_head", "log_head_bytes", "log_tail", "log_tail_bytes", "log_dropped"})


class Content(NamedTuple):
    """The content of Redis: its values, the keys that have a time to live, the threads' records, the scores of leases.

    `alike` is equal for contents that every script takes for the same, but for who owns which thread.
    """

    values: Mapping[str, Value]
    expiring: frozenset[str]
    records: tuple[Record | None, ...]
    scores: tuple[float | None, ...]
    alike: int


class PlantedScripts(ThreadScripts):
    """The scripts with a fault, which `plant` puts into the text of each. Raises ValueError where it fits none."""

    def __init__(self, redis: Any, config: Config, plant: Callable[[str, str], str]) -> None:
        super().__init__(redis, config)
        texts = {name: plant(name, script.script) for name, script in self._scripts.items()}
        if all(texts[name] == script.script for name, script in self._scripts.items()):
            raise ValueError("No script has this fault")
        self._scripts = {name: SafeScript(redis, text) for name, text in texts.items()}


class Stores:
    """The contents by their numbers; 0 is an empty Redis."""

    def __init__(self, config: Config, ids: tuple[str, ...], plant: Callable[[str, str], str] | None) -> None:
        self._client = MemoryClient(START_TIME)
        redis: Any = self._client  # what the store needs of a connection
        scripts = ThreadScripts(redis, config) if plant is None else PlantedScripts(redis, config, plant)
        self._store = ThreadStore(redis, config, scripts)
        self._ids = ids
        self._job = jobs.key("")
        self._numbers: dict[Hashable, int] = {}
        self._alike: dict[Hashable, int] = {}
        self._answers: dict[Hashable, tuple[int, Any]] = {}
        self._contents: list[Content] = []
        self.number({}, frozenset())

    def __getitem__(self, number: int) -> Content:
        return self._contents[number]

    @property
    def calls(self) -> int:
        """The number of calls that were made, and not looked up."""
        return len(self._answers)

    def call(
        self, number: int, name: Hashable, call: Callable[[ThreadStore, MemoryClient], Any], later: int = 0
    ) -> tuple[int, Any]:
        """Return the content after this call, `later` milliseconds after the usual time, and the answer.

        The name tells one call from another. A Conflict is an answer.
        """
        key = (number, name, later)
        if key not in self._answers:
            redis, content = self._client.redis, self._contents[number]
            redis.values, redis.expiring, redis.now = dict(content.values), content.expiring, START_TIME + later
            answer: Any
            try:
                answer = call(self._store, self._client)
            except Conflict as error:
                answer = error
            self._answers[key] = (self.number(redis.values, redis.expiring), answer)
        return self._answers[key]

    def number(self, values: Mapping[str, Value], expiring: frozenset[str]) -> int:
        """Return the number of a content."""
        kept = {key: value for key, value in values.items() if not key.startswith(_SINKS)}
        expiring = frozenset(expiring & kept.keys())
        key = (frozenset((name, _hashable(value)) for name, value in kept.items()), expiring)
        if key not in self._numbers:
            self._numbers[key] = len(self._contents)
            self._contents.append(self._content(kept, expiring))
        return self._numbers[key]

    def _content(self, values: Mapping[str, Value], expiring: frozenset[str]) -> Content:
        metas = [
            job.get("meta") if isinstance(job := values.get(self._job + each), Hash) else None for each in self._ids
        ]
        fields = [None if meta is None else json.loads(meta) for meta in metas]
        leases = values.get(LEASES)
        records = tuple(None if each is None else record_of(each) for each in fields)
        scores = tuple(leases.get(each) if isinstance(leases, SortedSet) else None for each in self._ids)
        # Of sorted sets, only the order counts; of hashes, the threads' records are all that is read.
        rest = tuple(
            (key, _common(value), key in expiring)
            for key, value in sorted(values.items())
            if not isinstance(value, Hash)
        )
        kept = tuple((key, key in expiring) for key, value in sorted(values.items()) if isinstance(value, Hash))
        alike = (tuple(map(_alike, fields)), rest, kept)
        number = self._alike.setdefault(alike, len(self._alike))
        return Content(values, expiring, records, scores, number)


def _alike(fields: dict[str, Any] | None) -> Hashable:
    """Return the fields without what differs between records that are alike: times, counters, names of executions."""
    if fields is None:
        return None
    left_out = {*_COUNTERS, "token", "worker"}
    return tuple(
        (name, True if type(value) is int and value >= START_TIME else value)
        for name, value in sorted(fields.items())
        if name not in left_out and value not in {0, ""}
    )


def _hashable(value: Value) -> Hashable:
    return frozenset(value.items()) if isinstance(value, dict) else value


def _common(value: Value) -> Hashable:
    if isinstance(value, SortedSet):
        return tuple(sorted(value, key=lambda member: (value[member], member)))
    if isinstance(value, dict):
        return frozenset(value.items())
    return () if isinstance(value, Stream) else value
