"""Processes that do what programs do in practice, and what does not go together with how they are run."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel

from psthreads.authoring.context import Context
from psthreads.authoring.interrupts import WAKE
from psthreads.authoring.registry import process

_ROUTE = "/members/{member}/groups/{group}/odd/"


def _mark(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text + "\n")


# How an interrupt reaches code that runs below something else.


async def _busy(mark: str, pause: Callable[[], object]) -> None:
    try:
        while True:
            await pause()  # type: ignore[misc] # a coroutine
    finally:
        _mark(mark, "busy-ended")


async def _wait(mark: str, pause: Callable[[float], object]) -> None:
    _mark(mark, "started")
    try:
        await pause(1_000.0)  # type: ignore[misc] # a coroutine
    finally:
        _mark(mark, "waiting-ended")


async def _with_asyncio(mark: str) -> None:
    task = asyncio.create_task(_busy(mark, lambda: asyncio.sleep(0)))
    await _wait(mark, asyncio.sleep)
    await task


async def _with_anyio(mark: str) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_busy, mark, anyio.lowlevel.checkpoint)
        await _wait(mark, anyio.sleep)


async def _in_to_thread(mark: str) -> None:
    await asyncio.to_thread(_spin, mark)


def _spin(mark: str) -> None:
    _mark(mark, "started")
    try:
        while True:
            time.sleep(0.001)
    finally:
        _mark(mark, "busy-ended")


def _swallow_all(mark: str) -> None:
    _mark(mark, "started")
    for _ in range(3):
        with suppress(BaseException):
            time.sleep(1_000)


def _in_executor(mark: str, work: Callable[[], object], items: int = 20) -> None:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(work) for _ in range(items)]
        _mark(mark, "started")
        futures[0].result()


def _in_shutdown(mark: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            pool.submit(time.sleep, 1_000)
        _mark(mark, "started")


def _in_subprocess(mark: str) -> None:
    with subprocess.Popen(["/bin/sleep", "1000"]) as program:
        _mark(mark, "started")
        program.wait()


@process(title="Below {how}", route=_ROUTE + "below", killable=False)
def below(context: Context, how: str, mark: str) -> str:
    """Works below something that has views of its own on exceptions."""
    context.message("Running")
    try:
        match how:
            case "asyncio":
                asyncio.run(_with_asyncio(mark))
            case "anyio":
                anyio.run(_with_anyio, mark)
            case "to-thread":
                asyncio.run(_in_to_thread(mark))
            case "bare-except":
                _swallow_all(mark)
                _spin(mark)
            case "result":
                _in_executor(mark, lambda: _spin(mark))
            case "result-in-c":
                _in_executor(mark, lambda: time.sleep(1_000))
            case "shutdown":
                _in_shutdown(mark)
            case "subprocess":
                _in_subprocess(mark)
    finally:
        _mark(mark, "finally")
        time.sleep(1.2)  # Longer than an interrupt waits before it comes again.
        _mark(mark, "finally-ended")
        context.log("Cleaned up")
    return "Ended all the same"


# Signals.


@process(title="Signalling {how}", route=_ROUTE + "signals", time_limit=3)
def signals(context: Context, how: str, mark: str = "") -> str:
    """Uses signals as programs do."""
    context.message("Running")
    match how:
        case "alarm":
            signal.alarm(1)
        case "own-alarm":
            alarms = threading.Event()
            signal.signal(signal.SIGALRM, lambda *_: alarms.set())
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            alarms.wait(5)
            return f"Heard its alarm: {alarms.is_set()}"
        case "stray-wake":
            os.kill(os.getpid(), WAKE)
            return "Went on"
        case "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        case "user":
            os.kill(os.getpid(), signal.SIGUSR1)
        case "default":
            signal.signal(WAKE, signal.SIG_DFL)
        case "ignore":
            signal.signal(WAKE, signal.SIG_IGN)
        case "block":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        case "close-all":
            os.closerange(3, 4_096)
    try:
        _mark(mark or os.devnull, "started")
        time.sleep(1_000)
    finally:
        _mark(mark or os.devnull, "finally")
    return "Slept"


# Memory.


@process(title="Hoarding {how}", route=_ROUTE + "hoard")
def hoard(context: Context, how: str) -> None:
    """Takes ever more memory: itself, in a child, in a child with a session of its own, or all at once; or nothing."""
    if how == "at-once":
        bytearray(10**12)
    script = "import time\nhoard = []\nwhile True: hoard.append(b'x' * 5_000_000); time.sleep(0.05)"
    if how == "nothing":
        time.sleep(30)
    elif how == "itself":
        exec(script)  # noqa: S102 (the same code as in the child)
    else:
        subprocess.run([sys.executable, "-c", script], check=True, start_new_session=how == "session")


# Reports within reports.


class _Reporting:
    """Reports when Python's collector finds it, at any step of anything."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.itself = self

    def __del__(self) -> None:
        self.context.warning("collected")
        self.context.bar("collected", total=1).advance()


