"""What the storm finds and forbids on a real system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.trails import MACHINE, Trail, processes
from chaos.world import Program
from psthreads.domain.config import Config
from tests.support.forking import fork_limit
from tests.support.waiting import wait_for

ID = "c" * 32
FORKS = """
import os, sys
for _ in sys.stdin:
    try:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        print("forked", flush=True)
    except BlockingIOError:
        print("refused", flush=True)
"""

STARTS = """
import subprocess, sys, time
while True:
    subprocess.Popen(["sleep", "60"])
    time.sleep(0.002)
"""

STALLED = """
import sys, time
from chaos.stalls import Stalls
stalls = Stalls()
stalls.start()
begun = time.monotonic()
print("started", flush=True)
sys.stdin.readline()
stalls.end()
print(stalls.between(begun, time.monotonic()), stalls.between(begun - 9, begun))
"""


@pytest.fixture
def trails(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for _, process in processes(tmp_path):
        if process.pid != os.getpid():
            process.kill()


def found(trails: Path) -> set[int]:
    return {process.pid for thread_id, process in processes(trails) if thread_id == ID}


def test_every_process_of_an_execution_is_found_wherever_it_went(trails: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MACHINE, "machine0")
    trail = Trail(ID, str(trails))
    with trail:
        program, detached = trail.start_program(), trail.start_program(own_session=True)
        trail.start_daemon()
        assert os.getpid() in found(trails)
    assert os.getpid() not in found(trails)
    wait_for(lambda: {program.pid, detached.pid} < found(trails), 5)
    for process in (program, detached):
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: len(found(trails)) == 1, 5)  # the daemon


def test_a_storm_leaves_the_programs_of_another_one_alone(tmp_path: Path) -> None:
    programs = []
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        command = (sys.executable, "-c", "import time; time.sleep(60)")
        programs.append(Program("machine0", Config(), command, tmp_path / name / "machine0.log"))
    try:
        for program in programs:
            program.start()
        for program in programs:
            assert program.process is not None
            pid = program.process.pid
            wait_for(lambda: [each.pid for each in program.family()] == [pid], 5)  # noqa: B023 (called at once)
    finally:
        for program in programs:
            program.stop()


def test_a_machine_dies_at_one_instant_also_while_it_starts_programs(tmp_path: Path) -> None:
    program = Program("machine0", Config(), (sys.executable, "-c", STARTS), tmp_path / "machine0.log")
    program.start()
    try:
        wait_for(lambda: len(program.family()) > 20)
        program.kill_family()
        assert program.process is not None
        assert program.process.wait(5) == -signal.SIGKILL
        wait_for(lambda: not program.family(), 5)
    finally:
        for process in program.family():
            process.kill()


def test_a_machine_forks_again_once_it_may() -> None:
    with (
        fork_limit() as limit,
        subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program,
    ):
        limit.hold(program.pid)

        def answer() -> bytes:
            assert program.stdin
            assert program.stdout
            program.stdin.write(b"fork\n")
            program.stdin.flush()
            return program.stdout.readline().strip()

        assert answer() == b"forked"
        limit.set([program.pid], may_fork=False)
        assert answer() == b"refused"
        limit.set([program.pid], may_fork=True)
        assert answer() == b"forked"


def test_the_time_is_known_for_which_the_computer_stood_still() -> None:
    command = [sys.executable, "-c", STALLED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin
        assert program.stdout
        program.stdout.readline()
        program.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, program.pid, os.WSTOPPED)
        begun = time.monotonic()
        time.sleep(0.5)
        program.send_signal(signal.SIGCONT)
        stopped = time.monotonic() - begun
        during, before = map(float, program.communicate(b"\n")[0].split())
    assert during >= stopped - 0.1
    assert before < 0.1
