"""The client's commands: psthreads start, processes, list, progress, logs, cancel, download."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from psthreads.client import Client, ClientError, Download, RemoteParameter, RemoteThread
from psthreads.client.settings import client_of, connecting
from psthreads.client.watch import line, plain, results, watch, whole
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Event, Level, Status, iso

Command = TypeVar("Command", bound=Callable[..., Any])

_RESERVED: Final = frozenset({"group", "member", "wait", "idempotency_key", "route"})
_INTERRUPTED: Final = 130
_EXIT_CODES: Final = {Status.COMPLETED: 0, Status.FAILED: 1, Status.CANCELLED: 3}


class _ServerTrouble(click.ClickException):
    """A failure that is neither a usage error nor the end of a thread."""

    exit_code = 4


class _Command(click.Command):
    """A command that turns errors into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises click's exceptions only, and BrokenPipeError."""
        try:
            return super().invoke(ctx)
        except BadParameter as error:
            raise click.UsageError(plain(error.message), ctx) from error
        except BrokenPipeError:
            raise
        except (ClientError, OSError) as error:
            raise _ServerTrouble(plain(str(error))) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(_INTERRUPTED)


def _formatted(command: Command) -> Command:
    xml = click.option("--xml", "form", flag_value="xml", help="Print the server's XML.")
    json = click.option("--json", "form", flag_value="json", help="Print the server's JSON.")
    return json(xml(command))


_in_group: Final = click.option("--group", "-g", help="The group, by its name or id.")
_watching: Final = click.option("--watch", "is_watched", is_flag=True, help="Watch it until it has ended.")
_saving: Final = click.option("--output", "-o", type=click.Path(path_type=Path), help="The file or folder to save to.")


class _Commands(click.Group):
    command_class = _Command


commands: Final = _Commands()


def _pairs(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[str]]:
    pairs: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"'{text}' is not of the form name=value.")
        # A process may have a parameter with the name of one of Client.start's own.
        pairs.setdefault(f"{name}_" if name.replace("-", "_") in _RESERVED else name, []).append(value)
    return pairs


@commands.command()
@click.argument("process")
@_in_group
@click.option("-p", "parameters", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A parameter.")
@click.option("--route", help="Its path, such as /members/{member}/groups/{group}/work, where it is not the usual one.")
@_watching
@click.option("--wait", type=click.IntRange(1), help="Wait up to so many seconds for the thread to end.")
@_saving
@_formatted
@connecting
def start(
    process: str,
    group: str | None,
    parameters: dict[str, Any],
    route: str | None,
    *,
    is_watched: bool,
    wait: int | None,
    output: Path | None,
    form: str | None,
) -> None:
    """Start PROCESS, such as validate or export.

    Where the server answers with a file at once, the file is saved, and there is no thread.
    """
    with client_of(click.get_current_context()) as client:
        try:
            started = client.start(process, group=group, wait=wait, route=route, **parameters)
        except KeyboardInterrupt:
            click.echo("The thread may have been started anyway: list the threads to see.", err=True)
            raise
        if isinstance(started, Download):
            click.echo(f"Saved {plain(str(started.save(output or Path())))}", err=form is not None)
            return
        _show(client, started, group, form, is_watched=is_watched, is_outcome=True)


@commands.command()
@click.argument("group", required=False)
@_formatted
@connecting
def processes(group: str | None, form: str | None) -> None:
    """List what can be started.

    That is in GROUP, or without one in any group and on the whole server.
    """
    with client_of(click.get_current_context()) as client:
        if form:
            _print_raw(client.text("processes", group=group, as_json=form == "json"))
            return
        for process in client.processes(group):
            click.echo(f"{plain(process.name)}  {plain(process.summary)}")
            click.echo(f"    {plain(' or '.join(process.methods))} {plain(process.route)}")
            for parameter in process.parameters:
                click.echo(f"    {plain(parameter.name)}: {plain(', '.join(_properties(parameter)))}")


def _properties(parameter: RemoteParameter) -> Iterator[str]:
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


@commands.command("list")
@_in_group
@click.option("--status", help="List the threads with this status instead of the active ones.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True)
@click.option("--page-size", type=click.IntRange(1), default=50, show_default=True)
@click.option("--all", "every", is_flag=True, help="List all of them, not only a page.")
@_formatted
@connecting
def list_threads(
    group: str | None, status: str | None, page: int, page_size: int, form: str | None, *, every: bool
) -> None:
    """List threads, newest first."""
    if every and (form or page != 1):
        raise click.UsageError("--all goes neither with --page nor with --json or --xml.")
    with client_of(click.get_current_context()) as client:
        if every:
            for thread in client.all_threads(group, status):
                _print_thread(thread)
            return
        if form:
            query = {"status": status, "page": page, "page-size": page_size}
            _print_raw(client.text("threads", group=group, query=query, as_json=form == "json"))
            return
        result = client.threads(group, status, page, page_size)
    for thread in result.threads:
        _print_thread(thread)
    if result.total != len(result.threads) or not result.threads:
        click.echo(f"Page {result.page}: {len(result.threads)} of {result.total}.", err=True)


def _print_thread(thread: RemoteThread) -> None:
    click.echo(f"{plain(thread.id)}  {plain(thread.username)}  {plain(thread.name)}  {line(thread)}")


@commands.command()
@click.argument("thread")
@_in_group
@_watching
@_formatted
@connecting
def progress(thread: str, group: str | None, *, is_watched: bool, form: str | None) -> None:
    """Show the progress of THREAD."""
    with client_of(click.get_current_context()) as client:
        if form == "json" and not is_watched:
            _print_raw(client.text("progress", thread, group, as_json=True))
        else:
            _show(client, client.progress(thread, group), group, form, is_watched=is_watched)


@commands.command()
@click.argument("thread")
@_in_group
@click.option("--follow", "-f", is_flag=True, help="Print new events until the thread has ended.")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="The number of the first event.")
@click.option("--tail", type=click.IntRange(1), help="Print only so many of the last events.")
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level], case_sensitive=False),
    help="Print only events of this level or a higher one.",
)
@click.option("--page-size", type=click.IntRange(1), default=1000, help="How many events to request at once.")
@_formatted
@connecting
def logs(
    thread: str,
    group: str | None,
    *,
    follow: bool,
    first: int,
    tail: int | None,
    level: str | None,
    page_size: int,
    form: str | None,
) -> None:
    """Print the log of THREAD.

    With --json or --xml it prints one page.
    """
    if form and follow:
        raise click.UsageError("--follow prints lines: leave out --json or --xml.")
    with client_of(click.get_current_context()) as client:
        if form:
            query = {"from": None if tail else first, "page-size": page_size, "tail": tail, "level": level}
            _print_raw(client.text("logs", thread, group, query=query, as_json=form == "json"))
            return
        page = client.logs(thread, group, first, page_size=page_size, tail=tail, level=level)
        _print_events(page.events)
        if follow:
            _print_events(client.follow_log(thread, group, page.next, level))
        while not follow and not tail and first < page.next <= page.total:
            first = page.next
            page = client.logs(thread, group, first, page_size=page_size, level=level)
            _print_events(page.events)


