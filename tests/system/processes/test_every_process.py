"""10,000 documents that look like real ones go through every process, and other programs count what comes out."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from bench import documents as real
from psthreads.authoring.process import Process
from psthreads.domain.model import Level, Status
from psthreads.processes.export import export
from psthreads.processes.load import load
from psthreads.processes.move import move
from psthreads.processes.publish import publish
from psthreads.processes.unzip import unzip
from psthreads.processes.validate import validate
from tests.support.loading import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "root")


def counted(command: str, folder: Path) -> int:
    """The number that a shell prints."""
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_ten_thousand_real_looking_documents_go_through_every_process(place: Place) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, document in enumerate(real.documents(real.COUNT)):
            archive.writestr(f"{number // 100:03}/document-{number % 100:03}.psml", document)
    place.upload("in.zip", packed.getvalue())
    real.add_schema(place.group_path)
    real.add_stylesheet(place.group_path)

    def said(process: Process, **values: str) -> str:
        outcome = place.run(process, None, **values)
        assert (outcome.status, place.lines(Level.ERROR)) == (Status.COMPLETED, [])
        assert not place.hidden()
        return outcome.message

    assert said(unzip, path="in.zip") == "Successfully unzipped 10,000 files"
    assert counted("find . -type f | wc -l", place.zone_path) == 10_000
    headings = counted("cat */*.psml | grep -o '<heading' | wc -l", place.zone_path)

    assert said(load, validate="true", folder="/documents") == "Successfully loaded 10,000 files"
    assert counted("find . | wc -l", place.zone_path) == 1
    assert counted("find documents -type f | wc -l", place.group_path) == 10_000
    assert counted("cat documents/*/*.psml | grep -o '<heading' | wc -l", place.group_path) == headings

    assert said(validate, path="/documents") == "10,000 documents are valid."

    assert said(move, path="/documents", destination="/minutes") == "Successfully moved 10,101 files/folders"
    assert counted("find minutes | wc -l", place.group_path) == 10_101
    assert counted("find documents 2>/dev/null | wc -l", place.group_path) == 0

    results = place.root / "results" / "7"
    assert said(export, path="/minutes").startswith("Exported 10,000 documents (")
    assert counted("unzip -Z1 *-export-*.zip | wc -l", results) == 10_000
    assert counted("unzip -p *-export-*.zip | grep -o '<heading' | wc -l", results) == headings

    assert said(publish, path="/minutes") == "Published 10,000 documents"
    assert counted("unzip -Z1 *-publish-*.zip | grep -c '[.]html$'", results) == 10_000
    assert counted("unzip -p *-publish-*.zip | grep -o '<h2' | wc -l", results) == headings
