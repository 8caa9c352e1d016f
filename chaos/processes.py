"""The kinds of work that go through the storm. Each execution leaves a trail, so that two at once are seen."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from chaos.trails import TICK_SECONDS, Trail
from psthreads.authoring.context import Context
from psthreads.authoring.process import Process
from psthreads.authoring.registry import process

LIMIT_SECONDS: Final = 2.0
"""The time limit of the kind that never ends by itself."""

_ROUTE: Final = "/members/{member}/groups/{group}/chaos/"
_REPEATED_IN_C: Final = 20_000_000  # a few tenths of a second, in which Python code has no turn


def _step(context: Context, trail: Trail, seconds: float) -> None:
    steps = max(1, int(seconds / TICK_SECONDS))
    with context.bar("progress", total=steps) as bar:
        for step in bar.iter(range(steps)):
            context.message(f"Step {step}")
            trail.tick()
            time.sleep(TICK_SECONDS)


@process(title="Steady", route=_ROUTE + "steady")
def steady(context: Context, trail: str, seconds: float) -> None:
    """Work for a while and end well."""
    with Trail(context.thread_id, trail) as own:
        _step(context, own, seconds)


@process(title="Restartable", route=_ROUTE + "restartable", restartable=True)
def restartable(context: Context, trail: str, seconds: float) -> None:
    """Work for a while, and write a result that differs with each run."""
    with Trail(context.thread_id, trail) as own, context.result("result.txt") as result:
        result.write(f"{own.name}\n".encode())
        _step(context, own, seconds)


@process(title="Several results", route=_ROUTE + "results")
def several_results(context: Context, trail: str, seconds: float) -> None:
    """Write one result after the other."""
    with Trail(context.thread_id, trail) as own:
        for number in range(4):
            with context.result(f"part-{number}.txt") as result:
                own.work(seconds / 4)
                result.write(f"{own.name}\n".encode())


@process(title="Writing", route=_ROUTE + "documents", exclusive=True, restartable=True)
def documents(context: Context, trail: str, seconds: float) -> None:
    """Change a document of the group again and again."""
    with Trail(context.thread_id, trail) as own:
        end = time.monotonic() + seconds
        for step in itertools.count():
            context.folder.write(f"/documents/{context.thread_id}.txt", f"{own.name} {step}\n".encode())
            context.message(f"Wrote it {step} times")
            own.work(TICK_SECONDS)
            if time.monotonic() > end:
                break


@process(title="Converting", route=_ROUTE + "converting", exclusive=True, restartable=True)
def converting(context: Context, trail: str, seconds: float) -> None:
    """Let a program do the work, and end it."""
    with Trail(context.thread_id, trail) as own:
        program = own.start_program()
        try:
            _step(context, own, seconds)
        finally:
            program.kill()
            program.wait()


@process(title="Failing", route=_ROUTE + "failing", exclusive=True)
def failing(context: Context, trail: str, seconds: float) -> None:
    """Work for a while and fail."""
    with Trail(context.thread_id, trail) as own:
        _step(context, own, seconds / 2)
    raise ValueError("as it should")


@process(title="Quitting", route=_ROUTE + "quitting")
def quitting(context: Context, trail: str, seconds: float) -> None:
    """Exit the operating system process at once."""
    with Trail(context.thread_id, trail) as own:
        _step(context, own, seconds / 2)
        os._exit(0)


@process(title="Stubborn", route=_ROUTE + "stubborn")
def stubborn(context: Context, trail: str, seconds: float) -> None:
    """Ignore every interrupt."""
    with Trail(context.thread_id, trail) as own:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(BaseException):
                own.work(0.2)


@process(title="Endless", route=_ROUTE + "endless", time_limit=LIMIT_SECONDS)
def endless(context: Context, trail: str, seconds: float) -> None:  # noqa: ARG001 (every kind takes both)
    """Ignore every interrupt until the process is killed."""
    with Trail(context.thread_id, trail) as own:
        while True:
            with suppress(BaseException):
                own.work(0.2)


@process(title="Careful", route=_ROUTE + "careful", killable=False)
def careful(context: Context, trail: str, seconds: float) -> None:
    """Clean up in peace."""
    with Trail(context.thread_id, trail) as own:
        try:
            _step(context, own, seconds / 2)
        finally:
            own.work(seconds / 2)


@process(title="Talking", route=_ROUTE + "talking")
def talking(context: Context, trail: str, seconds: float) -> None:
    """Log many lines, and warn."""
    with Trail(context.thread_id, trail) as own:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number in range(200):
                context.log(f"line {number}")
            context.warning("odd")
            own.work(0.02)


@process(title="Spawning", route=_ROUTE + "spawning", restartable=True)
def spawning(context: Context, trail: str, seconds: float) -> None:
    """Leave a program behind."""
    with Trail(context.thread_id, trail) as own:
        own.start_program()
        _step(context, own, seconds)


@process(title="Detaching", route=_ROUTE + "detaching", restartable=True)
def detaching(context: Context, trail: str, seconds: float) -> None:
    """Leave a program behind that has a session of its own."""
    with Trail(context.thread_id, trail) as own:
        own.start_program(own_session=True)
        _step(context, own, seconds)


@process(title="Daemonic", route=_ROUTE + "daemonic", restartable=True)
def daemonic(context: Context, trail: str, seconds: float) -> None:
    """Leave a process behind that was forked twice."""
    with Trail(context.thread_id, trail) as own:
        own.start_daemon()
        _step(context, own, seconds)


@process(title="Asynchronous", route=_ROUTE + "asynchronous")
def asynchronous(context: Context, trail: str, seconds: float) -> None:
    """Run an event loop with a busy task in the background."""

    async def be_busy(own: Trail) -> None:
        while True:
            own.work(TICK_SECONDS)
            await asyncio.sleep(0)

    async def run(own: Trail) -> None:
        task = asyncio.create_task(be_busy(own))
        await asyncio.sleep(seconds)
        task.cancel()

    with Trail(context.thread_id, trail) as own:
        context.message("In the loop")
        asyncio.run(run(own))


@process(title="Computing", route=_ROUTE + "computing")
def computing(context: Context, trail: str, seconds: float) -> None:
    """Compute in C, where no interrupt reaches."""
    with Trail(context.thread_id, trail) as own:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(itertools.repeat(1, _REPEATED_IN_C))
            own.tick()


KINDS: Final[Mapping[str, Process]] = MappingProxyType(
    {
        each.route.removeprefix(_ROUTE): each
        for each in (
            *(steady, restartable, several_results, documents, converting, failing, quitting, stubborn, endless),
            *(careful, talking, spawning, detaching, daemonic, asynchronous, computing),
        )
    }
)
"""The processes by the last part of their routes."""
