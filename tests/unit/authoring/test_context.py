"""The context: what reaches the reporter, and how an interrupt reaches the process's code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest

from psthreads.authoring.context import Cancelled, Context, Interrupted
from psthreads.documents.layout import Documents
from psthreads.domain.access import Group, Member
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Level, Ownership, Report, Status
from tests.support.waiting import wait_for


class Listener:
    """A reporter that keeps what it is told; it can be away, or answer that the thread is not ours."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.is_away = False
        self.refused = 0
        self.ownership = Ownership.OWNED

    def report(self, report: Report) -> Ownership:
        if self.is_away:
            self.refused += 1
            raise Unavailable
        self.reports.append(report)
        return self.ownership

    @property
    def lines(self) -> list[str]:
        return [line.message for report in self.reports for line in report.lines]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def context(listener: Listener, tmp_path: Path) -> Context:
    documents = Documents(tmp_path)
    return Context(
        thread_id="0" * 32,
        member=Member(1, "jjones"),
        group=Group(7, "acme"),
        folder=documents.group(Group(7, "acme")),
        results=documents.results(7),
        scratch=documents.scratch,
        reporter=listener,
        redis_time=1_652_667_241_924,
        interval=0.02,
        on_lost=lambda: os.kill(os.getpid(), signal.SIGUSR1),
    )


def test_a_report_holds_what_changed_since_the_last_one(context: Context, listener: Listener) -> None:
    bar = context.bar("progress", total=3)
    context.message("At 1")
    bar.advance()
    context.flush()
    context.flush()
    context.warning("Odd")
    context.error("Wrong")
    context.message("Going on")
    context.flush()
    first, second = listener.reports
    assert (first.number, first.message, first.status) == (1, "At 1", Status.INPROGRESS)
    assert first.xml == '<progress total="3" current="1"/>'
    assert (second.number, second.message, second.status) == (2, "Going on", Status.INPROGRESS)
    assert (second.warnings, second.errors, second.xml) == (1, 1, None)
    assert [(line.level, line.message) for line in second.lines] == [
        (Level.WARN, "Odd"),
        (Level.ERROR, "Wrong"),
        (Level.INFO, "Going on"),
    ]
    assert first.lines[0].timestamp >= 1_652_667_241_924


def test_reports_are_written_in_the_background_and_the_last_one_is_for_whoever_ends_it(
    context: Context, listener: Listener
) -> None:
    context.start()
    context.log("one")
    wait_for(lambda: listener.lines == ["one"])
    context.log("two")
    left = context.close()
    assert listener.lines + lines_in(left) == ["one", "two"]
    assert context.close() == ()


def lines_in(reports: tuple[Report, ...]) -> list[str]:
    return [line.message for report in reports for line in report.lines]


def test_what_was_said_after_a_report_that_could_not_be_written_is_not_lost(
    context: Context, listener: Listener
) -> None:
    context.start()
    listener.is_away = True
    context.log("one")
    wait_for(lambda: listener.refused)
    context.log("two")
    context.warning("three")
    left = context.close()
    assert [report.number for report in left] == [1, 2]
    assert lines_in(left) == ["one", "two", "three"]
    assert sum(report.warnings for report in left) == 1


def test_a_report_that_could_not_be_written_is_sent_again_under_its_number(
    context: Context, listener: Listener
) -> None:
    listener.is_away = True
    context.log("one")
    for _ in range(2):
        with pytest.raises(Unavailable):
            context.flush()
    context.log("two")
    listener.is_away = False
    context.flush()
    context.flush()
    assert [report.number for report in listener.reports] == [1, 2]
    assert listener.lines == ["one", "two"]


def test_many_lines_are_all_kept_in_order(context: Context, listener: Listener) -> None:
    context.start()
    for number in range(20_000):
        context.log(f"line {number}")
    left = context.close()
    assert listener.lines + lines_in(left) == [f"line {number}" for number in range(20_000)]


def test_a_bar_counts_what_was_done_even_when_the_loop_is_left(context: Context) -> None:
    bar = context.bar("processing", total=10)
    for item in bar.iter(range(10)):
        if item == 4:
            break
    assert bar.current == 4
    assert sum(bar.iter([1, 2, 3])) == 6
    assert bar.current == 7


@pytest.mark.parametrize("name", ["", "two words", "<b>", "1st", "message", "status", "errors"])
def test_a_name_that_is_no_xml_name_or_is_taken_is_refused(context: Context, name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        context.bar(name)
    with pytest.raises(ValueError, match=r".+"):
        context.element(name, "text")


def test_work_on_the_whole_server_has_no_documents(listener: Listener, tmp_path: Path) -> None:
    context = Context(
        thread_id="0" * 32,
        member=Member(1, "root"),
        group=None,
        folder=None,
        results=Documents(tmp_path).results(-1),
        scratch=tmp_path,
        reporter=listener,
    )
    with pytest.raises(RuntimeError, match="works on the whole server"):
        _ = context.folder


@contextmanager
def interruptible(context: Context) -> Iterator[None]:
    """SIGUSR1 cancels."""

    def handle(_number: int, frame: FrameType | None) -> None:
        context.interrupt(Cancelled(), frame)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_is_raised_at_once_in_plain_code(context: Context) -> None:
    with interruptible(context), pytest.raises(Cancelled):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        while True:
            time.sleep(10)


# An interrupt that comes while Python removes an object is raised at the next report, and told to stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_never_tears_a_report_apart(context: Context, listener: Listener) -> None:
    context.start()
    said = 0
    with interruptible(context), pytest.raises(Cancelled):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        while True:
            context.log(f"line {said}")
            said += 1
    left = context.close()
    lines = listener.lines + lines_in(left)
    assert lines[:said] == [f"line {number}" for number in range(said)]
    assert len(lines) - said in {0, 1}, "the line under way is there whole, or not at all"


def test_a_finally_block_may_still_report(context: Context, listener: Listener) -> None:
    with interruptible(context), pytest.raises(Cancelled):
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(10)
        finally:
            context.message("Cleaning up")
            context.log("Cleaned up")
            context.flush()
    assert listener.lines == ["Cleaning up", "Cleaned up"]


def test_an_interrupt_that_was_swallowed_is_raised_again_at_the_next_report(context: Context) -> None:
    with interruptible(context):
        with suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(10)
        with pytest.raises(Cancelled):
            context.check()


def test_only_the_first_interrupt_is_raised_so_that_cleaning_up_is_not_cut_short(context: Context) -> None:
    cleaned = []
    with interruptible(context), pytest.raises(Cancelled):
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGUSR1)
            cleaned.append(True)
    assert cleaned == [True]
    assert isinstance(context.stop_interrupts(), Cancelled)


def test_a_report_that_is_refused_interrupts_the_process(context: Context, listener: Listener) -> None:
    listener.ownership = Ownership.DISOWNED
    with interruptible(context), pytest.raises(Cancelled):
        context.start()
        context.log("written by a dead worker")
        time.sleep(10)


def test_a_result_file_appears_only_when_it_is_whole(context: Context, tmp_path: Path) -> None:
    with context.result("good.txt") as file:
        file.write(b"whole")
    with pytest.raises(Cancelled), context.result("bad.txt") as file:
        file.write(b"half")
        raise Cancelled
    assert [path.name for path in (tmp_path / "results" / "7").iterdir()] == [f"good-{'0' * 32}.txt"]
