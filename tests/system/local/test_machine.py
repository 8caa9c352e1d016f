"""What the tests need of a machine, and what `make test` says and does where something is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.machine import BROWSERS, PROGRAMS, Missing, find_browser
from tests.system.local.runner import bare_environment

NO_BROWSER = "Chromium cannot be installed here by apt-get: install it yourself, or name one with CHROMIUM."


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that is to be the PATH."""
    path = tmp_path / "programs"
    path.mkdir()
    return path


# What whoever runs these tests has told make.
_OF_CALLER = {"CI", "CHROMIUM", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "WORKERS_OF_TESTS"}


def add_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def finish(command: list[str], path: Path, folder: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command where only the programs of a folder are installed."""
    environment = {name: value for name, value in bare_environment().items() if name not in _OF_CALLER}
    environment |= {"PATH": str(path), **settings}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_first_browser_that_is_installed_is_taken_unless_one_is_named(programs: Path) -> None:
    environ = {"PATH": str(programs)}
    for name in reversed([name for name in BROWSERS if not name.startswith("/")]):
        (programs / name).touch(0o755)
        assert find_browser(environ) == str(programs / name)
    assert find_browser({**environ, "CHROMIUM": "google-chrome"}) == str(programs / "google-chrome")
    with pytest.raises(Missing, match="CHROMIUM is '/nowhere', but no program is there"):
        find_browser({**environ, "CHROMIUM": "/nowhere"})


def test_where_there_is_no_browser_make_browser_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="`make browser` installs one"):
        find_browser({"PATH": str(tmp_path)})


MAKE_BROWSER = [sys.executable, "tests/support/machine.py"]


def add_installer(programs: Path, apt_get: str) -> None:
    add_program(programs / "sudo", 'exec "$@"')
    add_program(programs / "env", 'exec /usr/bin/env "$@"')
    add_program(programs / "apt-get", apt_get)


def test_make_browser_installs_one_only_where_there_is_none(programs: Path, tmp_path: Path) -> None:
    add_installer(programs, f'echo "$@" >>{tmp_path}/log; /bin/cp "$0" {programs}/chromium')
    first = finish(MAKE_BROWSER, programs)
    assert (first.returncode, first.stderr) == (0, "")
    log = (tmp_path / "log").read_text()
    assert re.fullmatch(r".* update\n.* install --yes --no-install-recommends chromium fonts-\S+\n", log)
    assert finish(MAKE_BROWSER, programs).stdout == f"The tests use {programs}/chromium\n"
    assert (tmp_path / "log").read_text() == log


def test_make_browser_says_in_one_sentence_why_it_cannot_install_one(programs: Path) -> None:
    result = finish(MAKE_BROWSER, programs)
    assert (result.returncode, result.stderr) == (1, f"{NO_BROWSER}\n")
    add_installer(programs, "echo E: no network; exit 100")
    result = finish(MAKE_BROWSER, programs)
    assert result.returncode == 1
    assert result.stderr == "Chromium cannot be installed, `apt-get update` failed: E: no network\n"


@pytest.fixture
def bare(programs: Path) -> Path:
    """A PATH with no more than `make test` needs."""
    for name in ("sh", "make", sys.executable):
        (programs / Path(name).name).symlink_to(str(shutil.which(name)))
    return programs


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is there, with an interpreter that says how it is called."""
    folder = tmp_path / "checkout"
    (folder / "tests" / "support").mkdir(parents=True)
    for name in ("Makefile", "tests/support/machine.py"):
        shutil.copy(ROOT / name, folder / name)
    for name in (
        "requirements.lock",
        *(f"requirements-{kind}.lock" for kind in ("dev", "server", "store")),
        "pyproject.toml",
    ):
        (folder / name).touch()
    for name in ("bin", "object-store"):
        (folder / ".venv" / name).mkdir(parents=True)
    add_program(folder / ".venv" / "bin" / "python", 'echo "python $@"')
    for name in (".run", ".dev", "object-store/.installed"):
        (folder / ".venv" / name).touch()
    return folder


MAKE_TEST = ["make", "test", f"PYTHON={sys.executable}", "ARGS=tests/unit"]


def test_make_test_says_first_what_is_missing_and_runs_the_tests(bare: Path, checkout: Path) -> None:
    result = finish(MAKE_TEST, bare, checkout)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Tests will be left out. {NO_BROWSER}",
        *(f"Tests will be left out. There is no {name}: install it." for name in PROGRAMS),
        "python -m pytest -n auto --dist worksteal tests/unit",
    ]


def test_make_test_installs_a_browser_and_says_nothing_where_nothing_is_missing(bare: Path, checkout: Path) -> None:
    add_installer(bare, f'/bin/cp "$0" {bare}/chromium')
    for name in PROGRAMS:
        add_program(bare / name, "")
    result = finish(MAKE_TEST, bare, checkout, CI="true")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "There is no browser: installing chromium and fonts-dejavu-core with apt-get",
        f"The tests use {bare}/chromium",
        "python -m pytest -n auto --dist worksteal tests/unit",
    ]


def test_make_test_fails_in_ci_where_something_is_missing(bare: Path, checkout: Path) -> None:
    result = finish(MAKE_TEST, bare, checkout, CI="true")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{NO_BROWSER}\nThere is no {PROGRAMS[0]}: install it.\n")


NEEDY = ["tests/browser/test_browser_smoke.py::test_signing_in_needs_no_script", "tests/system/processes/test_zip.py"]


@pytest.mark.parametrize("processes", [[], ["-n", "1"]])
def test_tests_without_a_browser_or_a_program_are_left_out_and_counted_at_the_end(
    programs: Path, processes: list[str]
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *processes, *NEEDY]
    result = finish(command, programs, CHROMIUM="/nowhere")
    assert result.returncode == 0, result.stdout
    assert "1 test was left out. CHROMIUM is '/nowhere', but no program is there" in result.stdout
    assert re.search(r"^\d tests were left out\. There is no unzip: install it\.$", result.stdout, re.MULTILINE)


def test_tests_without_a_browser_or_a_program_fail_in_ci(programs: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *NEEDY]
    result = finish(command, programs, CHROMIUM="/nowhere", CI="true")
    assert result.returncode == 1, result.stdout
    assert "CHROMIUM is '/nowhere', but no program is there" in result.stdout
    assert "There is no unzip: install it." in result.stdout
    assert "skipped" not in result.stdout
    assert "left out" not in result.stdout
