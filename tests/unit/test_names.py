"""Names that lead a newcomer to the right place."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.support.checkout import ROOT

PACKAGE = ROOT / "psthreads"

# Classes that share a name, and why they may.
SHARED: dict[str, str] = {}


def test_a_class_name_stands_once_in_the_package() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(path.relative_to(PACKAGE).as_posix())
    shared = {name: files for name, files in homes.items() if len(files) > 1}
    assert shared.keys() == SHARED.keys(), shared


def test_a_package_is_small_enough_to_be_looked_through() -> None:
    files = {folder: len(list(folder.glob("*.py"))) for folder in (PACKAGE, *PACKAGE.rglob("*")) if folder.is_dir()}
    assert files.pop(PACKAGE) <= 4
    crowded = {folder.name: count for folder, count in files.items() if count > 14}
    assert not crowded


def test_the_ten_questions_of_a_newcomer_lead_to_files() -> None:
    answers = re.findall(r"^\| .+\? \| `(.+)` \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(answers) == 10
    for answer in answers:
        assert (ROOT / answer).is_file(), answer
