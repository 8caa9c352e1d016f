"""Sessions of the docs, typed line by line against what `make run` starts, as a newcomer would."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import requests

from psthreads.local.programs import free_port
from tests.support.checkout import ROOT
from tests.support.machine import PROGRAMS
from tests.support.needs import needs
from tests.support.waiting import wait_for

DEADLINE = 60.0


@dataclass(frozen=True)
class Running:
    """`make run`, in a folder of its own."""

    folder: Path
    port: int

    def type(self, block: str) -> list[tuple[str, list[str]]]:
        """Type a session; gives what each part of it showed, and the fragments that it is said to show.

        A part is what stands before a row of `# ->` lines. A line that fails ends the session, and the test.
        """
        needs("bash", *(name for name in PROGRAMS if re.search(rf"(?m)(?:^|[|;(]) *{name}\b", block)))
        port, programs = f"127.0.0.1:{self.port}", f"{Path(sys.executable).parent}/"
        lines = block.replace("127.0.0.1:8000", port).replace(".venv/bin/", programs).splitlines()
        parts: list[tuple[list[str], list[str]]] = []
        for is_shown, some in groupby(lines, key=lambda line: line.startswith("# -> ")):
            if is_shown:
                parts[-1][1].extend(line.removeprefix("# -> ") for line in some)
            else:
                parts.append((list(some), []))
        mark = "@@ the next part @@"
        script = f"\necho '{mark}'\n".join("\n".join(commands) for commands, _ in parts)
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return [(shown, said) for shown, (_, said) in zip(done.stdout.split(mark), parts, strict=True)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a newcomer, with the checkout where Python finds it."""
    ours = ("PSTHREADS_", "REDIS_URL", "RQ_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join((str(ROOT), str(folder)))
    return {**kept, "HOME": str(folder), "PYTHONPATH": path, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **more}


def holds(parts: list[tuple[str, list[str]]]) -> None:
    """Fail the test unless a session shows what its page says."""
    assert sum(len(said) for _, said in parts) > 0
    for shown, said in parts:
        for fragment in said:
            assert fragment in shown


@contextmanager
def newcomer() -> Iterator[Path]:
    """An empty folder."""
    # Not tmp_path: the name of a Unix socket below it would be too long on some systems.
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def started(folder: Path, processes: str) -> Iterator[Running]:
    """What `make run` starts there, with these processes, once its workers are ready."""
    port = free_port()
    with (folder / "output").open("w") as output:
        programs = subprocess.Popen(
            [sys.executable, "-m", "psthreads", "run", "--tied"],
            cwd=folder,
            env=environment(folder, PORT=str(port), PSTHREADS_PROCESSES=processes),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def is_ready() -> bool:
            assert programs.poll() is None, (folder / "output").read_text()
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
            except requests.RequestException:
                return False
            return answer.ok and " 0 workers" not in answer.text

        try:
            wait_for(is_ready, DEADLINE)
            yield Running(folder, port)
        finally:
            programs.send_signal(signal.SIGTERM)
            programs.wait(DEADLINE)
