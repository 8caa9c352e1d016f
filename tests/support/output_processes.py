# ruff: noqa: T201 (printing is what they are for)
"""Processes that return, print, log and leave work behind in every way that a process may; loaded by real workers."""

from __future__ import annotations

import atexit
import ctypes
import gc
import logging
import logging.config
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from logging import handlers
from pathlib import Path
from typing import Any

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process

_ROUTE = "/members/{member}/groups/{group}/output/"


@process(title="Returning a {kind}", route=_ROUTE + "returning")
def returning(context: Context, kind: str) -> Any:
    """Returns a value of a kind."""

    async def later() -> int:
        return 1

    context.message("Worked")
    match kind:
        case "dict":
            return {"words": 2, "<b>": ["é", None], "password": "swordfish"}
        case "coroutine":
            return later()
        case "generator":
            return (number for number in range(3))
        case "bytes":
            return b"zip"
        case "large":
            return ["x" * 70_000]
    return None


@process(title="Printing {what}", route=_ROUTE + "output", time_limit=60)
def output(context: Context, what: str, mark: str = "") -> Any:  # noqa: C901, PLR0912 (one case each)
    """Prints in one of many ways."""
    match what:
        case "order":
            for number in range(20):
                print(f"{3 * number} out")
                print(f"{3 * number + 1} err", file=sys.stderr)
                context.message(f"{3 * number + 2} message")
            for number in range(60, 70, 2):
                subprocess.run(["/bin/echo", f"{number} program"], check=True)
                context.log(f"{number + 1} log")
        case "bar":
            for percent in range(1_001):
                print(f"\r\x1b[32m{percent / 10:5.1f} %\x1b[0m", end="", file=sys.stderr, flush=True)
            print(file=sys.stderr)
        case "characters":
            os.write(1, "世".encode()[:2])
            time.sleep(0.7)
            os.write(1, "世".encode()[2:] + b"\n")
        case "failing":
            subprocess.run([sys.executable, "-c", "raise SystemExit('no such mood')"], check=True)
        case "flood":
            Path(mark).touch()
            while True:
                print("x" * 100)
        case "flooding-program":
            Path(mark).touch()
            subprocess.run(["/usr/bin/yes"], check=True)
        case "endless-line":
            print("start", "x" * 5_000_000, "end")
            print("after it")
        case "threads":
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda number: [print(f"{number} {'y' * 50} {number}") for _ in range(200)], range(8)))
        case "child":
            child = multiprocessing.get_context("fork").Process(target=print, args=("from a fork",))
            child.start()
            child.join()
    return None


@process(title="Dying by {how}", route=_ROUTE + "dying")
def dying(context: Context, how: str) -> None:
    """Prints, and dies at once."""
    context.message("About to die")
    subprocess.run(["/bin/echo", "from a program"], check=True)
    for number in range(500):
        print(f"line {number}")
    print("the last words", file=sys.stderr)
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)


def _log_in_child(name: str) -> None:
    logging.getLogger(name).info("info from the child")
    try:
        int("bad")
    except ValueError:
        logging.getLogger(name).exception("error from the child")
    logging.getLogger(name).warning("long %s", "z" * 20_000)


@process(title="Logging after {what}", route=_ROUTE + "logging")
def logging_after(context: Context, what: str) -> None:
    """Configures logging as it likes, or logs in a child."""
    log = logging.getLogger("acme.library")
    own = logging.getLogger("acme.own")
    match what:
        case "basic":
            logging.basicConfig(level=logging.INFO)
        case "force":
            logging.basicConfig(force=True, level=logging.DEBUG, stream=sys.stdout, format="own form %(message)s")
        case "dict":
            logging.config.dictConfig(
                {
                    "version": 1,
                    "disable_existing_loggers": False,
                    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
                    "root": {"level": "INFO", "handlers": ["out"]},
                    "loggers": {"acme.own": {"propagate": False, "handlers": ["out"]}},
                }
            )
        case "shutdown":
            logging.shutdown()
        case "removed":
            for handler in list(logging.getLogger().handlers):
                logging.getLogger().removeHandler(handler)
        case "queue":
            records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
            logging.getLogger().addHandler(handlers.QueueHandler(records))
            listener = handlers.QueueListener(records, logging.StreamHandler())
            listener.start()
            log.info("for everybody")
            listener.stop()
            return
        case "fork" | "forkserver" | "spawn":
            child = multiprocessing.get_context(what).Process(  # type: ignore[attr-defined]
                target=_log_in_child, args=("acme.child",)
            )
            child.start()
            child.join()
        case "pool":
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
                list(pool.map(_log_in_child, [f"acme.pool{number}" for number in range(4)]))
    log.info("for everybody")
    own.warning("on its own")
    print("half a line, ", end="")
    log.error("broken %d", "x")
    print("the other half")
    log.debug("too much")


_POOL: list[ThreadPoolExecutor] = []


def _slowly(mark: str, number: int) -> None:
    time.sleep(0.02)
    with Path(mark).open("a") as file:
        file.write(f"{number}\n")


class _Cycle:
    """Writes its number when Python's collector finds it."""

    def __init__(self, mark: str, number: int) -> None:
        self._itself, self._mark, self._number = self, mark, number

    def __del__(self) -> None:
        _slowly(self._mark, self._number)


@process(title="Leaving {what}", route=_ROUTE + "leaving", time_limit=3)
def leaving(context: Context, what: str, mark: str = "") -> Any:  # noqa: C901, PLR0912 (one case each)
    """Returns while something is left to do."""
    context.message("Nearly done")
    match what:
        case "executor":
            pool = ThreadPoolExecutor(2)
            for number in range(20):
                pool.submit(_slowly, mark, number)
        case "kept-executor":
            _POOL.append(ThreadPoolExecutor(2))
            for number in range(20):
                _POOL[0].submit(_slowly, mark, number)
        case "processes":
            workers = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
            for number in range(20):
                workers.submit(_slowly, mark, number)
        case "threads":
            for number in range(20):
                threading.Thread(target=_slowly, args=(mark, number)).start()
        case "raising":
            for number in range(20):
                threading.Thread(target=_slowly, args=(mark, number)).start()
            raise ValueError("Bad things")
        case "child":
            multiprocessing.get_context("fork").Process(target=_slowly, args=(mark, 0)).start()
        case "atexit":
            atexit.register(print, "first registered")
            atexit.register(lambda: _slowly(mark, 0))
            atexit.register(lambda: 1 / 0)
        case "file":
            _OPEN.append(Path(mark).open("w"))  # noqa: SIM115 (it is left open)
            _OPEN[0].write("0\n")
        case "cycles":
            cycles = [_Cycle(mark, number) for number in range(10)]
            gc.collect()  # They are old by now.
            cycles += [_Cycle(mark, number) for number in range(10, 20)]
            cycles.clear()
        case "finalizer":
            _OPEN.append(tempfile.TemporaryDirectory(dir=mark))
        case "exception":
            threading.Thread(target=int, args=("bad",), name="Reader").start()
        case "endless":
            threading.Thread(target=time.sleep, args=(1_000,), name="Endless").start()
        case "daemon":
            threading.Thread(target=time.sleep, args=(1_000,), name="Ticker", daemon=True).start()
    return "Done"


_OPEN: list[Any] = []
