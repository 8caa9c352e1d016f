"""The docs, held against the code: nothing is missing in them, and what they tell people to type works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sessions import Running, block_of, holds, newcomer, started
from stack import ROOT

from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.web.app import create_app

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
DASHBOARD = (ROOT / "docs" / "dashboard.md").read_text()
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/dashboard.md"]
PACKAGE = ROOT / "psthreads"
PICTURE = "docs/images/life-of-a-thread.svg"

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


def test_the_docs_have_every_route_once_and_no_other() -> None:
    found = [
        route
        for page in (README, DASHBOARD)
        for route in re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /[^`]*)` \|", page, re.MULTILINE)
    ]
    assert set(found) == routes()
    assert len(found) == len(set(found))


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


def test_the_architecture_has_every_key_of_ours() -> None:
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.lua")]
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


def block(marker: str) -> str:
    return block_of(README, marker)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with newcomer() as folder:
        (folder / "counting.py").write_text(block("file: counting.py"))
        named = re.search(r"^PSTHREADS_PROCESSES=(\S+) make run$", README, re.MULTILINE)
        assert named is not None
        with started(folder, named[1]) as programs:
            yield programs


@pytest.mark.parametrize("name", ["session", "command line", "loading", "own process", "members", "rq info"])
def test_a_session_of_the_readme_shows_what_it_says(running: Running, name: str) -> None:
    holds(running.type(block(f"run: {name}")))


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
