"""What a function can leave behind in its process, so that the next one would not find it as the first one did.

`PROBES` has a line for each kind. Not among them: the state of modules, such as caches, counters and the seed of random
numbers, which Python programs keep on purpose.
"""

from __future__ import annotations

import builtins
import ctypes
import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings

# Python's own `signal` makes an enumeration of each value, which takes fifty times as long.
from _signal import getitimer, getsignal, pthread_sigmask  # type: ignore[import-not-found]
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from psthreads.system.child_processes import has_children

_IS_LINUX: Final = sys.platform == "linux"
_C: Final = ctypes.CDLL(None)
_PRCTL: Final = (3, 7, 39)  # linux/prctl.h: PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_NO_NEW_PRIVS
_PR_GET_PDEATHSIG: Final = 2
_SIGNALS: Final = tuple(sorted(signal.valid_signals()))
_NUMBERS: Final = tuple(map(int, _SIGNALS))
_LIMITS: Final = tuple(sorted({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")}))
_PATIENCE_SECONDS: Final = 1.0  # for threads that are about to end, on a busy machine
_PAUSE_SECONDS: Final = 0.000_5
_LONGEST: Final = 60
_MOST_NAMED: Final = 5


class Probe(NamedTuple):
    """One kind of what may be left. `read` returns a value that equals the earlier one where nothing was.

    `show` returns what to say of the two values beyond `what`.
    """

    what: str
    read: Callable[[], Any]
    show: Callable[[Any, Any], str] = lambda _before, _after: ""


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (a Path takes many times as long to make, here and below)
    except OSError:
        return "one that is gone"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _c_environment() -> tuple[int, bytes]:
    """Return C's own array of variables, which `os.putenv` changes behind the back of `os.environ`."""
    address = ctypes.c_void_p.in_dll(_C, "environ").value or 0
    return address, ctypes.string_at(
        address, (len(os.environ) + 1) * ctypes.sizeof(ctypes.c_void_p)
    ) if address else b""


def _user() -> tuple[object, ...]:
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups()


def _prctl() -> list[int]:
    number = ctypes.c_int()
    _C.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0)
    return [number.value, *(_C.prctl(option, 0, 0, 0, 0) for option in _PRCTL)]


def _handlers() -> list[object]:
    # A handler that does nothing is what libraries add when they are imported.
    handlers = [reference() for reference in logging._handlerList]  # type: ignore[attr-defined] # noqa: SLF001 (no other list of them)
    return [each for each in handlers if each is not None and type(each) is not logging.NullHandler]


def _asyncio() -> tuple[object, ...]:
    events = sys.modules.get("asyncio.events")
    if events is None:
        return None, None, None
    policy = events._event_loop_policy  # noqa: SLF001 (asking for it would make it)
    is_usual = policy is None or type(policy).__module__ == "asyncio.unix_events"
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    return None if is_usual else policy, loop, events._get_running_loop()  # noqa: SLF001 (public, in spite of its name)


def _start_method() -> object:
    context = sys.modules.get("multiprocessing.context")
    return context and context._default_context._actual_context  # noqa: SLF001 (asking for it would set it)


def _tracing() -> list[object]:
    monitoring = getattr(sys, "monitoring", None)
    used = [monitoring.get_tool(number) for number in range(6)] if monitoring else []
    return [sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile(), *used]


def _text(_before: Any, after: Any) -> str:
    return f" {after if isinstance(after, str) else repr(after)}"[:_LONGEST]


def _octal(_before: Any, after: Any) -> str:
    return f" {after:03o}"


def _names(before: Any, after: Any) -> str:
    changed = [name for name in {**before, **after} if before.get(name) is not after.get(name)]
    names = sorted(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in changed)
    return _listed(names)


def _signals(before: Any, after: Any) -> str:
    changed = [number for number, *pair in zip(_SIGNALS, before, after, strict=True) if pair[0] != pair[1]]
    return _listed([number.name if isinstance(number, signal.Signals) else str(number) for number in changed])


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:_LONGEST] for name in names[:_MOST_NAMED])
    return f" ({shown}{', …' if len(names) > _MOST_NAMED else ''})"


