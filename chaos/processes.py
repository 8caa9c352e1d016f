"""The kinds of work that go through the storm. Each run of one leaves a line in a file, so that two are seen."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from psthreads.authoring.context import Context
from psthreads.authoring.registry import process

_ROUTE = "/members/{member}/groups/{group}/chaos/"


def _mark(context: Context, path: str) -> None:
    # One write to a file opened for appending stays whole, whoever else writes.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{context.thread_id} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


def _work(context: Context, marks: str, seconds: float) -> None:
    _mark(context, marks)
    steps = max(1, int(seconds * 20))
    with context.bar("progress", total=steps) as bar:
        for step in bar.iter(range(steps)):
            context.message(f"Step {step}")
            time.sleep(0.05)


@process(title="Steady", route=_ROUTE + "steady")
def steady(context: Context, marks: str, seconds: float) -> None:
    """Work for a while and end well."""
    _work(context, marks, seconds)


@process(title="Restartable", route=_ROUTE + "restartable", restartable=True)
def restartable(context: Context, marks: str, seconds: float) -> None:
    """Work for a while; may run again from the start."""
    _work(context, marks, seconds)


@process(title="Failing", route=_ROUTE + "failing", exclusive=True)
def failing(context: Context, marks: str, seconds: float) -> None:
    """Work for a while and fail."""
    _work(context, marks, seconds / 2)
    raise ValueError("as it should")


@process(title="Quitting", route=_ROUTE + "quitting")
def quitting(context: Context, marks: str, seconds: float) -> None:
    """Exit the operating system process at once."""
    _work(context, marks, seconds / 2)
    os._exit(0)


@process(title="Stubborn", route=_ROUTE + "stubborn")
def stubborn(context: Context, marks: str, seconds: float) -> None:
    """Ignore every interrupt."""
    _mark(context, marks)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(BaseException):
            time.sleep(0.2)


@process(title="Talking", route=_ROUTE + "talking")
def talking(context: Context, marks: str, seconds: float) -> None:
    """Log many lines, and warn."""
    _mark(context, marks)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number in range(200):
            context.log(f"line {number}")
        context.warning("odd")
        time.sleep(0.02)


KINDS = ("steady", "steady", "restartable", "restartable", "failing", "quitting", "stubborn", "talking")
"""The names, the common ones more often."""
