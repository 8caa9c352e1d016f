"""Loading and unpacking, cancelled at any moment: every file is old or new, and a second start goes on."""

from __future__ import annotations

import gc
import io
import shutil
import zipfile
from pathlib import Path

import pytest

from psthreads.domain.model import Level
from psthreads.processes.load import load
from psthreads.processes.unzip import unzip
from tests.support.archives import many
from tests.support.loading import Place
from tests.support.moments import DOCUMENTS, Moments, seconds_of


# An interrupt may come between the opening of a file and its `with` block: the file is then closed by itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_a_cancel_at_any_moment_leaves_every_document_old_or_new(
    tmp_path: Path, overwrite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a busy disk takes at the end would leave hardly a cancel for the work before it.
    monkeypatch.setattr("psthreads.documents.group_folder.sync_all", lambda _: None)
    names = [f"docs/{number % 7}/{number}.xml" for number in range(DOCUMENTS)]
    old = dict.fromkeys(names[::2], b"<old>" + b"o" * 500) if overwrite == "true" else {}
    new = dict.fromkeys(names, b"<new>" + b"n" * 500)

    def fresh(number: int) -> Place:
        place = Place(tmp_path / f"{number}")
        for root, files in ((place.zone_path, new), (place.group_path, old)):
            for name, content in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
        return place

    first = fresh(0)
    moments = Moments(seconds_of(lambda: first.run(load, overwrite=overwrite)))
    midway = 0
    for number, moment in enumerate(moments, start=1):
        place = fresh(number)
        was_cancelled = place.run_and_cancel(load, moment, overwrite=overwrite)
        there, waiting = place.files(place.group_path), place.files(place.zone_path)
        loaded = new.keys() - waiting.keys()
        assert waiting.items() <= new.items()
        assert there == old | {name: new[name] for name in loaded}
        assert was_cancelled or not waiting
        assert set(place.lines(Level.INFO)) >= {f"Loaded /{name}" for name in loaded}
        assert not place.hidden()
        moments.note(in_time=was_cancelled)
        midway += 0 < len(waiting) < len(new)
        if waiting:  # Started again, it finishes.
            assert place.run(load, overwrite=overwrite).message.startswith("Successfully loaded")
            assert place.files(place.group_path) == new
        shutil.rmtree(place.root)
    gc.collect()  # What was interrupted just when it was opened is closed now, and not in another test.
    assert midway >= 15, f"Only {midway} of {moments.in_time} cancels came while files were put in place"


# An interrupt may come between the opening of a file and its `with` block: the file is then closed by itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cancel_at_any_moment_leaves_whole_files_and_nothing_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a busy disk takes at the end would leave hardly a cancel for the work before it.
    monkeypatch.setattr("psthreads.documents.group_folder.sync_all", lambda _: None)
    archive = many(DOCUMENTS)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        whole = {f"docs/{info.filename.partition('/')[2]}": opened.read(info) for info in opened.infolist()}

    def fresh(number: int) -> Place:
        place = Place(tmp_path / str(number))
        place.upload("in.zip", archive)
        return place

    first = fresh(0)
    moments = Moments(seconds_of(lambda: first.run(unzip, path="in.zip")))
    before = 0
    for number, moment in enumerate(moments, start=1):
        place = fresh(number)
        was_cancelled = place.run_and_cancel(unzip, moment, path="in.zip")
        left = place.files(place.zone_path)
        has_archive = left.pop("in.zip", None)
        assert left.items() <= whole.items()
        assert has_archive == archive or left == whole
        assert was_cancelled or left == whole
        assert not place.hidden()
        moments.note(in_time=was_cancelled)
        before += not left
        # Started again, it finishes.
        if has_archive:
            assert place.run(unzip, path="in.zip").message == f"Successfully unzipped {DOCUMENTS:,} files"
            assert place.files(place.zone_path) == whole
        shutil.rmtree(place.root)
    gc.collect()  # What was interrupted just when it was opened is closed now, and not in another test.
    # Those that come while files are put in place are few: another test sees to them.
    assert before >= 15, f"Only {before} of {moments.in_time} cancels came before the first file was in place"
