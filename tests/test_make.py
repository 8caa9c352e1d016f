"""Claims about the Makefile's part of `make run`: setting up, and what is told where that fails."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from runner import bare_environment, folder, one_sentence
from stack import ROOT

__all__ = ["folder"]


def fake_python(folder: Path, text: str) -> Path:
    path = folder / "python-of-the-test"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(folder: Path, python: str | Path) -> str:
    """What `make run` complains of, in a folder with a Makefile and with a lock file that cannot be had."""
    (folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (folder / "requirements.lock").write_text(f"nothing @ file://{folder}/nothing --hash=sha256:{'0' * 64}\n")
    kept = bare_environment()
    done = subprocess.run(
        ["make", "run", f"PYTHON={python}"], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert not (folder / "var").exists()
    return one_sentence(done.stderr)


@pytest.mark.parametrize("version", ["2, 7, 18", "3, 6, 15", "3, 10, 14"])
def test_a_python_that_is_too_old_is_named_and_nothing_is_made(folder: Path, version: str) -> None:
    code = f"import sys; sys.version_info = ({version}); exec(sys.argv.pop(1))"
    old = fake_python(folder, f'shift; exec {shlex.quote(sys.executable)} -c "{code}" "$@"')
    assert make(folder, old).startswith("psthreads needs Python 3.11 or newer")
    assert not (folder / ".venv").exists()


def test_a_python_that_is_not_there_is_told_like_one_that_is_too_old(folder: Path) -> None:
    assert make(folder, folder / "nowhere").startswith("psthreads needs Python 3.11 or newer")


def test_a_virtual_environment_that_could_not_be_made_is_not_taken_for_one(folder: Path) -> None:
    broken = fake_python(
        folder,
        f'[ "$1" = -c ] && exec {shlex.quote(sys.executable)} "$@"\n'
        "mkdir -p .venv/bin; touch .venv/bin/python; echo No ensurepip here.; exit 1",
    )
    for _ in range(2):
        assert "python3-venv" in make(folder, broken)
        assert not (folder / ".venv").exists()


def test_packages_that_cannot_be_installed_are_told_in_one_sentence_and_tried_again(folder: Path) -> None:
    for _ in range(2):
        sentence = make(folder, sys.executable)
        assert sentence.startswith("The packages of requirements.lock cannot be installed, .venv/pip.log says why: ")
        assert "/nothing" in sentence