PROBES: Final = (
    Probe("the working directory", _working_directory, _text),
    Probe("the umask", _umask, _octal),
    Probe("the environment", lambda: getattr(os.environ, "_data", os.environ), _names),
    Probe("the locale", lambda: locale.setlocale(locale.LC_ALL), _text),
    Probe("the time zone", lambda: (time.tzname, time.timezone, time.altzone)),
    Probe("the user or group", _user),
    Probe("the process group or session", lambda: (os.getpgrp(), os.getsid(0))),
    Probe("the priority", lambda: os.getpriority(os.PRIO_PROCESS, 0), _text),
    Probe("resource limits", lambda: list(map(resource.getrlimit, _LIMITS))),
    Probe("handlers of signals", lambda: list(map(getsignal, _NUMBERS)), _signals),
    Probe("blocked signals", lambda: pthread_sigmask(signal.SIG_BLOCK, ())),
    Probe("a timer", lambda: (getitimer(0)[1], getitimer(0)[0] > 0, getitimer(1), getitimer(2))),
    Probe("handlers or filters of the root logger", lambda: (list(logging.root.handlers), list(logging.root.filters))),
    Probe("handlers of logging", _handlers),
    Probe("the level of the root logger", lambda: logging.root.level, _text),
    Probe("logging.disable", lambda: logging.root.manager.disable, _text),
    Probe("classes of logging", lambda: (logging.getLoggerClass(), logging.getLogRecordFactory())),
    Probe("filters of warnings", lambda: list(warnings.filters)),
    Probe("warnings.showwarning", lambda: (warnings.showwarning, warnings.formatwarning)),
    Probe("sys.path", lambda: list(sys.path)),
    Probe("how modules are imported", lambda: (list(sys.meta_path), list(sys.path_hooks))),
    Probe("sys.argv", lambda: list(sys.argv)),
    Probe("sys.stdin, sys.stdout or sys.stderr", lambda: (sys.stdin, sys.stdout, sys.stderr)),
    Probe("sys.excepthook", lambda: (sys.excepthook, sys.unraisablehook, sys.displayhook, sys.breakpointhook)),
    Probe("threading.excepthook", lambda: threading.excepthook),
    Probe("a trace or profile function", _tracing),
    Probe("Python's built-in names", lambda: vars(builtins), _names),
    Probe("the recursion limit", sys.getrecursionlimit, _text),
    Probe("the switch interval", sys.getswitchinterval, _text),
    Probe("the most digits of an integer", sys.get_int_max_str_digits, _text),
    Probe("the size of a thread's stack", threading.stack_size, _text),
    Probe("the default timeout of sockets", socket.getdefaulttimeout, _text),
    Probe(
        "settings of the garbage collector",
        lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug(), list(gc.callbacks)),
    ),
    Probe("an event loop of asyncio", _asyncio),
    Probe("the start method of multiprocessing", _start_method),
    Probe("the default context of decimal", lambda: str(decimal.DefaultContext)),
    Probe("a child process", has_children),
) + (
    (
        Probe("C's environment", _c_environment),
        Probe("flags of the process (prctl)", _prctl),
        Probe("the processors that it may use", lambda: os.sched_getaffinity(0), _text),
        Probe("the scheduling policy", lambda: os.sched_getscheduler(0), _text),
    )
    if _IS_LINUX
    else ()
)


def forget_event_loops() -> None:
    """Have asyncio begin anew where it is left as `asyncio.run` leaves it, which gives out no loop any more."""
    if (events := sys.modules.get("asyncio.events")) is not None and _asyncio() == (None, None, None):
        vars(events)["_event_loop_policy"] = None  # The public function is deprecated.


