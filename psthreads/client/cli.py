"""The client's commands: psthreads start, processes, list, progress, logs, cancel, upload, download."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from psthreads.client import Client, ClientError, Download, RemoteThread
from psthreads.client.printing import INTERRUPTED, print_events, print_raw, print_thread, properties, show
from psthreads.client.settings import client_of, connecting
from psthreads.client.watch import plain, say_left, whole
from psthreads.domain.errors import BadParameter
from psthreads.domain.model import Level

Command = TypeVar("Command", bound=Callable[..., Any])

_RESERVED: Final = frozenset({"group", "member", "wait", "idempotency_key", "route"})
_HELD: Final = 30  # seconds for which a server holds an answer
_GOES_ON: Final = 124  # as timeout(1) has it


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
            ctx.exit(INTERRUPTED)


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


class _WaitingCommand(_Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give `--wait` its value where none follows: click would take the next argument, whatever it is."""
        return super().parse_args(
            ctx,
            [
                f"{arg}=0" if arg == "--wait" and not following.isdecimal() else arg
                for arg, following in pairwise([*args, ""])
            ],
        )


@commands.command(cls=_WaitingCommand)
@click.argument("process")
@_in_group
@click.option("-p", "parameters", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A parameter.")
@click.option("--route", help="Its path, such as /members/{member}/groups/{group}/work, where it is not the usual one.")
@_watching
@click.option(
    "--wait", type=click.IntRange(0), metavar="[SECONDS]", help="Wait until it has ended, or for so many seconds."
)
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
    """Start PROCESS, such as validate or export: `psthreads processes` lists them.

    Where the server answers with a file at once, the file is saved, and there is no thread. With --wait or --watch the
    exit code is that of the thread's end; it is 124 where the thread goes on after the seconds of --wait.
    """
    if wait is not None and is_watched:
        raise click.UsageError("Use either --wait or --watch, not both.")
    with client_of(click.get_current_context()) as client:
        try:
            begin = time.monotonic()
            hold = None if wait is None else min(wait or _HELD, _HELD)
            started = client.start(process, group=group, wait=hold, route=route, **parameters)
        except KeyboardInterrupt:
            click.echo("The thread may have been started anyway: list the threads to see.", err=True)
            raise
        if isinstance(started, Download):
            click.echo(f"Saved {plain(str(started.save(output or Path())))}", err=form is not None)
            return
        if wait is not None:
            started = _ended(client, started, group, wait - (time.monotonic() - begin) if wait else None)
        show(client, started, group, form, is_watched=is_watched, is_outcome=True)
        if wait is not None and not started.is_final:
            click.get_current_context().exit(_GOES_ON)


def _ended(client: Client, thread: RemoteThread, group: str | None, seconds: float | None) -> RemoteThread:
    """Return the thread once it has ended, or as it is after so many seconds."""
    latest = thread

    def keep(current: RemoteThread) -> None:
        nonlocal latest
        latest = current

    try:
        return thread if thread.is_final else client.wait(thread.id, group, seconds, on_progress=keep)
    except TimeoutError:
        return latest
    except KeyboardInterrupt:
        say_left(Console(stderr=True, highlight=False), thread, group)
        raise


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
            print_raw(client.text("processes", group=group, as_json=form == "json"))
            return
        for process in client.processes(group):
            click.echo(f"{plain(process.name)}  {plain(process.summary)}")
            click.echo(f"    {plain(' or '.join(process.methods))} {plain(process.route)}")
            for parameter in process.parameters:
                click.echo(f"    {plain(parameter.name)}: {plain(', '.join(properties(parameter)))}")


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
    """List threads, newest first: when each was created, and how long it has run."""
    if every and (form or page != 1):
        raise click.UsageError("--all goes neither with --page nor with --json or --xml.")
    with client_of(click.get_current_context()) as client:
        if every:
            for thread in client.all_threads(group, status):
                print_thread(thread)
            return
        if form:
            query = {"status": status, "page": page, "page-size": page_size}
            print_raw(client.text("threads", group=group, query=query, as_json=form == "json"))
            return
        result = client.threads(group, status, page, page_size)
    for thread in result.threads:
        print_thread(thread)
    if result.total != len(result.threads) or not result.threads:
        click.echo(f"Page {result.page}: {len(result.threads)} of {result.total}.", err=True)


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
            print_raw(client.text("progress", thread, group, as_json=True))
        else:
            show(client, client.progress(thread, group), group, form, is_watched=is_watched)


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
            print_raw(client.text("logs", thread, group, query=query, as_json=form == "json"))
            return
        page = client.logs(thread, group, first, page_size=page_size, tail=tail, level=level)
        print_events(page.events)
        if follow:
            print_events(client.follow_log(thread, group, page.next, level))
        while not follow and not tail and first < page.next <= page.total:
            first = page.next
            page = client.logs(thread, group, first, page_size=page_size, level=level)
            print_events(page.events)


@commands.command()
@click.argument("thread")
@_in_group
@click.option("--force", is_flag=True, help="Kill it at once, without its grace period.")
@click.option("--reason", default="", help="Why, for the audit.")
@_formatted
@connecting
def cancel(thread: str, group: str | None, *, force: bool, reason: str, form: str | None) -> None:
    """Cancel THREAD. This has no effect on one that has ended."""
    with client_of(click.get_current_context()) as client:
        if form:
            query = {"force": "true" if force else None, "reason": reason or None}
            print_raw(client.text("cancel", thread, group, query=query, as_json=form == "json"))
            return
        cancelled = client.cancel(thread, group, force=force, reason=reason)
    if cancelled is None:
        raise ClientError(0, "", f"There is no thread '{thread}' here: list the threads to see which are.")
    click.echo("\n".join(whole(cancelled)))


@commands.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
@click.option("--group", "-g", required=True, help="The group, by its name or id.")
@click.option("--to", "folder", default="", help="The folder of the loading zone to write to.")
@connecting
def upload(files: tuple[Path, ...], group: str, folder: str) -> None:
    """Upload each FILE, and all files of each folder, to your loading zone in the group.

    Start unzip and load to unpack them there, and to load them into the group's documents.
    """
    with client_of(click.get_current_context()) as client:
        for file, name in _uploads(files):
            path = f"{folder.strip('/')}/{name}".lstrip("/")
            size = client.upload(group, file, path)
            click.echo(f"Uploaded {plain(path)} ({size:,} bytes)")


def _uploads(files: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its path in the loading zone, where a folder keeps its name."""
    for file in files:
        if not file.is_dir():
            yield file, file.name
            continue
        for each in sorted(file.rglob("*")):
            if each.is_file():
                yield each, f"{file.resolve().name}/{each.relative_to(file).as_posix()}"


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
