"""10,000 documents that look like real ones go through every process, and other programs count what comes out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from bench.processes import documents as real
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


def files(folder: Path, pattern: str = "**/*.*") -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_file()]


def headings_in(documents: list[Path]) -> int:
    return sum(path.read_text().count("<heading") for path in documents)


def packed_texts(archive: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


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
    assert len(files(place.zone_path)) == 10_000
    headings = headings_in(files(place.zone_path))

    assert said(load, validate="true", folder="/documents") == "Successfully loaded 10,000 files"
    assert list(place.zone_path.iterdir()) == []
    assert len(files(place.group_path / "documents")) == 10_000
    assert headings_in(files(place.group_path / "documents")) == headings

    assert said(validate, path="/documents") == "10,000 documents: 10,000 valid by a schema."

    assert said(move, path="/documents", destination="/minutes") == "Successfully moved 10,101 files/folders"
    assert len(list((place.group_path / "minutes").rglob("*"))) == 10_100
    assert not (place.group_path / "documents").exists()

    results = place.root / "results" / "7"
    assert said(export, path="/minutes").startswith("Exported 10,000 documents (")
    (result,) = results.glob("*-export-*.zip")
    texts = packed_texts(result)
    assert len(texts) == 10_000
    assert sum(text.count("<heading") for text in texts.values()) == headings

    assert said(publish, path="/minutes") == "Published 10,000 documents"
    (result,) = results.glob("*-publish-*.zip")
    texts = packed_texts(result)
    assert len([name for name in texts if name.endswith(".html")]) == 10_000
    assert sum(text.count("<h2") for text in texts.values()) == headings