class ProcessState:
    """The state of this process when this was made. `own` returns descriptors that may come and go."""

    def __init__(self, own: Callable[[], set[int]] = set) -> None:
        self._own = own
        self._before = [_kept(probe.read()) for probe in PROBES]
        own()  # It may open descriptors, and name those that are gone later.
        self._numbers = _numbers()
        self._descriptors = self._open = _descriptors()
        self._threads = set(threading.enumerate())
        self._native_threads = _native_threads()
        self._runtime_threads = _runtime_threads()

    def left(self) -> list[str]:
        """Return what differs now, a few words for each kind; empty where nothing does."""
        left = [
            sentence for probe, before in zip(PROBES, self._before, strict=True) if (sentence := _left(probe, before))
        ]
        if self.has_other_descriptors():
            left.append(self._new_descriptors())
        if _native_threads() > self._native_threads and (sentence := self._new_threads()):
            left.append(sentence)
        return left

    def may_have_files(self) -> bool:
        """Return whether descriptors of other numbers are open than before, which is sooner seen than what they are."""
        return _numbers() != self._numbers and self.has_other_descriptors()

    def has_other_descriptors(self) -> bool:
        """Return whether other files are open than before, or others by the same numbers."""
        numbers = _numbers()
        now = _descriptors(numbers)
        if now == self._open:
            return False
        own = self._own()
        if {number: file for number, file in now.items() if number not in own} != {
            number: file for number, file in self._descriptors.items() if number not in own
        }:
            return True
        self._numbers, self._open = numbers, now
        return False

    def _new_descriptors(self) -> str:
        now, own = _descriptors(), self._own()
        numbers = [number for number in {**self._descriptors, **now} if number not in own]
        changed = [number for number in sorted(numbers) if now.get(number) != self._descriptors.get(number)]
        what = "a file descriptor" if len(changed) == 1 else f"{len(changed)} file descriptors"
        return f"{what}{_listed([_name(number) if number in now else f'{number} is closed' for number in changed])}"

    def _new_threads(self) -> str:
        # Threads that end do so a moment after Python has let go of them. Those that Python has not are named at once.
        until = time.monotonic() + _PATIENCE_SECONDS
        # The client of an object store starts and ends threads of its own, none of which is Python's.
        while (many := _native_threads() - self._native_threads - (_runtime_threads() - self._runtime_threads)) > 0:
            names = [thread.name for thread in threading.enumerate() if thread not in self._threads]
            if names or time.monotonic() > until:
                return ("a thread" if many == 1 else f"{many} threads") + (_listed(names) if names else "")
            time.sleep(_PAUSE_SECONDS)
        return ""


def _kept(value: Any) -> Any:
    return value.copy() if type(value) is dict else value


def _left(probe: Probe, before: Any) -> str:
    try:
        if (after := probe.read()) == before:
            return ""
        return f"{probe.what}{probe.show(before, after)}"
    except Exception:  # noqa: BLE001 (of objects that the function has put there)
        return probe.what


def _numbers() -> list[int]:
    """Return the numbers of the open descriptors, the list's own among them; none where the system does not tell."""
    try:
        return list(map(int, os.listdir("/proc/self/fd" if _IS_LINUX else "/dev/fd")))  # noqa: PTH208 (as above)
    except OSError:
        return []


def _descriptors(numbers: list[int] | None = None) -> dict[int, tuple[int, ...]]:
    """Return the descriptors of these numbers, or all, that are open, with what they are."""
    files: dict[int, tuple[int, ...]] = {}
    for number in _numbers() if numbers is None else numbers:
        try:
            files[number] = os.fstat(number)[1:3]
        except OSError:  # The list's own descriptor is closed by now.
            continue
    return files


def _name(number: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/self/fd/{number}").readlink())
    return str(number)


def _runtime_threads() -> int:
    """Return how many threads are of Tokio, in which a client in Rust waits for the network."""
    count = 0
    with suppress(OSError):
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208 (as above)
            with suppress(OSError):
                count += Path(f"/proc/self/task/{task}/comm").read_bytes().startswith(b"tokio")
    return count


def _native_threads() -> int:
    return os.stat("/proc/self/task").st_nlink if _IS_LINUX else threading.active_count()  # noqa: PTH116 (as above)
