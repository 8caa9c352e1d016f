"""Watching a thread from a terminal or a script until it ends, and what Ctrl-C means on the way."""

from __future__ import annotations

import re
import shlex
import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from psthreads.client import Client, RemoteThread
from psthreads.domain.model import Status

_POLL_SECONDS: Final = 0.5
# C0 and C1 controls drive a terminal; the bidirectional overrides make text read as what it is not.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STYLES: Final = {
    Status.WARNING: "yellow",
    Status.ERROR: "red",
    Status.COMPLETED: "green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "magenta",
}


def plain(text: str, *, one_line: bool = True) -> str:
    """The text without anything that a terminal would obey; on one line, unless asked otherwise."""
    text = _CONTROLS.sub("", text.replace("\r\n", "\n"))
    return " ".join(text.split()) if one_line else text


def line(thread: RemoteThread) -> str:
    """Where the thread is, in one line: its status, its counts and its message."""
    counts = thread.progress
    return "  ".join(filter(None, (_status(thread), counts and "{}/{}".format(*counts), plain(thread.message))))


def whole(thread: RemoteThread) -> list[str]:
    """All of the thread, in several lines."""
    lines = [f"{plain(thread.id)}  {line(thread)}", f"  {plain(thread.name)}, started by {plain(thread.username)}"]
    if thread.warnings or thread.errors:
        lines.append(f"  {thread.warnings} warnings, {thread.errors} errors")
    return lines + results(thread)


def results(thread: RemoteThread) -> list[str]:
    """A line for each element of the thread's own that holds text, such as the name of its file."""
    return [f"  {plain(element.name)}: {text}" for element in thread.elements if (text := plain(element.text))]


def watch(
    client: Client, thread: RemoteThread, group: str | int | None, console: Console, *, poll: float = _POLL_SECONDS
) -> RemoteThread:
    """Show the thread until it has ended, and return it; one that is not final was left running.

    On a terminal a live bar, elsewhere a line for each change. Ctrl-C asks whether to cancel the
    thread or to leave it; a second one, and any where nobody can be asked, leaves it running and
    says how to cancel it. `poll` is in seconds. Raises ClientError when the server stays away for a
    minute.
    """
    latest = thread

    def look(now: RemoteThread) -> None:
        nonlocal latest
        latest = now
        view.show(now)

    try:
        while True:
            try:
                with _view(console) as view:
                    view.show(latest)
                    if not latest.is_final:
                        client.wait(latest.id, group, on_progress=look, poll=poll)
            except KeyboardInterrupt:
                if not _wants_cancel(console, latest):
                    break
            else:
                return latest
            latest = client.cancel(latest.id, group, force=latest.cancelling) or latest
    except KeyboardInterrupt:
        # A second one means: away from here, and do nothing to the thread.
        pass
    _say_left(console, latest, group)
    return latest


class _View(Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, thread: RemoteThread) -> None: ...


class _PlainLines:
    """A line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, thread: RemoteThread) -> None:
        if (now := line(thread)) != self._last:
            self._console.print(Text(now), soft_wrap=True)
            self._console.file.flush()
            self._last = now


class _Live:
    """A bar that moves, above the message; one line stays when the thread has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("", total=None, counts="")
        self._counted = ""
        self._message = Text(no_wrap=True, overflow="ellipsis")
        self._live = Live(console=console, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, thread: RemoteThread) -> None:
        if thread.is_final:
            style = _STYLES.get(thread.status, "") if isinstance(thread.status, Status) else ""
            self._live.stop()
            self._console.print(Text(line(thread), style), soft_wrap=True)
            return
        self._message.plain = plain(thread.message)
        bar = thread.bar
        if bar is not None and bar.name != self._counted:
            # Another bar: how fast the last one moved says nothing about this one.
            self._progress.reset(self._task)
            self._counted = bar.name
        current, total = thread.progress or (0, None)
        self._progress.update(
            self._task,
            description=_status(thread),
            completed=current if total is None else min(current, total),
            total=total,
            counts="" if total is None else f"{current:,}/{total:,}",
        )

    def _render(self) -> Group:
        return Group(self._progress, self._message)


def _view(console: Console) -> _View:
    return _Live(console) if _is_screen(console) else _PlainLines(console)


def _status(thread: RemoteThread) -> str:
    status = plain(str(thread.status))
    return f"{status} (cancelling)" if thread.cancelling and not thread.is_final else status


def _is_screen(console: Console) -> bool:
    # With FORCE_COLOR rich takes a pipe for a terminal, too.
    return console.is_interactive and console.file.isatty()


def _wants_cancel(console: Console, thread: RemoteThread) -> bool:
    if not (_is_screen(console) and sys.stdin.isatty()):
        return False
    how = "cancel it at once, without grace" if thread.cancelling else "cancel the thread"
    try:
        answer = console.input(Text(f"\n[c] {how}, [l] leave it running (l): "))
    except EOFError:
        return False
    return answer.strip().lower() in ("c", "cancel")


def _say_left(console: Console, thread: RemoteThread, group: str | int | None) -> None:
    which = shlex.quote(plain(thread.id)) + (f" --group {shlex.quote(str(group))}" if group is not None else "")
    console.print(Text("The thread was left running."), soft_wrap=True)
    console.print(Text(f"To watch it:  psthreads progress --watch {which}"), soft_wrap=True)
    console.print(Text(f"To cancel it: psthreads cancel {which}"), soft_wrap=True)
