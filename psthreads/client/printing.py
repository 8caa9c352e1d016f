"""What the commands print: threads, logs, processes, and answers unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import click
from rich.console import Console

from psthreads.client import Client, RemoteParameter, RemoteThread
from psthreads.client.watch import line, plain, results, watch, whole
from psthreads.domain.model import Event, Status, iso

INTERRUPTED: Final = 130
_EXIT_CODES: Final = {Status.COMPLETED: 0, Status.FAILED: 1, Status.CANCELLED: 3}


def properties(parameter: RemoteParameter) -> Iterator[str]:
    """Yield what is to be known of a parameter: its type, its default and its bounds."""
    yield parameter.type
    yield "required" if parameter.default is None else f"default '{parameter.default}'"
    if parameter.choices:
        yield f"one of {', '.join(parameter.choices)}"
    unit = " characters" if parameter.type == "string" else ""
    if parameter.least is not None:
        yield f"at least {parameter.least:.12g}{unit}"
    if parameter.greatest is not None:
        yield f"at most {parameter.greatest:.12g}{unit}"
    if parameter.description:
        yield parameter.description


def print_thread(thread: RemoteThread) -> None:
    """Print the thread in one line: its id, when it was created, how long it has run, and what it does."""
    times = f"{_clock(thread)}  {_duration(thread):>8}"
    click.echo(f"{plain(thread.id)}  {times}  {plain(thread.username)}  {plain(thread.name)}  {line(thread)}")


def _clock(thread: RemoteThread) -> str:
    return f"{thread.created.astimezone():%Y-%m-%d %H:%M:%S}" if thread.created else "-"


def _duration(thread: RemoteThread) -> str:
    # By the server's clock alone: the one here may be wrong.
    until = thread.ended or thread.heard
    if thread.started is None or until is None:
        return "-"
    return str(timedelta(seconds=max(0, round((until - thread.started).total_seconds()))))


def show(
    client: Client,
    thread: RemoteThread,
    group: str | None,
    form: str | None,
    *,
    is_watched: bool,
    is_outcome: bool = False,
) -> None:
    """Print the thread, watched to its end where `is_watched`.

    With one of the two flags the thread's final status is the exit code.
    """
    if is_watched:
        thread = watch(client, thread, group, Console(stderr=form is not None, highlight=False))
    if form == "json":
        print_raw(client.text("progress", thread.id, group, as_json=True))
    elif form == "xml":
        print_raw(thread.xml)
    else:
        # A watched thread is on the screen already, except for its result.
        for text in results(thread) if is_watched else whole(thread):
            click.echo(text)
    context = click.get_current_context()
    if thread.is_final and (is_watched or is_outcome):
        context.exit(_EXIT_CODES[thread.status] if isinstance(thread.status, Status) else 1)
    if is_watched:
        context.exit(INTERRUPTED)


def print_events(events: Iterable[Event]) -> None:
    """Print each event with its time and its level."""
    for event in events:
        # Continuation lines are indented, so that no message can look like another event.
        text = plain(event.message, one_line=False).replace("\n", "\n    ")
        click.echo(f"{iso(event.timestamp)} {event.level:<5} {text}")


def print_raw(text: str) -> None:
    """Print the server's answer."""
    # A program gets the answer unchanged; a terminal must not obey it.
    click.echo(plain(text, one_line=False) if sys.stdout.isatty() else text, color=True)
