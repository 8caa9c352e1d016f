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

_TAKEN: Final = frozenset({"group", "member", "wait", "idempotency_key", "route"})
_INTERRUPTED: Final = 130
_EXIT_CODES: Final = {Status.COMPLETED: 0, Status.FAILED: 1, Status.CANCELLED: 3}


class _Trouble(click.ClickException):
    """Neither the user's mistake nor a thread's end."""

    exit_code = 4


class _Command(click.Command):
    """Turns what went wrong into a sentence and an exit code, in one place for all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises click's own exceptions only, and OSError for a closed pipe."""
        try:
            return super().invoke(ctx)
        except BadParameter as error:
            raise click.UsageError(plain(error.message), ctx) from error
        except BrokenPipeError:
            raise
        except (ClientError, OSError) as error:
            raise _Trouble(plain(str(error))) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(_INTERRUPTED)


def _formatted(command: Command) -> Command:
    xml = click.option("--xml", "form", flag_value="xml", help="Print the server's XML.")
    json = click.option("--json", "form", flag_value="json", help="Print the server's JSON.")
    return json(xml(command))


_in_group: Final = click.option("--group", "-g", help="The group, by its name or id.")
_watching: Final = click.option("--watch", "is_watched", is_flag=True, help="Follow it until it has ended.")
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
        # A process may have a parameter with the name of one of the client's own.
        pairs.setdefault(f"{name}_" if name.replace("-", "_") in _TAKEN else name, []).append(value)
    return pairs


@commands.command()
@click.argument("process")
@_in_group
@click.option("-p", "parameters", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A parameter.")
@click.option("--route", help="Its path, such as /members/{member}/groups/{group}/work, where it is not the usual one.")
@_watching
@click.option("--wait", type=click.IntRange(1), help="Let the server answer up to so many seconds later.")
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

    A result that the server has at once is saved in place of a thread.
    """
    with client_of(click.get_current_context()) as client:
        try:
            started = client.start(process, group=group, wait=wait, route=route, **parameters)
        except KeyboardInterrupt:
            click.echo("The thread may have been started all the same: list the threads to see.", err=True)
            raise
        if isinstance(started, Download):
            click.echo(f"Saved {plain(str(started.save(output or Path())))}", err=form is not None)
            return
        _tell(client, started, group, form, is_watched=is_watched, is_outcome=True)


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
            for one in process.parameters:
                default = "required" if one.default is None else f"default '{one.default}'"
                told = (one.type, default, *_limits(one), *([one.description] if one.description else []))
                click.echo(f"    {plain(one.name)}: {plain(', '.join(told))}")


def _limits(one: RemoteParameter) -> Iterator[str]:
    if one.choices:
        yield f"one of {', '.join(one.choices)}"
    unit = " characters" if one.type == "string" else ""
    if one.least is not None:
        yield f"at least {one.least:.12g}{unit}"
    if one.greatest is not None:
        yield f"at most {one.greatest:.12g}{unit}"


@commands.command("list")
@_in_group
@click.option("--status", help="The threads with this status, in place of the active ones.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True)
@click.option("--page-size", type=click.IntRange(1), default=50, show_default=True)
@_formatted
@connecting
def list_threads(group: str | None, status: str | None, page: int, page_size: int, form: str | None) -> None:
    """List threads, newest first."""
    with client_of(click.get_current_context()) as client:
        if form:
            query = {"status": status, "page": page, "page-size": page_size}
            _print_raw(client.text("threads", group=group, query=query, as_json=form == "json"))
            return
        found = client.threads(group, status, page, page_size)
    for thread in found.threads:
        click.echo(f"{plain(thread.id)}  {plain(thread.username)}  {plain(thread.name)}  {line(thread)}")
    if found.total != len(found.threads) or not found.threads:
        click.echo(f"Page {found.page}: {len(found.threads)} of {found.total}.", err=True)


@commands.command()
@click.argument("thread")
@_in_group
@_watching
@_formatted
@connecting
def progress(thread: str, group: str | None, *, is_watched: bool, form: str | None) -> None:
    """Show how far THREAD is."""
    with client_of(click.get_current_context()) as client:
        if form == "json" and not is_watched:
            _print_raw(client.text("progress", thread, group, as_json=True))
        else:
            _tell(client, client.progress(thread, group), group, form, is_watched=is_watched)


@commands.command()
@click.argument("thread")
@_in_group
@click.option("--follow", "-f", is_flag=True, help="Go on until the thread has ended.")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="The number of the first event.")
@click.option("--tail", type=click.IntRange(1), help="The last so many events only.")
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level], case_sensitive=False),
    help="Only those of this level or a graver one.",
)
@click.option("--page-size", type=click.IntRange(1), default=1000, help="How many events to ask for at once.")
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
@click.option("--force", is_flag=True, help="Kill it at once, without the time to clean up.")
@_formatted
@connecting
def cancel(thread: str, group: str | None, *, force: bool, form: str | None) -> None:
    """Cancel THREAD; one that has ended stays as it is."""
    with client_of(click.get_current_context()) as client:
        if form:
            query = {"force": "true" if force else None}
            _print_raw(client.text("cancel", thread, group, query=query, as_json=form == "json"))
            return
        found = client.cancel(thread, group, force=force)
    if found is None:
        raise ClientError(0, "", f"There is no thread '{thread}' here: list the threads to see which are.")
    click.echo("\n".join(whole(found)))


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


def _tell(
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
        # What was watched is on the screen already, all but its result.
        for text in results(thread) if is_watched else whole(thread):
            click.echo(text)
    context = click.get_current_context()
    if thread.is_final and (is_watched or is_outcome):
        known = isinstance(thread.status, Status)
        context.exit(_EXIT_CODES[Status(thread.status)] if known else 1)
    if is_watched:
        context.exit(_INTERRUPTED)


def _print_events(events: Iterable[Event]) -> None:
    for event in events:
        # The lines of one event stay apart from the next event, which they could imitate.
        text = plain(event.message, one_line=False).replace("\n", "\n    ")
        click.echo(f"{iso(event.timestamp)} {event.level:<5} {text}")


def _print_raw(text: str) -> None:
    # A program gets the answer as it is; a terminal must not be driven by it.
    click.echo(plain(text, one_line=False) if sys.stdout.isatty() else text, color=True)
