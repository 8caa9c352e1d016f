"""Work that would block the other requests of a web process, done on another Python thread."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from psthreads.domain.foreign import error_text, is_a

T = TypeVar("T")


class Pool(Enum):
    """The pools of Python threads: work of one kind never waits for work of another."""

    PASSWORDS = "passwords"
    DISK = "disk"
    CHECKS = "checks"
    STORE = "store"

    @property
    def size(self) -> int:
        """The number of the pool's threads. Checks are Python code: two of them leave the event loop a third."""
        return {Pool.PASSWORDS: 4, Pool.DISK: 8, Pool.CHECKS: 2, Pool.STORE: 16}[self]


class Overdue(BaseException):
    """Raised in work that takes too long, where it is. It is not an Exception, which much code catches."""


_pools: Final[dict[Pool, Any]] = {}
_loops: Final[dict[int, int]] = {}
"""The Python thread of the event loop of this process: the first that had work for a pool."""


def off_the_loop(work: Callable[[], T], pool: Pool = Pool.DISK, seconds: float | None = None) -> T:
    """Do the work without blocking gevent's event loop, and return its result.

    What the work raises is raised here, but as RuntimeError where it is no Exception: a SystemExit would end the web
    process. Raises TimeoutError for work that is not done after so many seconds, which ends its Python code.

    Under gevent, a Python thread of the pool does it. Without gevent, the caller does, for as long as it takes. This
    module does not import gevent, and sees from the loaded modules whether it is in use.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        try:
            return work()
        except SystemExit as error:  # Others may be of a signal's handler, and are for the caller.
            raise RuntimeError(f"The work ended with {error_text(error)}") from error
    gevent: Any = sys.modules["gevent"]
    get_ident = monkey.get_original("_thread", "get_ident")
    if _loops.setdefault(os.getpid(), get_ident()) != get_ident():
        return work()  # A thread of a pool has no other requests to keep waiting.
    if pool not in _pools:
        _pools[pool] = gevent.get_hub().threadpool_class(pool.size)
    task = _Task(work, *monkey.get_original("_thread", ["allocate_lock", "get_ident"]))
    try:
        with gevent.Timeout(seconds, TimeoutError):
            _pools[pool].apply(task)
    except TimeoutError:
        task.interrupt()
        raise
    return task.result()


class _Task(Generic[T]):
    """Work of which nothing leaves the Python thread that does it, whatever it raises."""

    def __init__(self, work: Callable[[], T], new_lock: Callable[[], Any], thread_id: Callable[[], int]) -> None:
        self._work = work
        self._thread_id = thread_id
        self._lock = new_lock()  # held to interrupt: the exception must not reach the thread's next work
        self._thread = 0
        self._is_over = False
        self._values: list[T] = []
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Do the work, in a thread of the pool."""
        try:
            with self._lock:
                self._thread = self._thread_id()
            if not self._is_over:
                self._values.append(self._work())
        except BaseException as error:  # noqa: BLE001 (whatever it raises)
            self._error = error
        try:
            with self._lock:
                self._is_over = True
        except Overdue:  # It comes when the work is done.
            self._is_over = True

    def interrupt(self) -> None:
        """Raise Overdue in the work, if it is not done; work in C sees that when it returns."""
        with self._lock:
            if self._thread and not self._is_over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(Overdue))
            self._is_over = self._is_over or not self._thread

    def result(self) -> T:
        """Return the result of work that is done. Raises what it raised, RuntimeError for what is no Exception."""
        if self._error is None:
            return self._values[0]
        if is_a(self._error, Exception):
            raise self._error
        raise RuntimeError(f"The work ended with {error_text(self._error)}") from self._error
