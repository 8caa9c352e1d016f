"""Shows a thread in a terminal, or to a script, until it ends; Ctrl-C may cancel it."""

from __future__ import annotations

import json
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
# C0 and C1 controls drive a terminal; bidirectional overrides make text look like other text.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STYLES: Final = {
    Status.WARNING: "yellow",
    Status.ERROR: "red",
    Status.COMPLETED: "green",
    Status.FAILED: "bold red",
    Status.CANCELLED: "magenta",
}


def plain(text: str, *, one_line: bool = True) -> str:
    """Return the text without the controls of a terminal, and without line breaks where `one_line`."""
    text = _CONTROLS.sub("", text.replace("\r\n", "\n"))
    return " ".join(text.split()) if one_line else text


def line(thread: RemoteThread) -> str:
    """Return the thread's status, counts and message in one line."""
    counts = thread.progress
    return "  ".join(filter(None, (_status(thread), counts and "{}/{}".format(*counts), plain(thread.message))))


def whole(thread: RemoteThread) -> list[str]:
    """Return all about the thread, in several lines."""
    lines = [f"{plain(thread.id)}  {line(thread)}", f"  {plain(thread.name)}, started by {plain(thread.username)}"]
    if thread.warnings or thread.errors:
        lines.append(f"  {thread.warnings} warnings, {thread.errors} errors")
    return lines + results(thread)


def results(thread: RemoteThread) -> list[str]:
    """Return a line for each element of the thread's own XML with text, such as its file's name, and for its result."""
    lines = [f"  {plain(element.name)}: {text}" for element in thread.elements if (text := plain(element.text))]
    if thread.result is not None:
        lines.append(f"  result: {plain(json.dumps(thread.result, ensure_ascii=False))}")
    return lines


def watch(
    client: Client, thread: RemoteThread, group: str | int | None, console: Console, *, poll: float = _POLL_SECONDS
) -> RemoteThread:
    """Show the thread until it has ended, and return it; it is not final where the user left it running.

    A terminal shows a live bar, other outputs a line for each change. Ctrl-C asks whether to cancel the thread or to
    leave it running; a second Ctrl-C, or one without a terminal, leaves it running and prints how to cancel it. `poll`
    is in seconds. Raises ClientError when the server stays away for a minute.
    """
    latest = thread

    def on_progress(thread: RemoteThread) -> None:
        nonlocal latest
        latest = thread
        view.show(thread)

    try:
        while True:
            try:
                with _view(console) as view:
                    view.show(latest)
                    if not latest.is_final:
                        client.wait(latest.id, group, on_progress=on_progress, poll=poll)
            except KeyboardInterrupt:
                if not _wants_cancel(console, latest):
                    break
            else:
                return latest
            latest = client.cancel(latest.id, group, force=latest.cancelling) or latest
    except KeyboardInterrupt:
        pass  # A second one leaves the thread alone.
    say_left(console, latest, group)
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
    """A live bar above the message, replaced by one line at the end."""

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
            # The speed of another bar says nothing about this one.
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
    # With FORCE_COLOR, rich treats a pipe as a terminal.
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


def say_left(console: Console, thread: RemoteThread, group: str | int | None) -> None:
    """Say that the thread was left running, and how to watch and cancel it."""
    which = shlex.quote(plain(thread.id)) + (f" --group {shlex.quote(str(group))}" if group is not None else "")
    console.print(Text("The thread was left running."), soft_wrap=True)
    console.print(Text(f"To watch it:  psthreads progress --watch {which}"), soft_wrap=True)
    console.print(Text(f"To cancel it: psthreads cancel {which}"), soft_wrap=True)
