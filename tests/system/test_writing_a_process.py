"""The tutorial, done from its first line to its last, as a newcomer does it."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from psthreads.authoring.registry import process
from tests.support.blocks import block_of
from tests.support.checkout import ROOT
from tests.system.sessions import Running, environment, holds, newcomer, started

PAGE = ROOT / "docs" / "writing-a-process.md"
TEXT = PAGE.read_text()
FILES = re.findall(r"^<!-- file: (\S+) -->$", TEXT, re.MULTILINE)


def block(marker: str) -> str:
    return block_of(TEXT, marker)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with newcomer() as made:
        for name in FILES:
            (made / name).write_text(block(f"file: {name}"))
        yield made


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    """What the page's command starts."""
    command = re.fullmatch(r"PSTHREADS_PROCESSES=(\S+) make run\n", block("start"))
    assert command is not None
    with started(folder, command[1]) as programs:
        yield programs


def test_the_process_is_listed_run_downloaded_from_and_cancelled_by_real_programs(running: Running) -> None:
    holds(running.type(block("run: measure")))


@pytest.mark.parametrize("name", ["test", "harness", "questions"])
def test_the_tests_of_the_page_pass(folder: Path, name: str) -> None:
    holds(Running(folder, 0).type(block(f"run: {name}")))


def test_the_plugin_of_the_page_can_be_installed_and_is_found(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in FILES:
        shutil.copy(folder / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(tmp_path / "site"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "from psthreads.authoring.plugins import load_all; print(*(one.name for one in load_all([])))",
        ],
        cwd=tmp_path,
        env=environment(tmp_path / "site"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(shown.stdout.split()) == ["archive", "measure"]


def test_every_block_of_code_is_one_that_is_run() -> None:
    blocks = re.findall(r"^(.*)\n```(\w+)\n", TEXT, re.MULTILINE)
    assert len(blocks) == len(FILES) + 5
    assert all(re.fullmatch(r"<!-- (?:file: \S+|run: \w+|start) -->", marker) for marker, _ in blocks)


def test_every_option_of_the_decorator_is_told() -> None:
    table = TEXT.partition("\n## The decorator\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(inspect.signature(process).parameters)