@commands.command()
@click.argument("thread")
@_in_group
@click.option("--force", is_flag=True, help="Kill it at once, without its grace period.")
@_formatted
@connecting
def cancel(thread: str, group: str | None, *, force: bool, form: str | None) -> None:
    """Cancel THREAD. This has no effect on one that has ended."""
    with client_of(click.get_current_context()) as client:
        if form:
            query = {"force": "true" if force else None}
            _print_raw(client.text("cancel", thread, group, query=query, as_json=form == "json"))
            return
        cancelled = client.cancel(thread, group, force=force)
    if cancelled is None:
        raise ClientError(0, "", f"There is no thread '{thread}' here: list the threads to see which are.")
    click.echo("\n".join(whole(cancelled)))


@commands.command()
@click.argument("group")
@click.argument("file")
@_saving
@connecting
def download(group: str, file: str, output: Path | None) -> None:
    """Save FILE, a result of GROUP.

    Without --output it keeps its own name, and replaces no other file.
    """
    with client_of(click.get_current_context()) as client:
        click.echo(f"Saved {plain(str(client.download(group, file, output or Path())))}")


def _show(
    client: Client,
    thread: RemoteThread,
    group: str | None,
    form: str | None,
    *,
    is_watched: bool,
    is_outcome: bool = False,
) -> None:
    if is_watched:
        thread = watch(client, thread, group, Console(stderr=form is not None, highlight=False))
    if form == "json":
        _print_raw(client.text("progress", thread.id, group, as_json=True))
    elif form == "xml":
        _print_raw(thread.xml)
    else:
        # A watched thread is on the screen already, except for its result.
        for text in results(thread) if is_watched else whole(thread):
            click.echo(text)
    context = click.get_current_context()
    if thread.is_final and (is_watched or is_outcome):
        context.exit(_EXIT_CODES[thread.status] if isinstance(thread.status, Status) else 1)
    if is_watched:
        context.exit(_INTERRUPTED)


def _print_events(events: Iterable[Event]) -> None:
    for event in events:
        # Continuation lines are indented, so that no message can look like another event.
        text = plain(event.message, one_line=False).replace("\n", "\n    ")
        click.echo(f"{iso(event.timestamp)} {event.level:<5} {text}")


def _print_raw(text: str) -> None:
    # A program gets the answer unchanged; a terminal must not obey it.
    click.echo(plain(text, one_line=False) if sys.stdout.isatty() else text, color=True)
