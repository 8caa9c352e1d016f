"""All commands of the program `psthreads`: the client's, and those that run and manage a server.

A server's command imports what it runs only when it is called, so that the client's commands start quickly and without
any server's packages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import get_completion_class

from psthreads.client.cli import commands as client_commands
from psthreads.client.settings import SOURCES, connecting
from psthreads.domain.errors import PsthreadsError

_HELP: Final = f"""Start work on a psthreads server, follow it and stop it; or run such a server.

Without --group a client's command uses the services of the whole server, which are for administrators.

\b
{SOURCES}

\b
Exit codes:
  0    done; a thread that was started or watched: completed, or not watched
  1    the thread that was started or watched has failed; a server's command
       cannot do its work, and says why
  2    the command was not understood
  3    the thread that was started or watched was cancelled
  4    the server refused, did not answer or sent an answer that cannot be
       read; a file could not be written
  124  the thread that was waited for goes on after the seconds of --wait
  130  interrupted with Ctrl-C; a thread that was watched was left running

`psthreads completion --help` says how to have commands completed by the Tab key.
"""


class _Program(click.Group):
    """Lists the client's commands apart from the server's, and shows the domain's errors as one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of the domain ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except PsthreadsError as error:
            raise click.ClickException(error.message) from error

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both lists of commands, each in the order of its source."""
        limit = formatter.width - 2 * len("completion")
        for title, group in (("Client", client_commands), ("Server", _SERVER)):
            with formatter.section(f"{title} commands"):
                formatter.write_dl([(name, it.get_short_help_str(limit)) for name, it in group.commands.items()])


class _Admin(click.Group):
    """Imports the operator's commands, and what they need, only when one of them is called or listed."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names of the commands, in the order of their source."""
        return list(self._load())

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, if there is one."""
        return self._load().get(cmd_name)

    @staticmethod
    def _load() -> dict[str, click.Command]:
        from psthreads.admin.commands import COMMANDS

        return {str(command.name): command for command in COMMANDS}


_SERVER: Final = click.Group()


@_SERVER.command()
@click.option("--once", is_flag=True, help="End after the first job.")
@click.option("--reload", "reloads", is_flag=True, help="Start again when a file of your processes changes.")
@click.option("--tied", is_flag=True, hidden=True)
def run(*, once: bool, reloads: bool, tied: bool) -> None:
    """Run the whole service on this machine, with sample data.

    It makes a group with sample documents and a member for each role, and validates the documents as a client would.
    Data goes to the folder ./var. Without REDIS_URL it starts a Redis of its own.

    With --reload, workers and web start again when a file of the modules in PSTHREADS_PROCESSES or of an installed
    plug-in changes. Threads that run then are interrupted: restartable ones run again, others fail.
    """
    from psthreads.local.command import main

    main(once=once, tied=tied, reloads=reloads)


@_SERVER.command()
def web() -> None:
    """Serve the API and the dashboard, with gunicorn.

    HOST, PORT and the other settings come from the environment; gunicorn's own options come from GUNICORN_CMD_ARGS.
    """
    from psthreads.authoring.plugins import load_all
    from psthreads.domain.config import Config
    from psthreads.local.programs import GUNICORN

    _find_modules_here()
    load_all(Config.from_env().processes)  # gunicorn would show a traceback for a broken plug-in.
    os.execv(sys.executable, GUNICORN)  # noqa: S606 (our own program) # nosec B606


@_SERVER.command()
def worker() -> None:
    """Keep WORKERS worker processes running."""
    from psthreads.run_workers import main

    _find_modules_here()
    sys.exit(main())


@_SERVER.command()
@click.option(
    "--prove",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="Judge this append-only file instead, or a folder of one, step by step.",
)
def doctor(*, prove: Path | None) -> None:
    """Say what is unsafe or unwell here, and how to mend it.

    Reads the same environment as the web process. The exit code is 1 when any problem is serious.

    With --prove it asks no Redis: it reads what a Redis has written to its append-only file, and names each step after
    which a rule about threads was broken.
    """
    from psthreads.admin import doctor_command

    sys.exit(doctor_command.judge(prove) if prove else doctor_command.examine())


_SERVER.add_command(_Admin("admin", help="Manage members, groups and tokens; export the audit."))


@_SERVER.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print the script that completes commands in SHELL.

    \b
    For bash, in ~/.bashrc:   eval "$(psthreads completion bash)"
    For zsh, in ~/.zshrc:     eval "$(psthreads completion zsh)"
    For fish:                 psthreads completion fish >~/.config/fish/completions/psthreads.fish
    """
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(program, {}, "psthreads", "_PSTHREADS_COMPLETE").source())


@click.group(cls=_Program, help=_HELP, commands={**client_commands.commands, **_SERVER.commands})
@connecting
@click.version_option(package_name="psthreads", message="%(prog)s %(version)s")
def program() -> None:
    """Choose a command."""


def _find_modules_here() -> None:
    # As gunicorn does: PSTHREADS_PROCESSES may name a module in the current folder.
    if (folder := os.getcwd()) not in sys.path:  # noqa: PTH109 (a string, as in sys.path)
        sys.path.insert(0, folder)
