"""Processes that behave in every way that a process may, for the tests; loaded by real workers."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

from psthreads.authoring.context import Cancelled, Context
from psthreads.authoring.registry import process
from psthreads.domain.model import Outcome, Status

_ROUTE = "/members/{member}/groups/{group}/samples/"


def _mark(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text + "\n")


@process(title="Counting to {to}", route=_ROUTE + "count")
def count(context: Context, to: int = 3, mark: str = "", pause: float = 0.0) -> str:
    """Counts, and says so."""
    if mark:
        _mark(mark, f"ran {context.thread_id}")
    with context.bar("progress", total=to) as bar:
        for number in bar.iter(range(1, to + 1)):
            context.message(f"At {number}")
            if pause:
                time.sleep(pause)
    return f"Counted to {to}"


@process(title="Counting again to {to}", route=_ROUTE + "restartable", restartable=True)
def restartable(context: Context, to: int = 3, mark: str = "", pause: float = 0.0) -> str:
    """Counts, and may be run again from its start."""
    return str(count.function(context, to, mark, pause))


@process(title="Spinning", route=_ROUTE + "spin")
def spin(context: Context, mark: str) -> None:
    """Runs for ever in pure Python."""
    _until_cancelled(context, mark, lambda: None)


@process(title="Sleeping", route=_ROUTE + "sleep")
def sleep(context: Context, mark: str, limit: float = 1000.0) -> None:
    """Sleeps for very long."""
    _until_cancelled(context, mark, lambda: time.sleep(limit))


@process(title="Waiting", route=_ROUTE + "waiting")
def waiting(context: Context, mark: str, until: str) -> str:
    """Goes on when a file is there, and reports on what then happens."""
    _mark(mark, "started")
    while not Path(until).exists():
        time.sleep(0.01)
    for _ in range(5):
        context.message("While nothing could be written")
        time.sleep(0.2)
    _mark(mark, "reported")
    return "Saw it through"


@process(title="Limited", route=_ROUTE + "limited", time_limit=1)
def limited(context: Context, mark: str) -> None:
    """Sleeps past its time limit."""
    _until_cancelled(context, mark, lambda: time.sleep(1000))


@process(title="Stuck", route=_ROUTE + "stuck")
def stuck(context: Context, mark: str) -> None:
    """Is stuck in C, holding the interpreter's lock."""
    _until_cancelled(context, mark, lambda: sum(itertools.repeat(1, 10**15)))


def _until_cancelled(context: Context, mark: str, work: object) -> None:
    context.message("Running")
    try:
        _mark(mark, "started")
        while True:
            work()  # type: ignore[operator]
    finally:
        _mark(mark, "finally")
        context.log("Cleaned up")


@process(title="Stubborn", route=_ROUTE + "stubborn")
def stubborn(context: Context, mark: str) -> None:
    """Catches whatever is raised, and goes on."""
    _mark(mark, "started")
    while True:
        with suppress(BaseException):
            time.sleep(1000)


@process(title="Tidying", route=_ROUTE + "tidy", killable=False)
def tidy(context: Context, mark: str, until: str) -> None:
    """Needs long to clean up, and must not be killed meanwhile."""
    _mark(mark, "started")
    try:
        while True:
            time.sleep(0.01)
    finally:
        context.message("Tidying up")
        _mark(mark, "tidying")
        while not Path(until).exists():
            time.sleep(0.01)
        _mark(mark, "tidy")


@process(title="Swallowing", route=_ROUTE + "swallow")
def swallow(context: Context, mark: str) -> None:
    """Catches the first interrupt, and then reports."""
    _mark(mark, "started")
    with suppress(BaseException):
        time.sleep(1000)
    try:
        while True:
            context.message("Still here")
    finally:
        _mark(mark, "finally")


