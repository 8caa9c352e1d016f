"""Runs a process in a test: without Redis, workers and HTTP, and judged as a worker judges it.

    from psthreads.testing.harness import run

    def test_words_are_counted() -> None:
        done = run(count_words, {"path": "/documents"}, documents={"/documents/a.txt": "one two"})
        assert (done.status, done.message) == ("completed", "2 words")

    @pytest.mark.parametrize("n", range(run(count_words, documents=DOCUMENTS).checkpoints))
    def test_a_cancel_leaves_nothing_behind(n: int) -> None:
        assert run(count_words, documents=DOCUMENTS, cancel_at=n).leftovers == ()

Each run has documents, results and a temporary folder of its own, which are removed at its end. It works in any Python
thread; a second run waits for the first one to end, for what Python has only one of (its logging, its temporary
folder) is the run's while it lasts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree

from psthreads.authoring.capture import logging_into
from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.authoring.outcome import NOTHING, conclude
from psthreads.authoring.parameter import Value
from psthreads.authoring.process import Process, Start
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.model import Event, Level, Outcome, Status
from psthreads.testing.sandbox import ACME, Sandbox, WatchedContext, contents

__all__ = ["ACME", "JONES", "BarRun", "Element", "File", "Run", "check", "run"]

JONES: Final = Member(1, "jjones")
"""The member of a run, unless it is given another."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the thread's own XML."""

    text: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BarRun:
    """A progress bar as it ended, and every state that it had on the way, each as current and total."""

    current: int
    total: int
    states: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class File:
    """A file that a check answered with, in place of a thread."""

    filename: str
    mimetype: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a process that was run.

    `status` and `message` are those of the thread at its end; `initialised` is the status of one that would be
    queued again. `error` is what the process's function raised, also an interrupt. `events` are the numbered
    lines of the log that the process wrote, `messages` what was the thread's message, one after the other. `results`
    are the files by the name that the process asked for, and `filenames` the name of each for a download.
    `documents` are those of the group after the run, and `loading_zone` the files in the member's, by path.
    `leftovers` are the temporary files and folders that are still there, which should be none. `checkpoints` counts
    the points at which it could have been interrupted: its reports, its log's lines, each step of a bar, `check()`,
    and a result file's beginning and end.
    """

    status: Status
    message: str
    error: BaseException | None = None
    interrupted: bool = False
    checkpoints: int = 0
    events: tuple[Event, ...] = ()
    messages: tuple[str, ...] = ()
    warnings: int = 0
    errors: int = 0
    bars: Mapping[str, BarRun] = field(default_factory=dict)
    elements: Mapping[str, Element] = field(default_factory=dict)
    results: Mapping[str, bytes] = field(default_factory=dict)
    filenames: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    loading_zone: Mapping[str, bytes] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()

    @property
    def log(self) -> list[str]:
        """The lines of the log, without their numbers and levels."""
        return [event.message for event in self.events]


def run(
    process: Process,
    parameters: Mapping[str, Value] | None = None,
    *,
    documents: Mapping[str, bytes | str] | None = None,
    loading_zone: Mapping[str, bytes | str] | None = None,
    group: Group | None = None,
    member: Member = JONES,
    cancel_at: int | None = None,
    time_out_at: int | None = None,
    shut_down_at: int | None = None,
) -> Run:
    """Run a process to its end, and tell what became of it.

    `parameters` are texts, as in a request, or values; a wrong one raises BadParameter as it would in a
    request, and one that the process does not declare a ValueError. `documents` are the group's and `loading_zone`
    the member's files, by path; a path that ends in a slash is an empty folder. A process on the whole server has
    no group and none of both.

    `cancel_at`, `time_out_at` and `shut_down_at` (one of them) interrupt it at the checkpoint of that number, from 0:
    `range(done.checkpoints)` are all there are. The checks that would refuse a start are not run: for these there is
    `check`. A KeyboardInterrupt goes through.
    """
    at = _interrupt({Cancelled: cancel_at, TimedOut: time_out_at, ShutDown: shut_down_at})
    values = process.read(_texts(process, parameters or {}))
    with Sandbox(process, group, member, documents or {}, loading_zone or {}) as sandbox:
        context = sandbox.context(at)
        returned: Any = NOTHING
        error: BaseException | None = None
        try:
            with _captured(context):
                try:
                    context.start()
                    context.is_live = True
                    returned = process.function(context, **values)
                finally:
                    context.is_live = False
                    context.stop_interrupts()
                    if context.is_own_process:
                        context.clean_up()
        except BaseException as raised:  # noqa: BLE001 (whatever a process raises, it is judged)
            error = raised
        if not context.is_own_process:
            os._exit(0)  # A process that the process forked came back here.
        outcome = conclude(context, returned, error, process.time_limit or Config().time_limit)
        for report in context.close():
            sandbox.report(report)
        if isinstance(error, KeyboardInterrupt):
            raise error
        status, message = _ended(process, context, outcome, member)
        return Run(
            status,
            message,
            error,
            interrupted=context.interrupted,
            checkpoints=context.checkpoints,
            events=tuple(Event(number, *line) for number, line in enumerate(sandbox.lines, start=1)),
            messages=tuple(context.messages),
            warnings=context.warnings,
            errors=context.errors,
            bars={
                name: BarRun(bar.current, bar.total, tuple(context.states[name])) for name, bar in context.bars.items()
            },
            elements=dict(_elements(sandbox.xml, context)),
            results=dict(sandbox.whole(context.filenames)),
            filenames=dict(context.filenames),
            documents=contents(sandbox.folder),
            loading_zone=contents(sandbox.zone),
            leftovers=sandbox.leftovers(),
        )


def check(
    process: Process,
    parameters: Mapping[str, Value] | None = None,
    *,
    documents: Mapping[str, bytes | str] | None = None,
    loading_zone: Mapping[str, bytes | str] | None = None,
    group: Group | None = None,
    member: Member = JONES,
) -> File | None:
    """Run what is checked before a start, as a request would: None where a thread would be started.

    Raises what the check raises to refuse the start; the file is what would be answered in place of a thread.
    """
    values = process.read(_texts(process, parameters or {}))
    with Sandbox(process, group, member, documents or {}, loading_zone or {}) as sandbox:
        about = Start(
            member=member,
            group=sandbox.group,
            folder=sandbox.folder,
            scratch=sandbox.files.scratch,
            values=values,
            loading_zone=sandbox.zone,
        )
        for one in process.checks:
            if (answer := one(about)) is not None:
                return File(answer.filename, answer.mimetype, answer.path.read_bytes())
    return None


def _elements(xml: str, context: WatchedContext) -> Iterator[tuple[str, Element]]:
    for part in etree.fromstring(f"<xml>{xml}</xml>"):
        if part.tag not in context.bars:
            attributes = {str(name): str(value) for name, value in part.attrib.items()}
            yield str(part.tag), Element(part.text or "", attributes)


def _interrupt(asked: Mapping[type[Interrupted], int | None]) -> tuple[int, Interrupted | None]:
    given = [(number, reason()) for reason, number in asked.items() if number is not None]
    if len(given) > 1:
        raise ValueError("Only the first interrupt counts: give one of cancel_at, time_out_at and shut_down_at")
    return given[0] if given else (-1, None)


def _texts(process: Process, parameters: Mapping[str, Value]) -> dict[str, str]:
    names = {name: one.wire for one in process.parameters for name in (one.name, one.wire)}
    if unknown := sorted(parameters.keys() - names.keys()):
        raise ValueError(f"The process '{process.name}' has no parameter '{unknown[0]}'")
    return {
        names[name]: str(value).lower() if isinstance(value, bool) else str(value) for name, value in parameters.items()
    }


def _captured(context: WatchedContext) -> Any:
    def log(text: str, level: Level, detail: str) -> None:
        if context.is_own_process:
            context.log(text, level, detail=detail)

    return logging_into(log, Config().log_level)


def _ended(process: Process, context: WatchedContext, outcome: Outcome | None, member: Member) -> tuple[Status, str]:
    """The status and the message as the store would have them."""
    if context.interrupted and isinstance(context.reason, Cancelled):
        return Status.CANCELLED, f"Cancelled by {member.username}"  # From the request on it can end no other way.
    if outcome is None:
        return (Status.INITIALISED if process.restartable else Status.FAILED), "Worker restarted"
    return outcome.status, context.masked(outcome.message)
