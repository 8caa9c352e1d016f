"""Processes that are cancelled at any moment: what they leave is old or new and whole, and a second start goes on."""

from __future__ import annotations

import gc
import io
import shutil
import zipfile
from pathlib import Path

import psutil
import pytest

from psthreads.domain.model import Level, Status
from psthreads.processes.load import load
from psthreads.processes.move import move
from psthreads.processes.unzip import unzip
from tests.support.archives import many
from tests.support.group_of_documents import GroupOfDocuments
from tests.support.loading import Place
from tests.support.moments import DOCUMENTS, Moments, seconds_of
from tests.support.moving import fill
from tests.support.publishing import NAME, TITLE, Publishing


# An interrupt may come between the opening of a file and its `with` block: the file is then closed by itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("overwrite", ["true", "false"])
def test_a_cancel_at_any_moment_leaves_every_document_old_or_new(
    tmp_path: Path, overwrite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a busy disk takes at the end would leave hardly a cancel for the work before it.
    monkeypatch.setattr("psthreads.documents.folders.group_folder.sync_all", lambda _: None)
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
    monkeypatch.setattr("psthreads.documents.folders.group_folder.sync_all", lambda _: None)
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


# An interrupt that comes while Python removes an object is raised at the next report, and told to stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_publication_that_is_cancelled_anywhere_leaves_no_file_or_one_that_is_whole_and_named(tmp_path: Path) -> None:
    group = Publishing(tmp_path)
    group.stylesheet(TITLE)
    group.fill(DOCUMENTS)
    before, children = group.contents(), set(psutil.Process().children())
    longest = seconds_of(lambda: group.run(path="/documents"))
    (group.results / NAME).unlink()
    moments = Moments(longest)
    for moment in moments:
        outcome = group.run(after=moment, path="/documents")
        assert set(psutil.Process().children()) <= children
        assert not list(group.scratch.iterdir())
        assert {path.name for path in group.results.iterdir()} <= {NAME}
        is_named = any("<zip>" in (report.xml or "") for report in group.reporter.reports)
        assert (group.results / NAME).exists() == is_named
        moments.note(in_time=outcome.status is Status.CANCELLED and not is_named)
        if is_named:
            assert len(group.published()) == DOCUMENTS
            (group.results / NAME).unlink()
    assert group.contents() == before


# An interrupt that comes while Python removes an object is raised at the next report, and told to stderr.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_move_that_is_cancelled_anywhere_leaves_each_document_in_one_place_and_can_be_continued(
    tmp_path: Path,
) -> None:
    group = GroupOfDocuments(tmp_path, move)
    fill(group, DOCUMENTS)
    whole = {path.partition("/")[2]: data for path, data in group.contents().items()}
    places = ("documents", "moved")
    longest = seconds_of(lambda: group.run(path="/documents", destination="/moved"))
    cut_short = 0
    moments = Moments(longest)
    for number, moment in enumerate(moments):
        source, target = places[(number + 1) % 2], places[number % 2]
        outcome = group.run(after=moment, path=f"/{source}", destination=f"/{target}")
        found = group.contents()
        assert {path.partition("/")[2]: data for path, data in found.items()} == whole
        assert len(found) == len(whole)
        assert not group.leftovers()
        moved = {path for path in found if path.startswith(f"{target}/")}
        lines = group.reporter.lines()
        logged = {line.removeprefix(f"Moving /{source}/") for line in lines if line.startswith("Moving /")}
        assert {path.partition("/")[2] for path in moved} == {name for name in logged if name.endswith(".psml")}
        moments.note(in_time=outcome.status is Status.CANCELLED)
        if outcome.status is Status.CANCELLED:
            cut_short += 0 < len(moved) < len(whole)
            assert not [
                path for path in (group.inside / target).rglob("*") if path.is_dir() and not any(path.iterdir())
            ]
            group.run(path=f"/{source}", destination=f"/{target}", merge="true")
        assert not (group.inside / source).exists()
        assert len(group.contents()) == len(whole)
    assert cut_short > 20, f"Only {cut_short} of {moments.in_time} cancels came while documents were moved"