@process(title="Ending as {how}", route=_ROUTE + "end")
def end(context: Context, how: str, mark: str = "") -> Outcome | str | None:  # noqa: C901, PLR0912 (one case each)
    """Ends in one of many ways."""
    context.message("About to end")
    match how:
        case "warn":
            context.warning("Odd")
        case "error":
            context.error("Wrong")
        case "recover":
            context.error("Wrong")
            context.message("All well again")
            return Outcome(Status.COMPLETED, "Ended well after all")
        case "raise":
            raise ValueError("Bad things")
        case "base":
            raise BaseException("Worse things")  # noqa: TRY002 (just that is the point)
        case "exit":
            sys.exit(3)
        case "os-exit":
            os._exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "stdout":
            os.close(1)
            sys.stdout.close()
        case "finally":
            try:
                raise ValueError("First")
            finally:
                raise KeyError("Second")
        case "fork":
            if os.fork() == 0:
                return "The child came back"
        case "child":
            if (child := os.fork()) == 0:
                time.sleep(1000)
            _mark(mark, f"child {child}")  # Not the child's to do: it may be ended before it comes to it.
        case "threads":
            threading.Thread(target=time.sleep, args=(0.2,), daemon=False).start()
        case "cancel":
            raise Cancelled
        case "outcome":
            return Outcome(Status.CANCELLED, "I cancel myself")
    return None


@process(title="Hostile \x00 <name> & {text}", route=_ROUTE + "hostile")
def hostile(context: Context, text: str) -> None:
    """Says and reports what no XML can carry."""
    for bad in HOSTILE:
        context.message(bad)
        context.log(bad)
        context.warning(bad)
        context.element("hostile", bad, {"value": bad})
    context.message(text)


HOSTILE = (
    "<b>&amp;'\"]]>",
    "\x00\x01\x08\x0b\x1f\ufffe\uffff",
    "\ud800 lone \udfff",
    "<img src=x onerror=alert(1)>",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "x" * 1_000_000,
    "line\r\nline\ttab",
    "{{ 7 * 7 }}{% raw %}",
    "\U0001f600",
)


@process(title="Counting lines", route=_ROUTE + "lines")
def lines(context: Context, total: int = 1000, pause: float = 0.0) -> None:
    """Logs many lines, and pauses after each hundred."""
    for number in range(1, total + 1):
        context.log(f"line {number}")
        if pause and not number % 100:
            time.sleep(pause)


@process(title="Chatting", route=_ROUTE + "chatty")
def chatty(context: Context) -> None:
    """Says things in every way but by its context."""
    log = logging.getLogger("some.library")
    log.setLevel(logging.DEBUG)
    log.debug("too much")
    log.info("for %s", "your information")
    log.warning("be careful")
    log.error("it failed")
    warnings.warn("old way", stacklevel=1)
    os.write(1, b"to stdout\n")
    print("to stderr", file=sys.stderr, flush=True)  # noqa: T201 (just that)
    subprocess.run(["/bin/echo", "from another program"], check=True)
    print("a line that", end="", flush=True)  # noqa: T201 (as above)
    time.sleep(1.2)
    print("comes late")  # noqa: T201 (as above)
    print("without an end", end="")  # noqa: T201 (as above)


@process(title="Printing", route=_ROUTE + "printing")
def printing(context: Context, until: str) -> None:
    """Prints a line, and goes on when a file is there."""
    print("on the way")  # noqa: T201 (just that)
    while not Path(until).exists():
        time.sleep(0.01)


@process(title="Telling", route=_ROUTE + "indiscreet")
def indiscreet(context: Context) -> None:
    """Says secrets wherever it can, and ends with one."""
    context.log("password=swordfish")
    context.message("api_key: swordfish")
    context.warning("redis://:swordfish@localhost")
    context.element("note", "password=swordfish", {"of": "token=swordfish"})
    logging.getLogger("some.library").warning("it is hunter2")
    print("secret: swordfish", flush=True)  # noqa: T201 (just that)
    raise ValueError("password=swordfish")


@process(title="On the server", route="/members/{member}/samples/server-wide")
def server_wide(context: Context, to: int = 1) -> None:
    """Works on no group."""
    context.message(f"At {to}")
