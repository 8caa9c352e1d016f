"""`make run`: starts everything, does the main job as a client would, and stays until Ctrl-C."""

from __future__ import annotations

import argparse
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
    """Ctrl-C or SIGTERM: no KeyboardInterrupt, since the watching of a thread asks what that means."""


def main() -> int:
    """Run until stopped; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the main job")
    parser.add_argument("--tied", action="store_true", help="end when whoever started it dies")
    given = parser.parse_args()
    if given.tied:
        die_with_parent(os.getppid())
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Into a pipe, too, each line comes when it is said; and no locale stands in the way of a name.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        _listen()
        return _run(once=given.once)
    except _Stop:
        with suppress(OSError):
            print("\nStopped.")
        return _INTERRUPTED if given.once else 0
    except PsthreadsError as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:
        pass  # Whoever read the output has gone, and with them whoever would read why.
    except OSError as error:
        with suppress(OSError):
            print(f"{error.filename or 'The output'} cannot be used: {error.strerror}.", file=sys.stderr)
    return 1


def _run(*, once: bool) -> int:
    # Importing it takes a second, in which Ctrl-C must count already.
    from psthreads.local.machine import run  # noqa: PLC0415 (see above)

    with ExitStack() as stack:
        try:
            return run(stack, once=once)
        finally:
            _ignore_signals()


def _listen() -> None:
    for number in _SIGNALS:
        # Who ignores the end of the terminal, as nohup does, is to go on after it.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    _ignore_signals()
    raise _Stop


def _ignore_signals() -> None:
    # A second Ctrl-C must not cut short what ends the other processes.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try it once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    _leave(main())
