"""Watching a thread: lines, a live bar, and Ctrl-C on a real terminal."""

from __future__ import annotations

import re
import signal

import pytest

from tests.support.scripted_server import CANCEL, ID, PROGRESS, Answer, Scripted, running, thread_xml
from tests.support.waiting import wait_for
from tests.system.client.programs import DEADLINE, Programs, Terminal


def test_watching_leaves_stdout_to_the_answer_when_one_is_asked_for(run: Programs, scripted: Scripted) -> None:
    ended = thread_xml("completed", "<message>Over</message>")
    scripted.say(PROGRESS, Answer(200, running()), Answer(200, ended))
    done = run("progress", ID, "-g", "acme", "--watch", "--xml")
    assert done.stdout == ended + "\n"
    assert done.stderr.splitlines() == ["inprogress  1/9  Working", "completed  Over"]


def test_a_live_bar_shows_message_counts_and_time_left(run: Programs, scripted: Scripted) -> None:
    scripted.say(PROGRESS, *(Answer(200, running(f"At [b]{number}[/b]", number)) for number in range(9)))
    screen = run.terminal("progress", ID, "-g", "acme", "--watch")
    screen.until("At [b]7[/b]")
    assert "━" in screen.shown
    assert "7/9" in screen.shown
    assert re.search(r"0:00:0\d", screen.shown)
    scripted.say(PROGRESS, Answer(200, thread_xml("completed", "<message>All done</message>")))
    assert screen.end() == 0
    assert "completed  All done" in screen.shown
    assert "\x1b[?25h" in screen.shown  # The cursor is back.


@pytest.mark.parametrize("arguments", [["--watch"], [], ["--json"]])
def test_a_message_cannot_drive_the_terminal(run: Programs, scripted: Scripted, arguments: list[str]) -> None:
    # XML cannot carry ESC, but it can carry the one-character CSI; JSON that is not escaped can both.
    evil = "[red]a\x9b31mb\u202ec\x9d0;owned\x9c"
    body = "\x1b]0;owned\x07" if arguments == ["--json"] else thread_xml("failed", f"<message>{evil}</message>")
    scripted.say(PROGRESS, Answer(200, body))
    screen = run.terminal("progress", ID, "-g", "acme", *arguments)
    screen.end()
    for character in ("\x9b", "\x9d", "\u202e", "\x1b]", "\x07"):
        assert character not in screen.shown
    assert "owned" in screen.shown


def watched(run: Programs, scripted: Scripted) -> Terminal:
    scripted.say(PROGRESS, Answer(200, running()))
    scripted.say(CANCEL, Answer(200, "<thread-cancel>" + thread_xml("cancelled") + "</thread-cancel>"))
    screen = run.terminal("progress", ID, "-g", "acme", "--watch")
    screen.until("Working")
    screen.type("\x03")
    screen.until("leave it running")
    return screen


def test_ctrl_c_can_cancel_the_thread(run: Programs, scripted: Scripted) -> None:
    screen = watched(run, scripted)
    screen.type("c\n")
    assert screen.end() == 3
    assert len(scripted.requests(CANCEL)) == 1


def test_a_cancel_that_takes_time_is_watched_to_its_end(run: Programs, scripted: Scripted) -> None:
    screen = watched(run, scripted)
    cancelling = thread_xml(inside="<message>Stopping</message>", attributes='cancelling="true"')
    scripted.say(CANCEL, Answer(200, f"<thread-cancel>{cancelling}</thread-cancel>"))
    scripted.say(PROGRESS, Answer(200, cancelling))
    screen.type("c\n")
    screen.until("(cancelling)")
    screen.type("\x03")
    screen.until("without grace")
    scripted.say(PROGRESS, Answer(200, thread_xml("cancelled")))
    screen.type("c\n")
    assert screen.end() == 3
    assert [asked.form for asked in scripted.requests(CANCEL)] == [{}, {"force": ["true"]}]


@pytest.mark.parametrize("keys", ["l\n", "\n", "what\n", "\x03", "\x04"])
def test_ctrl_c_can_leave_the_thread_running(run: Programs, scripted: Scripted, keys: str) -> None:
    screen = watched(run, scripted)
    screen.type(keys)
    assert screen.end(again="\x03" if keys == "\x03" else "") == 130
    assert f"psthreads cancel {ID} --group acme" in screen.shown
    assert "Traceback" not in screen.shown
    assert scripted.requests(CANCEL) == []


def test_without_a_terminal_an_interrupt_leaves_the_thread_and_says_how_to_cancel_it(
    run: Programs, scripted: Scripted
) -> None:
    scripted.say(PROGRESS, Answer(200, running()))
    process = run.process("progress", ID, "-g", "acme", "--watch")
    wait_for(lambda: len(scripted.requests(PROGRESS)) >= 3)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert f"psthreads cancel {ID} --group acme" in shown
    assert scripted.requests(CANCEL) == []
