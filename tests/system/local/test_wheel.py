"""The wheel, built from a source distribution, in an environment with nothing but it and what it declares."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.blocks import block_of
from tests.support.checkout import ROOT
from tests.support.waiting import wait_for
from tests.system.local.runner import Runner, bare_environment

EXAMPLE = ROOT / "examples" / "psthreads-wordcount"
WORDS = "from psthreads.authoring.plugins import load_all; print(*(process.name for process in load_all([])))"


class Environment:
    """A virtual environment that has these packages, with all that they declare, as this environment has them."""

    def __init__(self, folder: Path, requirements: Iterable[str]) -> None:
        self.folder = folder
        venv.create(folder, symlinks=True)
        (site,) = (folder / "lib").glob("python*/site-packages")
        for package in declared(requirements):
            for file in package.files or ():
                if ".." not in file.parts:
                    (site / file).parent.mkdir(parents=True, exist_ok=True)
                    (site / file).symlink_to(Path(str(package.locate_file(file))))

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def pip(self, *arguments: str, cwd: Path = ROOT) -> None:
        """`pip` in this environment, without any index: what is not here already is missing."""
        command = [sys.executable, "-m", "pip", "--python", self.program("python"), *arguments]
        ran(command, cwd)

    def runs(self, *command: str, cwd: Path) -> str:
        return ran([self.program(command[0]), *command[1:]], cwd)


def ran(command: list[str], cwd: Path) -> str:
    """The output of a command that must succeed."""
    environment = {name: value for name, value in bare_environment().items() if not name.startswith("PIP_")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**environment, "PYTHONPATH": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def declared(requirements: Iterable[str]) -> list[Distribution]:
    """The installed packages that these requirements name, and those that these packages declare, and so on."""
    packages: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        package = packages.setdefault(canonicalize_name(requirement.name), distribution(requirement.name))
        for extra in ("", *requirement.extras):
            if (key := (canonicalize_name(requirement.name), extra)) not in seen:
                seen.add(key)
                needs = map(Requirement, package.requires or ())
                waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return list(packages.values())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, since building leaves files in it."""
    folder = tmp_path_factory.mktemp("source") / "psthreads"
    ignored = shutil.ignore_patterns(".*", "var", "build", "dist", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored))


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    ran([sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('dist')"], source)
    (sdist,) = (source / "dist").glob("*.tar.gz")
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    ran([sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", "dist", str(sdist)], source)
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def plugin(source: Path) -> Path:
    """The example of a plug-in, as a wheel."""
    folder = source / EXAMPLE.relative_to(ROOT)
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    ran([sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", "dist", "."], folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    requirements = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    mandatory = [text for text in requirements if "extra ==" not in text]
    here = [text for text in mandatory if (marker := Requirement(text).marker) is None or marker.evaluate()]
    environment = Environment(tmp_path_factory.mktemp("environment"), here)
    environment.pip("install", "--no-index", str(wheel))  # which fails when what it declares is not there
    return environment


def below(*folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix() for name in folders for path in (ROOT / name).rglob("*") if path.is_file()
    }


def test_the_wheel_has_every_file_that_the_programs_read_and_nothing_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {f"psthreads/web/{name}" for name in below("templates", "static", "schemas")} <= names
    assert {f"psthreads/local/{name}" for name in below("samples/acme")} <= names
    code = {name for name in below("psthreads") if name.endswith((".py", ".lua", "py.typed"))}
    assert code <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"psthreads"}


def test_what_is_installed_does_the_main_job_and_shows_the_dashboard(
    installed: Environment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("w")
    command = [installed.program("psthreads"), "run"]
    with Runner(folder, "--once", command=command, PYTHONPATH="") as once:
        assert once.ended() == 0, once.err.read_text()
        assert once.says('status="completed"')
        assert sorted(path.name for path in folder.iterdir()) == ["err.txt", "out.txt", "var"]
    with Runner(folder, command=command, PYTHONPATH="") as runner, requests.Session() as browser:
        wait_for(runner.is_up, 60)
        form = browser.get(f"{runner.address}/sign-in", timeout=10)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)
        assert token is not None
        fields = {"csrf_token": token[1], "username": "admin", "password": runner.logins()["admin"]["password"]}
        page = browser.post(f"{runner.address}/sign-in", data={**fields, "next": "/dashboard"}, timeout=10)
        assert (page.status_code, page.url) == (200, f"{runner.address}/dashboard")
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text)
        scripts = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
        assert sheets
        assert any("vendor" in script for script in scripts)
        for path in (*sheets, *scripts, "/schemas/thread.xsd", "/schemas/thread.schema.json"):
            assert browser.get(f"{runner.address}{path}", timeout=10).status_code == 200, path


def test_the_program_and_the_harness_are_there_and_a_setting_that_is_wrong_is_one_sentence(
    installed: Environment, tmp_path: Path
) -> None:
    assert re.fullmatch(r"psthreads \d[\w.]*\n", installed.runs("psthreads", "--version", cwd=tmp_path))
    assert "complete" in installed.runs("psthreads", "completion", "bash", cwd=tmp_path)
    where = installed.runs("python", "-c", "import psthreads.testing as it; print(it.__file__)", cwd=tmp_path)
    assert where.startswith(str(installed.folder))
    for command in ("run", "web", "worker", "doctor"):
        done = subprocess.run(
            [installed.program("psthreads"), command],
            cwd=tmp_path,
            env={**bare_environment(), "PORT": "eighty"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        (sentence,) = done.stderr.splitlines()
        assert "PORT is 'eighty', but it must be a number" in sentence


def test_a_plugin_that_depends_on_psthreads_is_installed_beside_the_wheel(
    installed: Environment, plugin: Path, tmp_path: Path
) -> None:
    installed.pip("install", "--no-index", str(plugin))
    assert "word-count" in installed.runs("python", "-c", WORDS, cwd=tmp_path).split()


def test_a_plugin_is_installed_beside_a_checkout_that_was_deployed_as_the_docs_say(
    source: Path, plugin: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = (ROOT / "docs" / "deploying.md").read_text()
    pinned, own = block_of(page, "install").splitlines()
    assert pinned == "pip install --require-hashes -r requirements.lock"
    # What that line installs is here already: the environment of the tests was made of the same versions.
    names = re.findall(r"^([\w-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    environment = Environment(tmp_path_factory.mktemp("deployed"), [name for name in names if has(name)])
    environment.pip(*shlex.split(own.removeprefix("pip ")), cwd=source)
    environment.pip("install", "--no-index", str(plugin))
    assert "word-count" in environment.runs("python", "-c", WORDS, cwd=source).split()


def has(name: str) -> bool:
    """Whether this Python's environment has the package: some are for other versions and machines only."""
    try:
        distribution(name)
    except ModuleNotFoundError:
        return False
    return True
