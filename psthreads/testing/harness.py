"""Runs a process in a test: without Redis, workers and HTTP, and with a worker's rules for its outcome.

    from psthreads.testing import run

    def test_words_are_counted() -> None:
        result = run(count_words, {"path": "/documents"}, documents={"/documents/a.txt": "one two"})
        assert (result.status, result.message) == ("completed", "2 words")

    @pytest.mark.parametrize("n", range(run(count_words, documents=DOCUMENTS).checkpoints))
    def test_a_cancel_leaves_nothing_behind(n: int) -> None:
        assert run(count_words, documents=DOCUMENTS, cancel_at=n).leftovers == ()

Each run has documents, results and a temporary folder of its own, which are removed at its end. A run may be in any
Python thread. Only one is active at a time, because Python's logging and temporary folder belong to it; a second one
waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree

from psthreads.authoring.capture.records import logging_into
from psthreads.authoring.context import Cancelled, Interrupted, ShutDown, TimedOut
from psthreads.authoring.ending import as_a_program
from psthreads.authoring.outcome import NOTHING, conclude
from psthreads.authoring.parameter import Value
from psthreads.authoring.process import Process, Start
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.domain.foreign import is_a
from psthreads.domain.model import Event, Level, Outcome, Status
from psthreads.testing.sandbox import ACME, Sandbox, WatchedContext, contents

__all__ = ["ACME", "JONES", "BarRun", "Element", "File", "Run", "check", "run"]

JONES: Final = Member(1, "jjones")
"""The default member of a run."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the thread's own XML."""

    text: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BarRun:
    """The last state of a progress bar, and all its states, each as current and total."""

    current: int
    total: int
    states: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class File:
    """The file that a check returned in place of a thread."""

    filename: str
    mimetype: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a run.

    - `status` and `message` are the thread's at its end; a thread that would be queued again is `initialised`.
    - `error` is the exception that the process's function raised, which may be an interrupt.
    - `checkpoints` counts the points at which the process could be interrupted: its reports, the lines of its log,
      each step of a bar, `check()`, and the start and the end of a result file.
    - `events` are the numbered lines of the log; `messages` are all messages of the thread, in order.
    - `results` are the result files by the name that the process gave; `filenames` are their names for a download.
    - `documents` are the group's after the run, and `loading_zone` the files in the member's loading zone, by path.
    - `result` is the value that the function returned, as JSON carries it: None where it returned none or a text.
    - `leftovers` are the temporary files and folders that were not removed; there should be none.
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
    result: Any = None

    @property
    def log(self) -> list[str]:
        """The lines of the log, without numbers and levels."""
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
    """Run a process to its end, and return the result.

    `parameters` are texts, as in a request, or values. An invalid one raises BadParameter, as in a request, and one
    that the process does not declare ValueError. `documents` are the group's and `loading_zone` the member's files, by
    path; a path that ends in a slash is an empty folder. A process on the whole server has no group, documents or
    loading zone.

    One of `cancel_at`, `time_out_at` and `shut_down_at` interrupts the process at the checkpoint with that number, from
    0: `range(result.checkpoints)` are all of them. The process's checks are not run: use `check` for them. A
    KeyboardInterrupt is raised.
    """
    interrupt_at = _interrupt({Cancelled: cancel_at, TimedOut: time_out_at, ShutDown: shut_down_at})
    values = process.read(_texts(process, parameters or {}))
    with Sandbox(process, group, member, documents or {}, loading_zone or {}) as sandbox:
        context = sandbox.context(*interrupt_at)
        returned: Any = NOTHING
        error: BaseException | None = None
        try:
            with _captured(context):
                try:
                    context.start()
                    context.is_live = True
                    with as_a_program(context, with_exit=False):
                        value = process.function(context, **values)
                    returned = value
                finally:
                    context.is_live = False
                    context.stop_interrupts()
                    context.clean_up()
        except BaseException as raised:  # noqa: BLE001 (whatever a process raises, its thread has an outcome)
            error = raised
        if not context.is_own_process:
            os._exit(0)  # A fork of the process returned here.
        outcome = conclude(context, returned, error, process.time_limit or Config().time_limit)
        for report in context.close():
            sandbox.report(report)
        if is_a(error, KeyboardInterrupt) and not is_a(error, Interrupted):
            raise error
        status, message = _ending(process, context, outcome, member)
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
            results=dict(sandbox.result_files(context.filenames)),
            filenames=dict(context.filenames),
            documents=contents(sandbox.folder),
            loading_zone=contents(sandbox.zone),
            leftovers=sandbox.leftovers(),
            result=outcome.result if outcome else None,
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
    """Run a process's checks, as a request does before a start.

    Returns None if a thread would be started, or the file that would be sent in its place. Raises the exception of a
    check that refuses the start.
    """
    values = process.read(_texts(process, parameters or {}))
    with Sandbox(process, group, member, documents or {}, loading_zone or {}) as sandbox:
        start = Start(
            member=member,
            group=sandbox.group,
            folder=sandbox.folder,
            scratch=sandbox.files.scratch,
            values=values,
            loading_zone=sandbox.zone,
        )
        for process_check in process.checks:
            if (answer := process_check(start)) is not None:
                return File(answer.filename, answer.mimetype, answer.path.read_bytes())
    return None


def _elements(xml: str, context: WatchedContext) -> Iterator[tuple[str, Element]]:
    for part in etree.fromstring(f"<xml>{xml}</xml>"):
        if part.tag not in context.bars:
            attributes = {str(name): str(value) for name, value in part.attrib.items()}
            yield str(part.tag), Element(part.text or "", attributes)


def _interrupt(checkpoints: Mapping[type[Interrupted], int | None]) -> tuple[int, Interrupted | None]:
    interrupts = [(checkpoint, reason()) for reason, checkpoint in checkpoints.items() if checkpoint is not None]
    if len(interrupts) > 1:
        raise ValueError("Only the first interrupt counts: give one of cancel_at, time_out_at and shut_down_at")
    return interrupts[0] if interrupts else (-1, None)


def _texts(process: Process, parameters: Mapping[str, Value]) -> dict[str, str]:
    names = {name: parameter.wire for parameter in process.parameters for name in (parameter.name, parameter.wire)}
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


def _ending(process: Process, context: WatchedContext, outcome: Outcome | None, member: Member) -> tuple[Status, str]:
    """Return the status and the message that the store would have."""
    if context.interrupted and isinstance(context.reason, Cancelled):
        return Status.CANCELLED, f"Cancelled by {member.username}"  # After the request, no other ending is possible.
    if outcome is None:
        return (Status.INITIALISED if process.restartable else Status.FAILED), "Worker restarted"
    return outcome.status, context.masked(outcome.message)
