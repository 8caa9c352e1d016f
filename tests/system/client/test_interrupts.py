"""The command line as a program: interrupted, and asked for a password on a terminal."""

from __future__ import annotations

import signal

from tests.support.scripted_server import (
    START,
    Answer,
    Scripted,
)
from tests.support.waiting import wait_for
from tests.system.client.programs import DEADLINE, Programs


def test_an_interrupt_before_the_answer_says_that_the_thread_may_have_been_started(
    run: Programs, scripted: Scripted
) -> None:
    scripted.say(START, Answer(503, headers={"Retry-After": "5"}))
    process = run.process("start", "validate", "-g", "acme")
    wait_for(lambda: scripted.requests(START))
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "may have been started" in shown
    assert "Traceback" not in shown


def test_the_password_is_asked_for_and_not_shown(run: Programs, scripted: Scripted) -> None:
    scripted.say("/threads", Answer(200, "<threads/>"))
    screen = run.terminal("list", "--username", "u", PSTHREADS_TOKEN=None)
    screen.until("Password of u: ")
    screen.type("pass\n")
    assert screen.end() == 0
    assert "pass" not in screen.shown.partition("Password of u: ")[2]
    assert scripted.asked[0].headers["Authorization"] == "Basic dTpwYXNz"
