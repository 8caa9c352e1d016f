"""The docs, held against the code: nothing is missing in them, and what they tell people to type works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from psthreads.domain.config import SETTINGS, Config
from psthreads.domain.model import Status
from psthreads.web.app import create_app
from tests.support.blocks import block_of
from tests.support.checkout import ROOT
from tests.system.sessions import Running, holds, newcomer, started

TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md"), *ROOT.glob("samples/*.md"))
}
README = TEXTS["README.md"]
ARCHITECTURE = TEXTS["ARCHITECTURE.md"]
API = TEXTS["docs/api.md"]
# What these pages tell people to type is run by tests of their own.
TUTORIALS = {"docs/writing-a-process.md"}
SESSIONS = [
    (page, name)
    for page in sorted(TEXTS.keys() - TUTORIALS)
    for name in re.findall(r"^<!-- run: (.+) -->$", TEXTS[page], re.MULTILINE)
]
PACKAGE = ROOT / "psthreads"
PICTURE = "docs/images/life-of-a-thread.svg"

# The settings of the command line, which are no part of Config.
OF_THE_CLIENT = {f"PSTHREADS_{name}" for name in ("SERVER", "TOKEN", "USERNAME", "PASSWORD", "MEMBER")}


# What must not be missing.


def routes() -> set[str]:
    """Every route of the service as the docs write it, once where it also answers with a suffix."""
    found = set()
    for rule in create_app(Config(prefixes=())).url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removesuffix(".<any(xml, json):suffix>"))
        if path.startswith("/api/v1/") and not path.startswith("/api/v1/oauth/"):
            continue  # The same routes as at the root.
        found |= {f"{method} {path}" for method in rule.methods or () if method not in {"HEAD", "OPTIONS"}}
    return found


def test_the_docs_have_every_route_once_and_no_other() -> None:
    found = [
        route
        for page in (API, TEXTS["docs/dashboard.md"])
        for route in re.findall(r"^\| `((?:GET|POST|PUT|DELETE) /[^`]*)` \|", page, re.MULTILINE)
    ]
    assert set(found) == routes()
    assert len(found) == len(set(found))


def test_the_page_of_settings_has_every_setting_with_its_default_once_and_no_other() -> None:
    found = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", TEXTS["docs/settings.md"], re.MULTILINE)
    rows = dict(found)
    assert len(rows) == len(found)
    expected = {}
    for setting in SETTINGS:
        default: Any = setting.default
        if isinstance(default, tuple):
            default = ",".join(default)
        text = str(default).lower() if isinstance(default, bool) else str(default)
        expected[setting.metadata["env"]] = f"`{text}`" if text else "empty"
    assert rows == expected


def test_no_page_names_a_setting_that_there_is_not() -> None:
    known = {setting.metadata[name] for setting in SETTINGS for name in ("env", "former")} | OF_THE_CLIENT
    for page, text in TEXTS.items():
        assert set(re.findall(r"PSTHREADS_[A-Z_]+", text)) <= known, page


def test_the_architecture_has_every_key_of_ours() -> None:
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.lua")]
    used = {key for path in sources for key in re.findall(r"""["'](ps:[a-z-]+)""", path.read_text())}
    assert len(used) > 10
    assert used <= set(re.findall(r"`(ps:[a-z-]+)", ARCHITECTURE)) | {"ps:"}


def test_the_api_and_the_picture_have_every_status() -> None:
    picture = etree.parse(ROOT / PICTURE).getroot()
    words = {element.text for element in picture.iter("{*}text")}
    for status in Status:
        assert status.value in words
        assert f"| `{status}` |" in API
    assert picture.findtext("{*}title")
    assert picture.findtext("{*}desc")


# What must lead somewhere.


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_test_that_a_page_names_exists(page: str) -> None:
    folder = (ROOT / page).parent if page.startswith("examples/") else ROOT
    for path in re.findall(r"`(tests/[a-z_/]+\.py)`", TEXTS[page]):
        assert (folder / path).is_file(), path


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_target_of_make_that_a_page_names_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`(?:[A-Z]+=\S+ )*make ([a-z-]+)", TEXTS[page])) <= targets


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made for Markdown on the web."""
    text = prose(page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_link_within_the_docs_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(TEXTS[page])):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / path if path else ROOT / page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_readme_leads_to_every_page_of_the_docs_and_is_short() -> None:
    assert set(re.findall(r"\]\((docs/[\w-]+\.md)\)", README)) == {page for page in TEXTS if page.startswith("docs/")}
    assert len(README.splitlines()) <= 250


# What people type must work.


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with newcomer() as folder:
        (folder / "counting.py").write_text(block_of(README, "file: counting.py"))
        named = re.search(r"^PSTHREADS_PROCESSES=(\S+) make run$", README, re.MULTILINE)
        assert named is not None
        with started(folder, named[1]) as programs:
            yield programs


@pytest.mark.parametrize(("page", "name"), SESSIONS)
def test_a_session_of_the_docs_shows_what_it_says(running: Running, page: str, name: str) -> None:
    holds(running.type(block_of(TEXTS[page], f"run: {name}")))


def test_the_same_idempotency_key_gives_one_thread_as_the_docs_say(running: Running) -> None:
    session = block_of(API, "run: session").splitlines()
    first, second, _ = [line for line in session if "Idempotency-Key" in line]
    assert first == second
    ((shown, _),) = running.type("\n".join((*session[:3], first, second)))
    ids = re.findall(r'<thread id="(\w+)"', shown)
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_the_process_of_the_readme_is_of_twenty_lines() -> None:
    assert len([line for line in block_of(README, "file: counting.py").splitlines() if line]) <= 20


def test_every_example_of_xml_and_json_in_the_docs_is_valid() -> None:
    xsd = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
    everything = "\n".join(TEXTS.values())
    examples = re.findall(r"^```xml\n(.*?)^```$", everything, re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        xsd.assertValid(etree.fromstring(example))
    for example in re.findall(r"^```json\n(.*?)^```$", everything, re.MULTILINE | re.DOTALL):
        json.loads(example)


def test_the_licence_is_the_one_that_the_package_names() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
