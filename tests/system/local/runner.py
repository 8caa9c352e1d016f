"""`make run` in a folder of its own, for the tests of that and of the Makefile."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from psthreads.client import Client
from psthreads.local.programs import free_port
from tests.support.checkout import ROOT

RUN = [sys.executable, "-m", "psthreads", "run"]
_OURS = re.compile(r"(REDIS_URL|PORT|HOST|WORKERS|SECRET_KEY|WEB_CONCURRENCY|PSTHREADS_\w+|MAKE\w*|MFLAGS)\Z")


def bare_environment() -> dict[str, str]:
    """The environment of the tests without any setting of ours."""
    return {name: value for name, value in os.environ.items() if not _OURS.match(name)}


class Runner:
    """`psthreads run` in a folder; a context manager that kills what is left of it."""

    def __init__(self, folder: Path, *arguments: str, command: list[str] | None = None, **settings: str) -> None:
        self.folder = folder
        self.port = int(settings.get("PORT", "0")) or free_port()
        self._command = [*(command or RUN), *arguments]
        self._environment = {**bare_environment(), "PYTHONPATH": str(ROOT), "PORT": str(self.port), **settings}
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        self.credentials = folder / "var" / "credentials.json"

    def __enter__(self) -> Self:
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd=self.folder, stdout=out, stderr=err, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for process in self.started():
            with suppress(psutil.NoSuchProcess):  # It may be ending by itself.
                process.kill()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logins(self) -> dict[str, dict[str, Any]]:
        read: dict[str, dict[str, Any]] = json.loads(self.credentials.read_text())
        return read

    def client(self, username: str = "contributor") -> Client:
        return Client(self.address, token=self.logins()[username]["token"], member=username)

    def says(self, text: str) -> bool:
        return text in self.out.read_text()

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.err.read_text()
        return self.says("Ctrl-C stops everything.")

    def ended(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    def started(self) -> list[psutil.Process]:
        """Every living process that has this folder in its command or its environment, or its port."""
        return [
            process for process in psutil.process_iter() if process.pid != self.process.pid and self._is_its(process)
        ]

    def is_gone(self) -> bool:
        return not self.started() and is_free(self.port) and not answers(self.folder / "var" / "redis" / "redis.sock")

    def _is_its(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            environment = process.environ()
            # That of a program that rewrites its own title may be lost: it is known by the title.
            words = [environment.get("PSTHREADS_DOCUMENTS", ""), environment.get("REDIS_URL", ""), *process.cmdline()]
        except psutil.Error:
            return False
        return environment.get("PORT") == str(self.port) or any(str(self.folder) in word for word in words)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def one_sentence(text: str) -> str:
    """What was said besides what make itself adds, when that is one sentence for a person."""
    (line,) = [line for line in text.splitlines() if not re.match(r"make(\[\d+])?: ", line)]
    assert "Traceback" not in line
    return line


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with a short name: a socket's is limited."""
    return tmp_path_factory.mktemp("run")
