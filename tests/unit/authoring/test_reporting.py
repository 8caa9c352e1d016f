"""When what a thread says is written: seldom, but at once where it matters; and never twice, never not."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext

import pytest
from lxml import etree

from psthreads.authoring.capture.pipes import OutputPipes
from psthreads.authoring.capture.streams import OutputCapture
from psthreads.authoring.elements import Bar, ReportedElement
from psthreads.authoring.interrupts import Cancelled, Interrupts
from psthreads.authoring.reporting import FLUSH_LINES, MOST_ELEMENTS, MOST_XML, Outbox
from psthreads.domain.errors import Unavailable
from psthreads.domain.model import Level, Ownership, Report, Status
from tests.support.waiting import wait_for

FOR_EVER = 600.0


class Listener:
    """A reporter that keeps what it is told, and when; it can be away."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.times: list[float] = []
        self.is_away = False

    def report(self, report: Report) -> Ownership:
        if self.is_away:
            raise Unavailable
        self.reports.append(report)
        self.times.append(time.monotonic())
        return Ownership.OWNED

    @property
    def lines(self) -> list[str]:
        return [line.message for report in self.reports for line in report.lines]


@pytest.fixture
def listener() -> Listener:
    return Listener()


def begun(listener: Listener, interval: float = FOR_EVER) -> Outbox:
    outbox = Outbox(listener, interval=interval)
    outbox.start()
    return outbox


def test_what_changes_often_is_written_once_in_an_interval(listener: Listener) -> None:
    outbox = begun(listener, interval=0.3)
    end = time.monotonic() + 1.0
    said = 0
    while time.monotonic() < end:
        outbox.report(f"at {said}", Level.INFO)
        said += 1
        time.sleep(0.001)
    left = outbox.close()
    assert 2 <= len(listener.reports) <= 4
    assert all(after - before >= 0.29 for before, after in zip(listener.times, listener.times[1:], strict=False))
    assert len(listener.lines) + sum(len(report.lines) for report in left) == said


def test_a_change_of_status_is_written_at_once(listener: Listener) -> None:
    outbox = begun(listener)
    outbox.report("fine", Level.INFO)
    time.sleep(0.2)
    assert not listener.reports, "nothing has changed that cannot wait"
    outbox.report("odd", Level.WARN)
    wait_for(lambda: [report.status for report in listener.reports] == [Status.WARNING], 5)
    outbox.report("fine again", Level.INFO)
    wait_for(lambda: [report.status for report in listener.reports] == [Status.WARNING, Status.INPROGRESS], 5)
    assert not outbox.close()


def test_a_status_that_flaps_is_not_written_each_time(listener: Listener) -> None:
    outbox = begun(listener)
    begin = time.monotonic()
    for number in range(500):
        outbox.report(f"odd {number}", Level.WARN)
        outbox.report(f"fine {number}", Level.INFO)
    left = outbox.close()
    assert len(listener.reports) <= (time.monotonic() - begin) / 0.05 + 2
    assert sum(report.warnings for report in (*listener.reports, *left)) == 500


def test_an_interrupt_has_everything_written_that_was_said_before(listener: Listener) -> None:
    outbox = begun(listener)
    interrupts = Interrupts(outbox.flush_soon)
    outbox.log("the last words", Level.INFO)
    with pytest.raises(Cancelled):
        interrupts.deliver(Cancelled())
    wait_for(lambda: listener.lines == ["the last words"], 5)
    outbox.close()


def test_many_lines_do_not_wait_for_the_interval_and_all_arrive_in_order(listener: Listener) -> None:
    outbox = begun(listener)
    total = 25 * FLUSH_LINES + 7
    for number in range(total):
        outbox.log(f"line {number}", Level.INFO)
        if not len(outbox.lines) % FLUSH_LINES:
            outbox.make_space(lambda: False)
    left = outbox.close()
    told = listener.lines + [line.message for report in left for line in report.lines]
    assert told == [f"line {number}" for number in range(total)]
    assert len(listener.reports) > 5
    assert max(len(report.lines) for report in (*listener.reports, *left)) <= 2 * FLUSH_LINES


def test_what_could_not_be_written_is_sent_again_under_its_number(listener: Listener) -> None:
    outbox = begun(listener, interval=0.05)
    listener.is_away = True
    outbox.log("one", Level.INFO)
    time.sleep(0.2)
    outbox.log("two", Level.INFO)
    listener.is_away = False
    wait_for(lambda: listener.lines == ["one", "two"], 5)
    outbox.close()
    assert [report.number for report in listener.reports] == [1, 2]


def test_what_is_left_at_the_end_is_handed_out(listener: Listener) -> None:
    outbox = begun(listener)
    outbox.report("Almost done", Level.INFO)
    outbox.log("fine", Level.INFO, detail="in /login")
    (left,) = outbox.close()
    assert left.message == "Almost done"
    assert [(line.message, line.detail) for line in left.lines] == [("Almost done", ""), ("fine", "in /login")]


def test_elements_beyond_the_cap_are_not_shown_and_the_log_says_so_once(listener: Listener) -> None:
    outbox = Outbox(listener)
    for number in range(50_000):
        outbox.put(f"bar{number}", Bar(f"bar{number}", 10))
    outbox.flush()
    (report,) = listener.reports
    assert report.xml is not None
    assert report.xml.count("<bar") == MOST_ELEMENTS
    assert listener.lines == [
        "Not shown: 'bar200' and what follows, since a thread has 200 elements and 65,536 characters of XML at most"
    ]
    outbox.put("bar1", Bar("bar1", 99))
    outbox.flush()
    assert '<bar1 total="99" current="0"/>' in (listener.reports[1].xml or ""), "one that is shown may change"


def test_a_thread_shows_so_many_characters_of_its_own_xml_whatever_replaces_what(listener: Listener) -> None:
    outbox = Outbox(listener)
    for number in range(20):
        element = etree.Element(f"big{number}")
        element.text = "x" * 10_000
        outbox.put(f"big{number}", ReportedElement(element))
        outbox.put("again", ReportedElement(etree.Element("again", number=str(number))))
    outbox.flush()
    xml = listener.reports[0].xml or ""
    assert 60_000 < len(xml) <= MOST_XML
    assert '<again number="19"/>' in xml


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_worker_finds_in_the_pipes_what_is_not_stored_and_nothing_else(
    listener: Listener, *, is_stored: bool
) -> None:
    pipes, outbox = OutputPipes(), Outbox(listener)
    output = OutputCapture(pipes)
    with output.captured(outbox, nullcontext()):
        os.write(pipes.stdout.writer, b"printed\n")
        output.sync()
        if is_stored:
            outbox.flush()
        assert [line.message for line in pipes.last_lines()] == ([] if is_stored else ["printed"])
    assert ("printed" in listener.lines) is is_stored
    pipes.close()
