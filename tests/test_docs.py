"""The docs, held against the code: nothing is missing in them, and what they tell people to type works."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import requests
from lxml import etree
from stack import ROOT, free_port, wait_for

from psthreads.config import Config
from psthreads.model import Status
from psthreads.web import create_app

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PACKAGE = ROOT / "psthreads"
PICTURE = "docs/images/life-of-a-thread.svg"
DEADLINE = 60.0

# The settings of the command line, which are no part of Config.
OF_THE_CLIENT = {f"PSTHREADS_{name}" for name in ("SERVER", "TOKEN", "USERNAME", "PASSWORD", "MEMBER")}


# What must not be missing.


def routes() -> set[str]:
    """Every route of the service as the README writes it, once where it also answers with a suffix."""
    found = set()
    for rule in create_app(Config(prefixes=())).url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removesuffix(".<any(xml, json):suffix>"))
        found |= {f"{method} {path}" for method in rule.methods or () if method not in {"HEAD", "OPTIONS"}}
    return found


def test_the_readme_has_every_route_and_no_other() -> None:
    assert set(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /[^`]*)` \|", README, re.MULTILINE)) == routes()


def test_the_readme_has_every_setting_with_its_default_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", README, re.MULTILINE))
    expected = {}
    for setting in fields(Config):
        default: Any = setting.default
        if isinstance(default, tuple):
            default = ",".join(default)
        text = str(default).lower() if isinstance(default, bool) else str(default)
        expected[setting.metadata["env"]] = f"`{text}`" if text else "empty"
    assert rows == expected


def test_no_page_names_a_setting_that_there_is_not() -> None:
    known = {setting.metadata["env"] for setting in fields(Config)} | OF_THE_CLIENT
    for page in PAGES:
        assert set(re.findall(r"PSTHREADS_[A-Z_]+", (ROOT / page).read_text())) <= known, page


def test_the_architecture_has_every_module_and_no_other() -> None:
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    modules -= {"__init__.py", "processes/__init__.py"}
    modules |= {"app.py", "gunicorn.conf.py"}
    assert set(re.findall(r"^\| `([\w/.]+\.py)` \|", ARCHITECTURE, re.MULTILINE)) == modules


def test_the_architecture_has_every_script_and_no_other() -> None:
    scripts = {path.name for path in (PACKAGE / "lua").glob("*.lua")}
    table = ARCHITECTURE.partition("\n## Scripts\n")[2].partition("\n## ")[0]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+\.lua)`", rows)) == scripts


def test_the_architecture_has_every_key_of_ours() -> None:
    sources = [*PACKAGE.rglob("*.py"), *(PACKAGE / "lua").glob("*.lua")]
    used = {key for path in sources for key in re.findall(r"""["'](ps:[a-z-]+)""", path.read_text())}
    assert len(used) > 10
    assert used <= set(re.findall(r"`(ps:[a-z-]+)", ARCHITECTURE)) | {"ps:"}


def test_the_readme_and_the_picture_have_every_status() -> None:
    picture = etree.parse(ROOT / PICTURE).getroot()
    words = {element.text for element in picture.iter("{*}text")}
    for status in Status:
        assert status.value in words
        assert f"| `{status}` |" in README
    assert picture.findtext("{*}title")
    assert picture.findtext("{*}desc")


# What must lead somewhere.


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made for Markdown on the web."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_docs_leads_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = ROOT / (path or page)
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


# What people type must work.


@dataclass(frozen=True)
class Running:
    """`make run`, in a folder of its own, with the README's own process."""

    folder: Path
    port: int

    def type(self, block: str) -> list[tuple[str, list[str]]]:
        """Type a session; gives what each part of it showed, and the fragments that it is said to show.

        A part is what stands before a row of `# ->` lines. A line that fails ends the session, and the test.
        """
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


def block(marker: str) -> str:
    """The fenced block of the README that stands below this marker."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->\n```\w+\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found is not None, marker
    return found[1]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    # Not tmp_path: the name of a Unix socket below it would be too long on some systems.
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    (folder / "counting.py").write_text(block("file: counting.py"))
    named = re.search(r"^PSTHREADS_PROCESSES=(\S+) make run$", README, re.MULTILINE)
    assert named is not None
    port = free_port()
    output = (folder / "output").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "psthreads.run", "--tied"],
        cwd=folder,
        env=environment(folder, PORT=str(port), PSTHREADS_PROCESSES=named[1]),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def is_ready() -> bool:
        assert process.poll() is None, (folder / "output").read_text()
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
        except requests.RequestException:
            return False
        return answer.ok and " 0 workers" not in answer.text

    try:
        wait_for(is_ready, DEADLINE)
        yield Running(folder, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
        output.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["session", "command line", "loading", "own process", "members", "rq info"])
def test_a_session_of_the_readme_shows_what_it_says(running: Running, name: str) -> None:
    parts = running.type(block(f"run: {name}"))
    assert sum(len(said) for _, said in parts) > 1
    for shown, said in parts:
        for fragment in said:
            assert fragment in shown


def test_the_same_idempotency_key_gives_one_thread_as_the_readme_says(running: Running) -> None:
    session = block("run: session").splitlines()
    first, second, _ = [line for line in session if "Idempotency-Key" in line]
    assert first == second
    ((shown, _),) = running.type("\n".join((*session[:3], first, second)))
    found = re.findall(r'<thread id="(\w+)"', shown)
    assert len(found) == 2
    assert len(set(found)) == 1


def test_the_process_of_the_readme_is_of_twenty_lines() -> None:
    assert len([line for line in block("file: counting.py").splitlines() if line]) <= 20


def test_every_example_of_xml_and_json_in_the_readme_is_valid() -> None:
    xsd = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
    examples = re.findall(r"^```xml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        xsd.assertValid(etree.fromstring(example))
    for example in re.findall(r"^```json\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        json.loads(example)


def test_the_licence_is_the_one_that_the_package_names() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert 'license = { text = "Apache-2.0" }' in (ROOT / "pyproject.toml").read_text()
