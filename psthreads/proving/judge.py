"""Judges an append-only file: after every atomic step, the rules of each thread that the step was about.

A script's effects are one step, from MULTI to EXEC, and so is a command by itself, whoever sent it. Only the threads
that a step touches are looked at, so that the time of a step does not grow with what is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from psthreads.proving import rules
from psthreads.proving.append_only_file import FileParts, UnreadableFile, WrittenCommand, commands
from psthreads.proving.keyspace import Job, Keyspace
from psthreads.proving.rules import Record, Violation

_STREAMS: Final = frozenset({b"ps:feed", b"ps:audit"})
"""The streams to which scripts append; the ids of their entries are times."""

_ENTRY: Final = re.compile(rb"\d{1,14}-\d+")

_CLOCK_MS: Final = 5000
"""By how much the time of a step may differ from the time that is known."""

_SHOWN: Final = 80  # characters of a command
_MOST_WORKERS: Final = 4  # that a group may use before any worker has registered


@dataclass(frozen=True, slots=True)
class BrokenStep:
    """A step that breaks a rule: its number, where it begins, what it was, and a sentence on what is wrong.

    `time` is in milliseconds since the epoch, 0 where the file does not say it; `thread_id` is '' where none is meant.
    """

    number: int
    time: int
    file: Path
    offset: int
    deed: str
    thread_id: str
    sentence: str

    def __str__(self) -> str:
        at = (
            f", {datetime.fromtimestamp(self.time / 1000, UTC).isoformat(timespec='milliseconds')}" if self.time else ""
        )
        return f"step {self.number:,}{at}: {self.sentence}. {self.deed}, at byte {self.offset:,} of {self.file.name}"


class Judge:
    """Judges the files of one Redis, whose threads' queue has this name, in its database of this number.

    `group_threads` and `group_changes` count where the files do not say what is in force.
    """

    def __init__(self, queue: str, database: int, *, group_threads: float, group_changes: float) -> None:
        self._keyspace = Keyspace(queue)
        self._database = database
        self._limits = {"group_threads": group_threads, "group_changes": group_changes}
        self._is_whole = True
        self._selected = 0
        self._annotated = False
        self._last_words: dict[str, str] = {}
        self._begin: WrittenCommand | None = None
        self._first: list[bytes] = []
        self._size = 0
        self.time = 0
        """The latest time that is known, in milliseconds since the epoch."""
        self.steps = 0
        self.commands = 0
        self.threads = 0

    def run(self, parts: FileParts) -> Iterator[BrokenStep]:
        """Return the steps that break a rule, while reading. Raises UnreadableFile."""
        self._is_whole = parts.is_whole
        is_base, is_transaction = True, False
        command = None
        for command in commands(parts.files):
            self._note_time(command)
            if not command.words:
                continue
            if is_base and not command.is_base:
                is_base = False
                yield from self._end_step(command, is_base=True)
            name = command.words[0].upper()
            if name == b"SELECT":
                self._selected = _database(command)
            elif name == b"MULTI":
                is_transaction, self._begin = True, command
            elif name == b"EXEC":
                is_transaction = False
                yield from self._end_step(command)
            elif self._selected == self._database or name == b"FLUSHALL":
                self._begin = self._begin or command
                yield from self._apply(command, name)
                if not is_base and not is_transaction:
                    yield from self._end_step(command)
        if is_base and command is not None:
            yield from self._end_step(command, is_base=True)

    def _note_time(self, command: WrittenCommand) -> None:
        words = command.words
        if command.time:
            self._annotated = True
            self.time = max(self.time, 1000 * command.time)
        elif words and words[0] == b"XADD" and not _STREAMS.isdisjoint(words[1:2]):
            entry = next((word for word in words if _ENTRY.fullmatch(word)), b"0-0")
            self.time = max(self.time, int(entry.partition(b"-")[0]))

    def _apply(self, command: WrittenCommand, name: bytes) -> Iterator[BrokenStep]:
        self._first = self._first or command.words
        self._size += 1
        self.commands += 1
        if name in {b"FLUSHALL", b"FLUSHDB"}:
            self._keyspace.clear()
            return
        try:
            self._keyspace.apply(command.words)
        except Violation as violation:
            yield self._broken(command, "", str(violation))

    def _end_step(self, command: WrittenCommand, *, is_base: bool = False) -> Iterator[BrokenStep]:
        """Judge each thread that the step was about; after the base, all that there are."""
        keyspace = self._keyspace
        self.steps += not is_base and self._size > 0
        for thread_id, before in keyspace.touched.items():
            try:
                self._check(thread_id, before, is_base=is_base)
            except Violation as violation:
                if self._last_words.get(thread_id) != str(violation):
                    self._last_words[thread_id] = str(violation)
                    yield self._broken(command, thread_id, str(violation))
            else:
                self._last_words.pop(thread_id, None)
        if self._is_whole and not is_base:
            for key in keyspace.grown:
                try:
                    self._check_share(key)
                except Violation as violation:
                    yield self._broken(command, "", str(violation))
        keyspace.next_step()
        self._begin, self._first, self._size = None, [], 0

    def _check(self, thread_id: str, before: Job | None, *, is_base: bool) -> None:
        name, job = f"thread {thread_id}", self._keyspace.jobs.get(thread_id)
        old = before.record if before is not None else None
        if job is not None and job.raw is not None:
            raw, job.raw = job.raw, None
            record = rules.read_record(name, raw)
            # Most threads have ended, and many of them alike.
            job.record = _shared(record._replace(token=None)) if record.status.is_final else record
        new = job.record if job is not None else None
        if new is None or job is None:
            rules.check_change(name, old, None)
            if old is not None and thread_id not in self._keyspace.buried and not self._is_past(before):
                raise Violation(f"{name} had ended as {old.status}, and has vanished before its retention was over")
            return
        self.threads += old is None
        if not is_base and (old is not None or self._is_whole):
            rules.check_change(name, old, new)
        if not self._is_whole:
            return
        rules.check_place(name, thread_id, new, self._keyspace.values)
        rules.check_retention(name, new, expires=job.expires > 0)
        # A listing may have lost what has expired; when the base was made is not known.
        if not self._is_past(job) and not (is_base and new.status.is_final):
            rules.check_listings(name, thread_id, new, self._keyspace.values)
        if old is not None and new.status.is_final and not old.status.is_final:
            rules.check_tombstone(name, thread_id, self._keyspace.values)

    def _is_past(self, job: Job | None) -> bool:
        """Return whether the thread's retention may be over. Where no times are noted, what vanishes tells the time."""
        if job is None or not job.expires:
            return False
        is_dark = self._keyspace.has_expired and not self._annotated
        return job.expires <= (math.inf if is_dark else self.time + _CLOCK_MS)

    def _check_share(self, key: str) -> None:
        """Check that a group that has got another slot has no more than it may."""
        values = self._keyspace.values
        settings = {**self._limits, **values.get("ps:settings", {})}
        slots = len(values.get(key, ()))
        if key.endswith(":changes"):
            rules.check_share(slots, int(float(settings["group_changes"])), f"entries in {key}")
        elif key.startswith("ps:slots:"):
            workers = len(values.get(self._keyspace.workers, ()))
            of_workers = max(1, workers - 1) if workers else _MOST_WORKERS
            rules.check_share(slots, int(float(settings["group_threads"])) or of_workers, f"entries in {key}")

    def _broken(self, command: WrittenCommand, thread_id: str, sentence: str) -> BrokenStep:
        begin = self._begin or command
        words = b" ".join(self._first[:3]).decode("utf-8", "replace")
        words = words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"
        deed = f"{self._size} commands, the first of them {words}" if self._size > 1 else words or "The base"
        return BrokenStep(self.steps, self.time, begin.file, begin.offset, deed, thread_id, sentence)


@lru_cache(maxsize=1000)
def _shared(record: Record) -> Record:
    return record


def _database(command: WrittenCommand) -> int:
    number = b"".join(command.words[1:2])
    if not number.isdigit():
        raise UnreadableFile(f"{command.file} selects no database at byte {command.offset:,}.")
    return int(number)
