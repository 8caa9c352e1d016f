"""Claims about large documents and many: the memory that a process takes does not grow with them."""

from __future__ import annotations

import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from lxml import etree

from psthreads.processes.export import export
from psthreads.processes.validate import validate
from tests.support.checkout import ROOT
from tests.support.group_of_documents import THREAD, GroupOfDocuments
from tests.support.loading import Place
from tests.support.validating import NOTE_RNG, NOTE_XSD, with_secrets_outside

PROGRAM = """
import sys
from pathlib import Path
from psthreads.processes.export import export
from psthreads.processes.unzip import unzip
from psthreads.processes.validate import validate
from tests.support.archives import pack
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.loading import Place

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

root = Path(sys.argv[1])
{first}
base = peak()
{then}
print(peak() - base)
"""
LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 12))


def finish(root: Path, first: str, then: str) -> tuple[list[str], int]:
    """Return what a program prints, and by how many kB its memory grows from the first part to the second."""
    command = [sys.executable, "-c", PROGRAM.format(first=first, then=then), str(root)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    *lines, growth = result.stdout.splitlines()
    return lines, int(growth)


def test_large_documents_and_many_are_exported_in_constant_memory(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, export)
    group.write({"warm/a.xml": "<a/>"})
    (group.inside / "large").mkdir()
    for number in range(2):
        with (group.inside / "large" / f"{number}.bin").open("wb") as file:
            file.truncate(750_000_000)
    for part in range(30):
        folder = group.inside / "large" / f"{part:02}"
        folder.mkdir()
        for number in range(1_000):
            (folder / f"{number:03}.xml").write_bytes(b"<a/>")
    lines, growth = finish(
        tmp_path,
        "group = GroupOfDocuments(root, export); group.run(path='warm')",
        "print(group.run(path='large').message)",
    )
    assert lines == ["Exported 30,002 documents (1.5 GB)"]
    assert growth < 20_000


def test_a_large_file_is_unpacked_in_constant_memory(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.zone_path.mkdir(parents=True)
    block = random.Random(1).randbytes(1 << 20)  # noqa: S311 (no secret)
    with (
        zipfile.ZipFile(place.zone_path / "large.zip", "w", zipfile.ZIP_STORED) as archive,
        archive.open("large.bin", "w") as target,
    ):
        for _ in range(200):
            target.write(block)
    lines, growth = finish(
        tmp_path,
        "place = Place(root); place.upload('small.zip', pack(('a.xml', b'<a/>'))); place.run(unzip, path='small.zip')",
        "print(place.run(unzip, path='large.zip').message)",
    )
    assert lines == ["Successfully unzipped 1 file"]
    assert growth < 20_000


VALIDATE = "group = GroupOfDocuments(root, validate); group.run(path='warm')"


def test_a_hundred_thousand_findings_take_no_memory(tmp_path: Path) -> None:
    group = GroupOfDocuments(tmp_path, validate)
    bad = f"<note>{'<p>x</p>' * 1_000}</note>"
    group.write({"schemas/note.xsd": NOTE_XSD, "warm/a.xml": bad})
    group.write({f"many/{number}.xml": bad for number in range(100)})
    lines, growth = finish(tmp_path, VALIDATE, "print(group.run(path='many').message)")
    assert lines == ["100 documents: 100 not valid."]
    assert growth < 20_000
    report = etree.parse(group.results / f"report-{THREAD}.xml").getroot()
    assert sum(1 for _ in report.iter("problem")) == 100_000


@pytest.mark.parametrize("kind", ["valid", "invalid", "bomb", "text"])
def test_a_document_of_200_mb_is_checked_with_bounded_memory(tmp_path: Path, kind: str) -> None:
    group = GroupOfDocuments(tmp_path, validate)
    group.write({"schemas/note.xsd": NOTE_XSD, "schemas/note.rng": NOTE_RNG, "warm/a.xml": "<note><p>1</p></note>"})
    (group.inside / "large").mkdir()
    with (group.inside / "large" / "a.xml").open("wb") as file:
        if kind == "bomb":
            file.write(f'<!DOCTYPE note [<!ENTITY l0 "lol">{LAUGHS}]><note b="&l11;">'.encode())
        else:
            file.write(b"<note>\n")
        block = b"x" * 1_000_000 if kind == "text" else b"<p>" + b" " * 900 + b"1</p>\n"
        for _ in range(200_000_000 // len(block)):
            file.write(block)
        file.write(b"<q/></note>" if kind == "invalid" else b"</note>")
    then = "print(group.run(path='large').message, *group.reporter.lines(), sep='\\n')"
    (outcome, *lines), growth = finish(tmp_path, VALIDATE, then)
    assert growth < 50_000
    if kind == "valid":
        assert outcome == "1 document: 1 could not be checked."
        said = "Document /large/a.xml could not be checked: it is too large to be checked by /schemas/note.rng"
        assert lines[0] == said
    else:
        assert outcome == "1 document: 1 not valid."
        where = {"invalid": f"line {200_000_000 // 909 + 2}, column 1: Element 'q'", "bomb": "", "text": "line "}[kind]
        assert f"Document /large/a.xml is not valid: {where}" in lines[0]


def test_a_wrong_namespace_is_found_in_a_document_of_any_size(tmp_path: Path) -> None:
    run = with_secrets_outside(tmp_path)
    run.write(schemas__note_xsd=NOTE_XSD)
    for many in (1, 20_000, 2_000_000):
        run.write(a_xml=f"<note xmlns:xml='urn:x'>{'<p>1</p>' * many}</note>")
        (error,) = run.errors("a.xml")
        assert "namespace" in error
