"""The settings of the command line, the server and the credentials: from options, the environment and a file."""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from psthreads.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])

_DEFAULT_SERVER: Final = "http://127.0.0.1:8000"
_SETTINGS: Final = ("server", "token", "username", "password", "member")

SOURCES: Final = """The server and who you are come from, the first that says so:
  options      --server, --token or --username, --member
  environment  PSTHREADS_SERVER, PSTHREADS_TOKEN, PSTHREADS_USERNAME,
               PSTHREADS_PASSWORD, PSTHREADS_MEMBER
  a file       ~/.config/psthreads.toml (below XDG_CONFIG_HOME where that is
               set), or the one that --config names, with the keys server,
               token, username, password and member
Where the file names a server, its token or password is sent to no other one.
Other users of the machine can see a command's options: keep tokens out of
them. The member, who work is started for, is the username by default."""
"""The sources of the settings, for the help."""


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    # The options may stand before and after the command's name; the last one counts.
    if value is not None:
        ctx.find_root().ensure_object(dict)[option.name] = value


def connecting(command: Command) -> Command:
    """Add the options for the server and the credentials. The group of commands and each of them has them."""
    for name, meaning in (
        ("--config", "The file of settings to read."),
        ("--member", "The member to start work for: a username or an id."),
        ("--username", "Sign in with this name; the password is asked for."),
        ("--token", "Sign in with this token."),
        ("--server", f"The server's address, {_DEFAULT_SERVER} by default."),
    ):
        command = click.option(name, callback=_keep, expose_value=False, help=meaning)(command)
    return command


def client_of(context: click.Context) -> Client:
    """Return the client for a command, with each setting from the first source that has it.

    Raises click.UsageError for a malformed file and a missing password, and BadParameter for wrong settings.
    """
    options: dict[str, str] = context.find_root().ensure_object(dict)
    environment = {name: value for name in _SETTINGS if (value := os.environ.get(f"PSTHREADS_{name.upper()}"))}
    file = _settings_file(options.get("config"))
    server = options.get("server") or environment.get("server") or file.get("server") or _DEFAULT_SERVER
    if file.get("server", server).rstrip("/") != server.rstrip("/"):
        file = {"member": file["member"]} if "member" in file else {}
    sources = (options, environment, file)
    credentials = next((source for source in sources if source.keys() & {"token", "username"}), {})
    member = next((source["member"] for source in sources if "member" in source), "")
    token, username = credentials.get("token", ""), credentials.get("username", "")
    password = "" if token or not username else _password(username, sources)
    return Client(server, token=token, username=username, password=password, member=member, timeout=30)


def _password(username: str, sources: Iterable[Mapping[str, str]]) -> str:
    for source in sources:
        # A password beside another username belongs to that one.
        if "password" in source and source.get("username", username) == username:
            return source["password"]
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked for the password: set PSTHREADS_PASSWORD or use a token.")
    answer: str = click.prompt(f"Password of {username}", hide_input=True, err=True)
    return answer


def _settings_file(option: str | None) -> dict[str, str]:
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    path = Path(option) if option else Path(home).expanduser() / "psthreads.toml"
    try:
        with path.open("rb") as file:
            is_open_to_others = bool(os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO))
            settings = tomllib.load(file)
    except FileNotFoundError as error:
        if not option:
            return {}
        raise click.UsageError(f"There is no file '{path}'.") from error
    except ValueError as error:
        raise click.UsageError(f"'{path}' is not TOML: {error}.") from error
    for name, value in settings.items():
        if name not in _SETTINGS or not isinstance(value, str):
            raise click.UsageError(f"'{name}' in '{path}' must be text, and one of {', '.join(_SETTINGS)}.")
    if is_open_to_others and settings.keys() & {"token", "password"}:
        click.echo(f"Warning: others can read the secret in {path}: chmod 600 it.", err=True)
    return settings
