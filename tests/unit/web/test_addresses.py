"""Addresses are made in one way, `url_for` and `here`, so that all lead below the path that a proxy shows."""

from __future__ import annotations

import re

import pytest

from tests.support.checkout import ROOT

_OF_THE_REQUEST = r"\brequest\.(?:full_path|base_url|url|url_root|host_url|root_url)\b(?!\.replace)"
FORBIDDEN = {
    # An attribute's value, or a string in an expression, that begins with a slash; or what the request's address was.
    "*.html": re.compile(rf"""=\s*["']?/\w|[({{~+=,]\s*["']/|{_OF_THE_REQUEST.replace("url|", "url|path|")}"""),
    "*.js": re.compile(r"""["'`]/["'`\w$]|\blocation\.(?:host|origin)\b"""),
    # What is put together is an address, or the rule of a route, which has a name in <>.
    "*.py": re.compile(
        rf"""\bf["']/[\w{{]|["']/[^"'<]*["'] ?(?:%|\+|\.format)|\bredirect\(["']/"""
        rf"""|(?:\bLocation"?\]? ?[:=]|\b(?:href|action|url|address|location)=) ?f?["']/|{_OF_THE_REQUEST}"""
    ),
}
FOLDERS = {
    "*.html": ROOT / "templates",
    "*.js": ROOT / "psthreads" / "web" / "static",
    "*.py": ROOT / "psthreads" / "web",
}
THE_ONE_WAY = ROOT / "psthreads" / "web" / "http" / "routing.py"


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_address_is_made_by_hand(kind: str) -> None:
    files = [file for file in FOLDERS[kind].rglob(kind) if "vendor" not in file.parts and file != THE_ONE_WAY]
    assert files
    by_hand = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if FORBIDDEN[kind].search(line)
    ]
    assert by_hand == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("*.html", '<a href="/dashboard">'),
        ("*.html", "<a href = /dashboard>"),
        ("*.html", """<a href="{{ '/dashboard' }}">"""),
        ("*.html", """<a href="{{ "/threads/" ~ thread.id }}">"""),
        ("*.html", """{% set link = "/threads/" + thread.id %}"""),
        ("*.html", '<img srcset="/static/a.png 2x">'),
        ("*.html", '<div data-anything="/dashboard">'),
        ("*.html", '<form action="{{ request.path }}">'),
        ("*.html", '<a href="{{ request.url_root }}dashboard">'),
        ("*.js", "fetch(`/threads/${id}`)"),
        ("*.js", "fetch('/' + path)"),
        ("*.js", "fetch(`/${path}`)"),
        ("*.js", "new URL(path, location.origin)"),
        ("*.py", 'return redirect("/dashboard")'),
        ("*.py", 'link = f"/groups/{group.name}"'),
        ("*.py", "link = f'/{group.name}'"),
        ("*.py", 'link = "/" + "/".join(parts)'),
        ("*.py", 'link = "/groups/%s" % group.name'),
        ("*.py", 'headers = {"Location": "/dashboard"}'),
        ("*.py", 'answer.headers["Location"] = "/dashboard"'),
        ("*.py", 'render_template("page.html", href="/dashboard")'),
        ("*.py", 'link = request.host_url + "dashboard"'),
    ],
)
def test_no_way_to_make_one_by_hand_is_overlooked(kind: str, line: str) -> None:
    assert FORBIDDEN[kind].search(line)
