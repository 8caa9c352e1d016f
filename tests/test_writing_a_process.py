"""The tutorial, done from its first line to its last, as a newcomer does it."""

from __future__ import annotations

import inspect
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from stack import ROOT, free_port, wait_for
from test_docs import DEADLINE, Running, anchors, environment

from psthreads.registry import process

PAGE = ROOT / "docs" / "writing-a-process.md"
TEXT = PAGE.read_text()
FILES = re.findall(r"^<!-- file: (\S+) -->$", TEXT, re.MULTILINE)


def block(marker: str) -> str:
    """The fenced block of the page that stands below this marker."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->\n```\w+\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, marker
    return found[1]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not tmp_path: the name of a Unix socket below it would be too long on some systems.
    made = Path(tempfile.mkdtemp(prefix="docs-"))
    for name in FILES:
        (made / name).write_text(block(f"file: {name}"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    """What the page's command starts."""
    command = re.fullmatch(r"PSTHREADS_PROCESSES=(\S+) make run\n", block("start"))
    assert command is not None
    port = free_port()
    with (folder / "output").open("w") as output:
        programs = subprocess.Popen(
            [sys.executable, "-m", "psthreads.run", "--tied"],
            cwd=folder,
            env=environment(folder, PORT=str(port), PSTHREADS_PROCESSES=command[1]),
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


def holds(parts: list[tuple[str, list[str]]]) -> None:
    assert sum(len(said) for _, said in parts) > 0
    for shown, said in parts:
        for fragment in said:
            assert fragment in shown


def test_the_process_is_listed_run_downloaded_from_and_cancelled_by_real_programs(running: Running) -> None:
    holds(running.type(block("run: measure")))


@pytest.mark.parametrize("name", ["test", "harness"])
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
        [sys.executable, "-c", "from psthreads.plugins import load_all; print(*(one.name for one in load_all([])))"],
        cwd=tmp_path,
        env=environment(tmp_path / "site"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(shown.stdout.split()) == ["archive", "measure"]


def test_every_block_of_code_is_one_that_is_run() -> None:
    blocks = re.findall(r"^(.*)\n```(\w+)\n", TEXT, re.MULTILINE)
    assert len(blocks) == len(FILES) + 4
    assert all(re.fullmatch(r"<!-- (?:file: \S+|run: \w+|start) -->", marker) for marker, _ in blocks)


def test_every_option_of_the_decorator_is_told() -> None:
    table = TEXT.partition("\n## The decorator\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(inspect.signature(process).parameters)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)):
        path, _, anchor = target.partition("#")
        linked = (PAGE.parent / path).resolve() if path else PAGE
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target
