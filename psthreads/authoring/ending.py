"""Ends a process's function as Python ends a program: waits for what still runs, and writes what is not written yet.

Without this, threads would end with nothing done and nothing said, since the process that runs them is left at once.
"""

from __future__ import annotations

import atexit
import gc
import io
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from concurrent.futures import thread as pools
from contextlib import contextmanager, suppress
from typing import Any, Final

from psthreads.authoring.context import Context, Interrupted
from psthreads.domain.foreign import error_text, is_a, text_of, trace_of
from psthreads.domain.model import Level

_MOST_NAMES: Final = 10
_LONGEST_PAUSE: Final = 0.05
_FILE: Final = io.IOBase.__mro__[1]  # itself abstract, which is slow to ask about
_QUEUES: Final = getattr(pools, "_threads_queues", {})  # private, as there is no other list of a program's executors


@contextmanager
def as_a_program(
    context: Context, *, with_exit: bool = True, has_files: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Run the block as Python runs a program; all interrupts of the context end the waiting at the block's end, too.

    Python threads that are no daemons are waited for, executors' work included, also after an exception, but not after
    an interrupt. Those that are still running are named in the log, and so are exceptions in them. With `with_exit`,
    callbacks of `atexit` that the block registered are called, and files are flushed where `has_files` says that some
    are open; that is for a process of its own.
    """
    before, collections = set(threading.enumerate()), _collections()
    if with_exit:
        _forget_inherited_callbacks()
    hook = threading.excepthook
    threading.excepthook = _logging_hook(context, hook)
    try:
        try:
            yield
        except BaseException as error:
            if context.is_own_process and not is_a(error, Interrupted):
                _join(before)
            raise
        if context.is_own_process:
            _join(before)
    finally:
        if context.is_own_process:
            _name_threads(context, before)
            if with_exit:
                _exit(has_files, collections)
                context.check()  # An interrupt in a callback stays in it.
        threading.excepthook = hook


def _forget_inherited_callbacks() -> None:
    """Leave the worker's own callbacks to the worker, and register the library's again, as in a new program."""
    atexit._clear()  # noqa: SLF001 (as multiprocessing does in a fork)
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        finalizer.atexit = False
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined] # noqa: SLF001 (registers itself once only)
    if util := sys.modules.get("multiprocessing.util"):
        atexit.register(util._exit_function)  # noqa: SLF001 (as above)


def _join(before: set[threading.Thread]) -> None:
    pause = 0.001
    while threads := [thread for thread in _since(before) if not thread.daemon]:
        for thread in threads:
            # Its threads wait for work until it is shut down or gone. Work that is queued is done before they end.
            if (executor := _executor_of(thread)) is not None:
                executor.shutdown(wait=False)
        # Not `join`: in Python 3.11 and 3.12, a thread counts as stopped when an exception ends the wait for it.
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _since(before: set[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]


def _executor_of(thread: threading.Thread) -> Executor | None:
    reference = getattr(thread, "executor_reference", None)  # of processes
    if thread in _QUEUES:
        reference = next(iter(getattr(thread, "_args", ())), None)
    executor = reference() if isinstance(reference, weakref.ref) else None
    return executor if isinstance(executor, Executor) else None


def _name_threads(context: Context, before: set[threading.Thread]) -> None:
    for is_daemon, level in ((False, Level.WARN), (True, Level.DEBUG)):
        names = [text_of(thread.name) for thread in _since(before) if thread.daemon is is_daemon]
        if names:
            kind = "daemon threads" if is_daemon else "threads"
            more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
            listed = ", ".join(names[:_MOST_NAMES])
            context.log(f"These Python {kind} still run, and end unfinished: {listed}{more}", level)


def _collections() -> list[int]:
    """Return how often the collector has looked through the generations whose objects then count as old."""
    return [generation["collections"] for generation in gc.get_stats()[1:]]


def _exit(has_files: Callable[[], bool], collections: list[int]) -> None:
    atexit._run_exitfuncs()  # noqa: SLF001 (no other way)
    # Both would keep the next thread of this process from being ended so.
    weakref.finalize._shutdown = False  # type: ignore[attr-defined] # noqa: SLF001 (no other way)
    if util := sys.modules.get("multiprocessing.util"):
        util._exiting = False  # type: ignore[attr-defined] # noqa: SLF001 (as above)
    # What is new is young still, unless the collector came by meanwhile. To look through the old takes a tenth of the
    # time of a thread that does nothing.
    gc.collect(1 if _collections() == collections else 2)
    for each in gc.get_objects() if has_files() else ():
        if issubclass(type(each), _FILE):
            with suppress(Exception):
                each.flush()


def _logging_hook(context: Context, original: Any) -> Any:
    def log(arguments: threading.ExceptHookArgs) -> None:
        if not context.is_own_process:
            original(arguments)
            return
        if issubclass(arguments.exc_type, (SystemExit, Interrupted)):
            return
        error = arguments.exc_value if arguments.exc_value is not None else arguments.exc_type()
        name = text_of(arguments.thread.name) if arguments.thread else "unknown"
        context.log(f"Uncaught {error_text(error)} in the Python thread {name}", Level.ERROR, detail=trace_of(error))

    return log
