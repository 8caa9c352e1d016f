"""Starts the parts of the service on this machine, in order, and does the main job as a client would."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

from redis.exceptions import RedisError
from rich.console import Console

from psthreads.client import Client, Download, RemoteThread
from psthreads.client.watch import watch
from psthreads.database.connection import connect
from psthreads.documents.installation import Installation
from psthreads.documents.layout import open_storage
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, Unavailable
from psthreads.domain.model import Status
from psthreads.domain.redis_url import shown
from psthreads.identity.directory import Directory
from psthreads.local.local_programs import LocalPrograms, relative
from psthreads.local.process_files import ProcessFiles
from psthreads.local.seed import ADMINISTRATOR, GROUP, Login, Seed
from psthreads.local.server import RedisServer

_SAMPLES: Final = Path(__file__).resolve().parent / "samples"  # in a checkout a link to those at its top
_REDIS_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1
# The samples are checked within a tenth of a second: only frequent reports show the progress.
_SHOWN_REPORTS: Final = 0.01
_SHOWN_POLL: Final = 0.01
_MEMBER: Final = "contributor"
_RELOAD_SHUTDOWN: Final = 2.0


def run(stack: ExitStack, *, once: bool, reloads: bool = False) -> int:
    """Start everything, do the main job, and stay, or with `once` end; return the exit code.

    With `reloads` workers and web start again when a file of the processes changes. What runs then has 2 s to end,
    where the settings do not say otherwise.

    Leaving the stack ends all processes. Raises a PsthreadsError or an OSError when something cannot be started.
    """
    config = Config.from_env()
    var = _own_folder(stack)
    _check_port(config)
    redis_server: RedisServer | None = None
    if _is_set("REDIS_URL"):
        _check_redis(config)
        redis_name = "the Redis that REDIS_URL names"
    else:
        redis_server = stack.enter_context(RedisServer(var / "redis"))
        config = replace(config, redis_url=redis_server.url)
        redis_name = f"a Redis of our own, data in {relative(redis_server.folder)}"
    config = _with_defaults(config, var, reloads=reloads)
    credentials = var / "credentials.json"
    with connect(config.redis_url) as redis:
        if (mismatch := Installation(redis, config, "this command").check(pair=False)) is not None:
            raise ConfigError(str(mismatch))
        seed = Seed(Directory(redis, config=config), open_storage(config), _SAMPLES / GROUP, credentials)
        logins, are_new = seed.sow()
    if are_new:
        # Before anything can fail: the next start will not show them again.
        _print_passwords(logins)

    config = replace(config, documents=config.documents if config.store_url else config.documents.resolve())
    programs = LocalPrograms(config, var, redis_server)
    stack.callback(programs.end)
    files = ProcessFiles(config.processes) if reloads else None
    _stay_direct(config.host)
    programs.begin()
    programs.await_ready()
    print(f"psthreads runs at {programs.address} with {config.workers} workers and {redis_name}.")
    print(f"Passwords and tokens are in {relative(credentials)}.\n")
    thread = _main_job(programs.address, config.certificate, logins)
    if once:
        return 0 if thread.status is Status.COMPLETED else 1
    dashboard = f"{programs.address}/dashboard (sign in as '{ADMINISTRATOR}')"
    print(f"\nSee it in a browser at {dashboard}, or go on with the README.")
    print("Ctrl-C stops everything.")
    return _stay(programs, files)


def _stay(programs: LocalPrograms, files: ProcessFiles | None) -> NoReturn:
    """Look after the programs until a signal. Raises ConfigError where one ends by itself."""
    is_broken = False
    while True:
        if files is not None and (changed := files.changes()):
            print(f"\nChanged: {', '.join(map(relative, changed))}. Workers and web start again.")
            programs.end()
            programs.begin()
            try:
                programs.await_ready()
            except ConfigError as error:
                print(f"{error}\n  {programs.last_words()}\nChange a file to try again.")
                is_broken = True
            else:
                print("Ready.")
                is_broken = False
        elif not is_broken:
            programs.check()
        time.sleep(_POLL_SECONDS)


def _with_defaults(config: Config, var: Path, *, reloads: bool) -> Config:
    if not _is_set("PSTHREADS_DOCUMENTS"):
        config = replace(config, documents=var / "documents")
    if not _is_set("PSTHREADS_REPORT_INTERVAL"):
        config = replace(config, report_interval=_SHOWN_REPORTS)
    if reloads and not _is_set("PSTHREADS_SHUTDOWN"):
        config = replace(config, shutdown=_RELOAD_SHUTDOWN)
    return config


def _is_set(name: str) -> bool:
    # An empty variable counts as unset, as it does in Config.
    return bool(os.environ.get(name, "").strip())


def _own_folder(stack: ExitStack) -> Path:
    """Return the folder var/, locked by this process until the stack is left."""
    var = Path.cwd() / "var"
    try:
        var.mkdir(mode=0o750, exist_ok=True)
        tempfile.TemporaryFile(dir=var).close()
        lock = stack.enter_context((var / "run.lock").open("w"))
    except OSError as error:
        reason = "there is a file of that name" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(f"{var} cannot be written: {reason}. Make it writable, or run elsewhere.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"Another `psthreads run` uses {var}: stop it first.") from None
    return var


def _check_port(config: Config) -> None:
    if not 0 < config.port < 1 << 16:
        raise ConfigError(f"PORT is {config.port}, but must be from 1 to 65535.")
    with socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            raise ConfigError(
                f"Port {config.port} of {config.host} cannot be used: {error.strerror}. "
                "Choose another one, such as PORT=8001."
            ) from None


def _check_redis(config: Config) -> None:
    try:
        with connect(config.redis_url, 1, _REDIS_SECONDS) as redis:
            redis.ping()
    except (RedisError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise Unavailable(
            f"The Redis at {shown(config.redis_url)} does not answer ({reason}): start it, or unset REDIS_URL."
        ) from None


def _stay_direct(host: str) -> None:
    """Keep this process's requests to its own server away from any proxy that the environment names."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), host)))


def _print_passwords(logins: Mapping[str, Login]) -> None:
    print("These members are new. Their passwords are shown this once:")
    for username, login in logins.items():
        what = "administrator" if login.admin else f"{login.role} in group {GROUP}"
        print(f"  {username:<24} {login.password}  {what}")
    print()


def _main_job(address: str, certificate: str, logins: Mapping[str, Login]) -> RemoteThread:
    """Validate the group's documents as any client would, and print the progress."""
    print(f"The main job: validating the documents of group '{GROUP}' (some are broken on purpose).")
    with Client(address, token=logins[_MEMBER].token, member=_MEMBER, certificate=certificate) as client:
        started = client.start("validate", GROUP, warn="true")
        if isinstance(started, Download):
            raise ConfigError("The validation answered with a file instead of a thread.")
        thread = watch(client, started, GROUP, Console(), poll=_SHOWN_POLL)
        print(client.text("progress", thread.id, GROUP))
    return thread
