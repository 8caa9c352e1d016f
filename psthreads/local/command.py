"""The command `psthreads run`: start everything, do the main job as a client would, and stay until Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Final, NoReturn

from psthreads.domain.errors import PsthreadsError
from psthreads.system.parent_death import die_with_parent

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED: Final = 130


class _Stop(BaseException):
    """Ctrl-C or SIGTERM. No KeyboardInterrupt: the code that watches a thread catches that."""


def main(*, once: bool, tied: bool, reloads: bool) -> NoReturn:
    """Run until stopped, or with `once` until the main job has ended, and exit.

    With `reloads` it starts the workers and the web process again when a file of the processes changes. With `tied`
    this process is killed when its parent dies.
    """
    if tied:
        die_with_parent(os.getppid())
    _leave(_guarded(once=once, reloads=reloads))


def _guarded(*, once: bool, reloads: bool) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Each line leaves at once, also into a pipe, and a locale without a name's letters is no error.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        _listen()
        return _run(once=once, reloads=reloads)
    except _Stop:
        with suppress(OSError):
            print("\nStopped.")
        return _INTERRUPTED if once else 0
    except PsthreadsError as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:
        pass  # Nobody reads the output any more.
    except OSError as error:
        with suppress(OSError):
            print(f"{error.filename or 'The output'} cannot be used: {error.strerror}.", file=sys.stderr)
    return 1


def _run(*, once: bool, reloads: bool) -> int:
    # Importing it takes a second, in which the signals must already be handled.
    from psthreads.local.machine import run  # noqa: PLC0415 (see above)

    with ExitStack() as stack:
        try:
            return run(stack, once=once, reloads=reloads)
        finally:
            _ignore_signals()


def _listen() -> None:
    for number in _SIGNALS:
        # nohup has this signal ignored, so that a program outlives its terminal.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    _ignore_signals()
    raise _Stop


def _ignore_signals() -> None:
    # A second Ctrl-C must not interrupt the end of the other processes.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes once more at its end, and would print the error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