class _ReportingHandler(logging.Handler):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        self._context.warning(f"handled {record.getMessage()}")


@process(title="Reporting from {how}", route=_ROUTE + "reentrant", time_limit=20)
def reentrant(context: Context, how: str) -> str:
    """Reports while it reports."""

    def report(*_: object) -> None:
        context.warning("nested")
        context.log("nested")

    log = logging.getLogger("some.library")
    prepare: dict[str, Callable[[], object]] = {
        "signal handler": lambda: (
            signal.signal(signal.SIGALRM, report),
            signal.setitimer(signal.ITIMER_REAL, 0.000_5, 0.000_5),
        ),
        "finaliser": lambda: gc.set_threshold(1),
        "weak reference": lambda: gc.set_threshold(1),
        "trace function": lambda: sys.settrace(report),
        "profile function": lambda: sys.setprofile(report),
        "logging handler": lambda: log.addHandler(_ReportingHandler(context)),
    }
    leave: dict[str, Callable[[], object]] = {
        "finaliser": lambda: _Reporting(context),
        "weak reference": lambda: weakref.finalize(_Cycle(), report),
        "logging handler": lambda: log.warning("logged"),
    }
    prepare[how]()
    for number in range(300 if how.endswith("function") else 3_000):
        context.message(f"At {number}")
        leave.get(how, int)()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return f"Nested some: {context.warnings > 0}"


class _Cycle:
    def __init__(self) -> None:
        self.itself = self


# Forks that leave a block of their parent's, and a working directory that is left.


@process(title="Forking, {how}", route=_ROUTE + "forking")
def forking(context: Context, how: str) -> str:
    """Forks a child that leaves the blocks of its parent."""
    temporary = context.temporary()
    (temporary / "kept").touch()
    context.cleanup(context.log, "Cleaned up")
    code: int | None = None
    with context.result("forked.txt") as file:
        file.write(b"before\n")
        if how == "multiprocessing":
            child = multiprocessing.get_context("fork").Process(target=_leave, args=("exit",))
            child.start()
            child.join()
            code = child.exitcode
        elif (pid := os.fork()) == 0:
            _leave(how)
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        file.write(b"after\n")
    return f"The child ended with {code}, and temporary files are kept: {(temporary / 'kept').exists()}"


def _leave(how: str) -> None:
    if how == "raise":
        raise ValueError("in the child")
    if how == "exit":
        sys.exit(7)
    time.sleep(0.01)


@process(title="Wandering", route=_ROUTE + "wandering")
def wandering(context: Context) -> str:
    """Works in another folder than the one in which its worker was started."""
    os.chdir("/")
    context.folder.write("documents/there.txt", b"there")
    with context.result("there.txt") as file:
        file.write(b"there")
    return f"{file.filename} {context.temporary().is_absolute()}"
