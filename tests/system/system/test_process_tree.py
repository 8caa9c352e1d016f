"""The family of a process, and its memory, as the kernel tells them."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

import psutil

from psthreads.system.process_tree import descendants, proportional, resident

FAMILY = (
    "import subprocess, sys, time\n"
    "if int(sys.argv[1]): subprocess.Popen([sys.executable, *sys.orig_argv[1:-1], str(int(sys.argv[1]) - 1)])\n"
    "else: print('ready', flush=True)\n"
    "time.sleep(1000)\n"
)


def test_descendants_are_found_however_deep_and_in_whatever_session() -> None:
    command = [sys.executable, "-c", FAMILY, "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as eldest:
        assert eldest.stdout is not None
        assert eldest.stdout.readline() == "ready\n"
        family = descendants(os.getpid())
        family = family[family.index(eldest.pid) :]
        expected = [each.pid for each in psutil.Process(eldest.pid).children(recursive=True)]
        assert [pid for pid in family if pid in expected] == expected
        assert descendants(eldest.pid) == expected
        assert len(expected) == 2
        for pid in reversed((eldest.pid, *expected)):
            os.kill(pid, 9)
    assert descendants(eldest.pid) == []


def test_memory_is_that_of_the_processes_and_shared_pages_can_count_once() -> None:
    before = proportional([os.getpid()])
    # Pages of its own: what malloc returns may have been used before, and count already.
    with mmap.mmap(-1, 50_000_000) as block:
        block.write(b"x" * len(block))
        assert proportional([os.getpid()]) - before > 40_000_000
        assert resident([os.getpid()]) >= len(block)
    assert resident([2**22 + 1]) == proportional([2**22 + 1]) == 0
