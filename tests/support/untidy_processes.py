"""Processes that leave something behind in their operating system process, and some that look what is there."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process

_ROUTE = "/members/{member}/groups/{group}/untidy/"

KEPT: list[object] = []
"""The state of a module, which outlives a thread in its horse."""

_VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def _lower(limit: int) -> None:
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (min(1_000, soft if soft >= 0 else 1_000), hard))


def _replace_descriptor() -> None:
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 0)


def _lose_folder() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()


def _change_time_zone() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    del os.environ["TZ"]


def _join_group() -> None:
    os.setgroups([*os.getgroups(), 4711])


def _wait_natively() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True, name="lingering").start()


def _have_default_loop() -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())


WAYS: dict[str, tuple[Callable[[], object], str]] = {
    "working directory": (lambda: os.chdir("/usr"), "the working directory /usr"),
    "working directory gone": (_lose_folder, "the working directory one that is gone"),
    "umask": (lambda: os.umask(0o137), "the umask 137"),
    "environment": (lambda: os.environ.update(LEFT="1"), "the environment (LEFT)"),
    "environment lost": (lambda: os.environ.pop("PATH"), "the environment (PATH)"),
    "putenv": (lambda: os.putenv("LEFT", "1"), "C's environment"),
    "locale": (lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), "the locale "),
    "time zone": (_change_time_zone, "the time zone"),
    "limit": (lambda: _lower(resource.RLIMIT_NOFILE), "resource limits"),
    "priority": (lambda: os.nice(1), "the priority "),
    "processors": (lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}), "the processors "),
    "group": (_join_group, "the user or group"),
    "handler": (lambda: signal.signal(signal.SIGUSR1, print), "handlers of signals (SIGUSR1)"),
    "ignored": (lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL), "handlers of signals (SIGPIPE)"),
    "mask": (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}), "blocked signals"),
    "timer": (lambda: signal.setitimer(signal.ITIMER_REAL, 60), "a timer"),
    "repeating timer": (lambda: signal.setitimer(signal.ITIMER_PROF, 60, 60), "a timer"),
    "open file": (lambda: KEPT.append(open("/usr/lib/os-release")), "a file descriptor (/usr/lib/os-release)"),  # noqa: SIM115, PTH123 (left open)
    "open files": (os.pipe, "2 file descriptors (pipe:["),
    "socket": (lambda: KEPT.append(socket.socket()), "a file descriptor (socket:["),
    "other stdin": (_replace_descriptor, "a file descriptor (/"),
    "closed stdin": (lambda: os.close(0), "a file descriptor (0 is closed)"),
    "thread": (_wait_natively, "a thread (lingering)"),
    "root handler": (
        lambda: logging.getLogger().addHandler(logging.StreamHandler()),
        "handlers or filters of the root",
    ),
    "other handler": (lambda: logging.getLogger("a.b").addHandler(logging.StreamHandler()), "handlers of logging"),
    "root level": (lambda: logging.root.setLevel(logging.CRITICAL), "the level of the root logger 50"),
    "logging disabled": (lambda: logging.disable(logging.ERROR), "logging.disable 40"),
    "warnings": (lambda: warnings.simplefilter("ignore", BytesWarning), "filters of warnings"),
    "path": (lambda: sys.path.append("/left"), "sys.path"),
    "arguments": (lambda: sys.argv.append("left"), "sys.argv"),
    "importer": (lambda: sys.meta_path.append(WAYS), "how modules are imported"),  # type: ignore[arg-type] # never asked
    "stdin": (lambda: setattr(sys, "stdin", None), "sys.stdin, sys.stdout or sys.stderr"),
    "excepthook": (lambda: setattr(sys, "excepthook", print), "sys.excepthook"),
    "builtins": (lambda: setattr(builtins, "left", 1), "Python's built-in names (left)"),
    "recursion": (lambda: sys.setrecursionlimit(5_000), "the recursion limit 5000"),
    "switching": (lambda: sys.setswitchinterval(0.5), "the switch interval 0.5"),
    "stack": (lambda: threading.stack_size(1024 * 1024), "the size of a thread's stack"),
    "timeout": (lambda: socket.setdefaulttimeout(7), "the default timeout of sockets 7"),
    "collector": (gc.disable, "settings of the garbage collector"),
    "thresholds": (lambda: gc.set_threshold(5), "settings of the garbage collector"),
    "tracing of threads": (lambda: threading.settrace(lambda *_: None), "a trace or profile function"),
    "event loop": (_have_default_loop, "an event loop of asyncio"),
    "start method": (lambda: multiprocessing.set_start_method("spawn"), "the start method of multiprocessing"),
    "decimal": (lambda: setattr(decimal.DefaultContext, "prec", 5), "the default context of decimal"),
}
"""What to leave behind, and what the log of the thread says of it."""


def _leave_nothing() -> None:
    """Do much, and put it back or finish it."""
    with warnings.catch_warnings(), decimal.localcontext() as context, tempfile.TemporaryFile() as file:
        warnings.simplefilter("ignore")
        context.prec = 3
        file.write(b"text")
    subprocess.run(["/bin/true"], check=True)
    thread = threading.Thread(target=time.sleep, args=(0.001,))
    thread.start()
    thread.join()
    asyncio.run(asyncio.sleep(0))
    sys.settrace(lambda *_: None)
    decimal.getcontext().prec = 7
    logging.getLogger("left").warning("said")
    print("printed")  # noqa: T201 (what it is about)


@process(title="Leaving {how}", route=_ROUTE + "leave")
def leave(context: Context, how: str = "") -> str:
    """Leaves something behind, or nothing, and returns the id of its operating system process."""
    WAYS[how][0]() if how else _leave_nothing()
    return str(os.getpid())


@process(title="Nothing", route=_ROUTE + "nothing")
def nothing(context: Context) -> str:
    """Does nothing, and returns the id of its operating system process."""
    return str(os.getpid())


@process(title="Alone", route=_ROUTE + "alone", isolated=True)
def alone(context: Context) -> str:
    """Counts the threads that this process has seen in the state of a module."""
    KEPT.append(context.thread_id)
    return f"{os.getpid()} {len(KEPT)}"


@process(title="Together", route=_ROUTE + "together")
def together(context: Context) -> str:
    """Counts the same, says what a variable of `contextvars` is, and sets it."""
    KEPT.append(context.thread_id)
    before = _VARIABLE.get()
    _VARIABLE.set("set")
    return f"{os.getpid()} {len(KEPT)} {before} {decimal.getcontext().prec}"


@process(title="Memory", route=_ROUTE + "memory")
def memory(context: Context, take: int = 0) -> str:
    """Takes so many bytes and keeps them, and returns how much memory this process uses, and its id."""
    KEPT.append(bytearray(take) if take else None)
    context.message("Looked")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return f"{os.getpid()} {resident}"


@process(title="Endless", route=_ROUTE + "endless")
def endless(context: Context, mark: str) -> None:
    """Works until it is interrupted, and notes its number there."""
    with Path(mark).open("a") as file:
        file.write(f"{context.thread_id} {os.getpid()}\n")
    while True:
        time.sleep(0.001)


@process(title="Hoard", route=_ROUTE + "hoard")
def hoard(context: Context, size: int = 0) -> None:
    """Puts so many bytes into temporary files, and works until it is interrupted."""
    (context.temporary() / "hoard").write_bytes(bytes(size))
    while True:
        time.sleep(0.01)


@process(title="Brief", route=_ROUTE + "brief", time_limit=0.05)
def brief(context: Context, seconds: float = 0.0) -> str:
    """Sleeps about as long as it may."""
    time.sleep(seconds)
    return str(os.getpid())
