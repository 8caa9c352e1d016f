"""The pages in a real browser: that they work there at all, and that what looks at them sees what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Pages, Scheme, Site, axe, problems, sign_in
from tests.browser.chromium import NAMES, NoBrowser, find
from tests.support.checkout import ROOT
from tests.support.waiting import wait_for


def test_a_member_signs_in_and_sees_a_thread_that_runs(site: Site, page: Page, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    site.start("sleep", mark=mark)
    wait_for(mark.exists)
    sign_in(page, site, "chief")
    page.goto("/dashboard")
    expect(page.locator("body")).to_contain_text("Sleeping")
    assert problems(page) == []


def test_signing_in_leads_on_to_where_one_wanted_to_go(site: Site, page: Page) -> None:
    sign_in(page, site, "chief", "/api")
    assert page.url == f"{site.address}/api"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_use_the_sign_in_page(new_page: Pages, scheme: Scheme, width: int) -> None:
    page = new_page(scheme=scheme, width=width)
    page.goto("/sign-in")
    assert axe(page) == []
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_signing_in_needs_no_script(site: Site, new_page: Pages) -> None:
    page = new_page(javascript=False)
    sign_in(page, site, "chief")
    response = page.goto("/dashboard")
    assert response is not None
    assert (response.status, page.url) == (200, f"{site.address}/dashboard")


# What looks at the pages.


def test_what_is_wrong_on_a_page_is_seen(site: Site, page: Page) -> None:
    page.goto("/sign-in")
    for script in (
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'alert(1)'}))",
        "setTimeout(() => { throw new Error('of a script') })",
        "console.warn('odd')",
        "alert('hello')",
        "document.body.append(Object.assign(new Image(), {src: '/nowhere.png'}))",
        "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:1/elsewhere.png'}))",
    ):
        page.evaluate(f"() => {{ {script} }}")
    found: list[str] = []

    def are_seen() -> bool:
        found.extend(problems(page))
        return all(
            any(problem.startswith(start) for problem in found)
            for start in (
                "console error: script-src-elem of the policy forbids inline",
                "script: ",
                "console warning: odd",
                "console error: alert: hello",
                f"refused: GET {site.address}/nowhere.png: 404",
                "console error: img-src of the policy forbids http://127.0.0.1:1/elsewhere.png",
            )
        )

    wait_for(are_seen)


def test_what_not_everybody_can_use_is_seen(page: Page) -> None:
    page.goto("/sign-in")
    page.evaluate("document.querySelectorAll('label').forEach(label => label.remove())")
    (username, password) = axe(page, "form")
    assert username.startswith("label (critical): Form elements must have labels: #username: <input ")
    assert "#password" in password


# The browser.


def test_the_first_browser_that_is_installed_is_taken_unless_one_is_named(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path)}
    for name in reversed([name for name in NAMES if not name.startswith("/")]):
        program = tmp_path / name
        program.touch(0o755)
        assert find(environ) == str(program)
    assert find({**environ, "CHROMIUM": "google-chrome"}) == str(tmp_path / "google-chrome")
    with pytest.raises(NoBrowser, match="CHROMIUM is '/nowhere', but no program is there"):
        find({**environ, "CHROMIUM": "/nowhere"})


def make_browser(path: Path) -> subprocess.CompletedProcess[str]:
    """What `make browser` does where only the programs of this folder are installed."""
    kept = {name: value for name, value in os.environ.items() if name != "CHROMIUM"}
    command = [sys.executable, "tests/browser/chromium.py"]
    environ = {**kept, "PATH": str(path)}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def add_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_make_browser_installs_one_only_where_there_is_none(tmp_path: Path) -> None:
    add_program(tmp_path / "sudo", 'exec "$@"')
    add_program(tmp_path / "env", 'exec /usr/bin/env "$@"')
    add_program(tmp_path / "apt-get", f'echo "$@" >>{tmp_path}/log; /bin/cp "$0" {tmp_path}/chromium')
    done = make_browser(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    asked = (tmp_path / "log").read_text()
    assert re.fullmatch(r".* update\n.* install --yes --no-install-recommends chromium fonts-\S+\n", asked)
    assert make_browser(tmp_path).stdout == f"The tests use {tmp_path}/chromium\n"
    assert (tmp_path / "log").read_text() == asked


def test_make_browser_says_in_one_sentence_why_it_cannot_install_one(tmp_path: Path) -> None:
    done = make_browser(tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("Chromium cannot be installed here by apt-get: ")
    add_program(tmp_path / "sudo", 'exec "$@"')
    add_program(tmp_path / "env", 'exec /usr/bin/env "$@"')
    add_program(tmp_path / "apt-get", "echo E: no network; exit 100")
    done = make_browser(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "Chromium cannot be installed, `apt-get update` failed: E: no network\n"


def test_without_a_browser_tests_fail_in_one_sentence_that_names_make_browser(tmp_path: Path) -> None:
    with pytest.raises(NoBrowser, match="`make browser` installs one"):
        find({"PATH": str(tmp_path)})
    one = f"{Path(__file__).name}::test_signing_in_needs_no_script"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/browser/{one}"],
        cwd=ROOT,
        env={**os.environ, "CHROMIUM": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "CHROMIUM is '/nowhere', but no program is there" in done.stdout
    assert "skipped" not in done.stdout
