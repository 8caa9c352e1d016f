"""Children that an author's process forks: how they end, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from psthreads.authoring.children import fork_child
from psthreads.processes.export import export
from tests.support.checkout import ROOT
from tests.support.endings import has_ended
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.waiting import wait_for


def fails() -> int:
    raise ValueError("Bad things")


@pytest.mark.parametrize(("work", "status"), [(lambda: 0, 0), (lambda: 7, 7), (fails, 1)])
def test_a_child_ends_with_the_status_of_its_work(work: object, status: int) -> None:
    _, ended = os.waitpid(fork_child(work), 0)  # type: ignore[arg-type] # a list of any callables
    assert os.waitstatus_to_exitcode(ended) == status


def test_a_child_takes_signals_as_any_program_does() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        child = fork_child(lambda: os.kill(os.getpid(), signal.SIGTERM) or 0)  # type: ignore[func-returns-value]
    finally:
        signal.signal(signal.SIGTERM, before)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == -signal.SIGTERM


def test_a_child_dies_with_its_parent() -> None:
    code = (
        "import time\n"
        "from psthreads.authoring.children import fork_child\n"
        "print(fork_child(lambda: time.sleep(1000) or 0), flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        wait_for(lambda: has_ended(child))


def test_a_process_that_was_forked_cannot_report(tmp_path: Path) -> None:
    context = GroupOfDocuments(tmp_path, export).context()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            context.log("from the child")
        except RuntimeError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    assert b"not a fork of it" in os.read(read, 1_000)
    os.close(read)
    assert context.is_own_process
