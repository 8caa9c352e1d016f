"""Claims about verdicts: each document of the corpus gets the right one, and other validators agree."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from psthreads.processes.validation.verdict import Verdict
from tests.support.checkout import ROOT
from tests.support.needs import leave_out_anywhere
from tools.differential.__main__ import Checks, checks_of, compare
from tools.differential.engines import Kind, engines
from tools.differential.ours import verdicts

CORPUS = ROOT / "tests" / "corpus"
SECONDS = 5  # for a check, of which one takes for ever
PADDING = f"<!-- {'padding ' * 40_000} -->\n".encode()  # above the size up to which checks are quick


@cache
def manifest() -> dict[str, dict[str, str]]:
    with (CORPUS / "manifest.toml").open("rb") as file:
        return {document["path"]: document for document in tomllib.load(file)["document"]}


@cache
def ours() -> dict[str, Verdict]:
    found = {document.path[1:]: verdict for document, verdict in verdicts(CORPUS / "group", SECONDS)}
    return {path: verdict for path, verdict in found.items() if path in manifest()}


def _wrong(answers: Mapping[str, Verdict]) -> dict[str, str]:
    return {
        path: f"{verdict.kind} and not {right}: {(*verdict.problems, *verdict.unchecked)[:1]}"
        for path, verdict in answers.items()
        if verdict.kind.value not in (right := manifest()[path]["verdict"]).split(" or ")
    }


def test_every_document_is_in_the_manifest_with_a_clause() -> None:
    files = {path.relative_to(CORPUS / "group").as_posix() for path in (CORPUS / "group").rglob("*.xml")}
    assert files - {"schemas/catalog.xml"} == manifest().keys()
    for document in manifest().values():
        assert document["clause"]
        assert document["kind"]
        assert set(document["verdict"].split(" or ")) <= {"valid", "well-formed", "invalid", "not-checked"}


def test_every_document_gets_the_right_verdict() -> None:
    assert ours().keys() == manifest().keys()
    assert not _wrong(ours())


@pytest.mark.parametrize("name", ["xmllint", "jing", "Xerces", "Saxon"])
def test_other_validators_agree_but_where_the_manifest_says_why_not(name: str) -> None:
    catalog = CORPUS / "group" / "schemas" / "catalog.xml"
    engine = next((engine for engine in engines(catalog if catalog.is_file() else None) if engine.name == name), None)
    if engine is None:
        leave_out_anywhere(f"{name} is not installed, and need not be.")
    checks: Checks = defaultdict(dict)
    for path, verdict in ours().items():
        for kind, schema, answer, problem in checks_of(verdict):
            if name not in manifest()[path]:
                checks[kind, schema][f"/{path}"] = (answer, problem)
    counts = 0
    for _, compared, _, lines in compare(CORPUS / "group", engine, checks):
        assert not lines
        counts += compared
    assert counts >= 5


def test_jing_is_not_believed_on_documents_that_it_did_not_reach(tmp_path: Path) -> None:
    engine = next((engine for engine in engines(None) if engine.name == "jing"), None)
    if engine is None:
        leave_out_anywhere("jing is not installed, and need not be.")
    schema = tmp_path / "a.rng"
    schema.write_text('<element name="a" xmlns="http://relaxng.org/ns/structure/1.0"><empty/></element>')
    invalid, last = tmp_path / "1.xml", tmp_path / "2.xml"
    invalid.write_text("<a><b/></a>")
    last.write_text("<!DOCTYPE a SYSTEM 'absent.dtd'><a/>")
    assert engine.answers(Kind.RNG, schema, [invalid, last]) == ["invalid", "unknown"]


@pytest.mark.parametrize("how", ["large", "needless prefix"])
def test_the_verdict_does_not_depend_on_the_way_of_checking(tmp_path: Path, how: str) -> None:
    group = tmp_path / "group"
    shutil.copytree(CORPUS / "group", group, ignore=shutil.ignore_patterns("bombs"))
    changed = set()
    for path, document in manifest().items():
        if document["kind"] in {"bombs", "encodings"} or not (file := group / path).is_file():
            continue
        data = file.read_bytes()
        if how == "large":
            new = data + PADDING
        else:  # In the tag of the root element, whose quick check knows no prefixes.
            new = re.sub(rb"\A((?:<\?[^>]*>\s*)?<[A-Za-z]+)(?=[ />])", rb'\1 xmlns:needless="urn:x"', data, count=1)
        if new != data:
            changed.add(path)
            file.write_bytes(new)
    assert len(changed) > 50
    answers = {document.path[1:]: verdict for document, verdict in verdicts(group, SECONDS)}
    assert not _wrong({path: answers[path] for path in changed})
