"""Claims about the export process: what it takes, what it answers at once, and the zip file it makes."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from psthreads.authoring.context import Cancelled, Context
from psthreads.authoring.process import Answer, Start
from psthreads.documents.layout import Documents
from psthreads.documents.result_files import owner
from psthreads.documents.storage import Storage
from psthreads.domain.access import Group
from psthreads.domain.errors import BadParameter, DocumentNotFound, PsthreadsError, UnsafePath
from psthreads.domain.model import Level
from psthreads.processes.export import Selection, export
from tests.support.backends import bucket_at, in_both, object_store
from tests.support.full_disk import full_after
from tests.support.group_of_documents import GROUP, MEMBER, THREAD, Reports, server_of
from tools.object_store import ObjectServer

SECRET = b"outside the group's folder"


class Running:
    """A group's folder, and the process run in it."""

    def __init__(self, root: Path, server: ObjectServer | None = None) -> None:
        self.root = root
        self.documents: Storage = bucket_at(root, server) if server else Documents(root)
        self.folder = self.documents.group(GROUP)
        self.server = server
        self.inside = root / "groups" / "7"
        self.results = root / "results" / "7"
        self.reporter = Reports()
        self.folder.create()

    def context(self) -> Context:
        self.reporter = Reports()
        return Context(
            thread_id=THREAD,
            member=MEMBER,
            group=GROUP,
            folder=self.folder,
            results=self.documents.results(GROUP.id),
            scratch=self.documents.scratch,
            reporter=self.reporter,
        )

    def fill(self, count: int, folder: str = "documents", content: bytes = b"<a/>") -> None:
        for number in range(count):
            self.folder.write(f"{folder}/{number:05}.psml", content)

    def run(self, context: Context | None = None, **values: str) -> str:
        context = context or self.context()
        try:
            returned = export.function(context, **export.read(values))
        finally:
            context.clean_up()
            for report in context.close():
                self.reporter.report(report)
        assert isinstance(returned, str)
        return returned

    def check(self, **values: str) -> Answer | None:
        (check,) = export.checks
        return check(Start(MEMBER, GROUP, self.folder, self.documents.scratch, export.read(values)))

    @contextmanager
    def zip(self) -> Iterator[zipfile.ZipFile]:
        (filename,) = self.result_names()
        with self.documents.results(GROUP.id).open(filename) as file, zipfile.ZipFile(file) as archive:
            yield archive

    def result_names(self) -> list[str]:
        """The names of all results, incomplete ones too."""
        if self.server is not None:
            store = object_store(self.root, self.server.endpoint)
            return [each.key.rpartition("/")[2] for each in store.each(f"results/{GROUP.id}")]
        return [path.name for path in self.results.iterdir()] if self.results.exists() else []


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Running:
    (tmp_path / "secret.xml").write_bytes(SECRET)
    return Running(tmp_path / "root", server_of(request))


@in_both("run")
def test_a_thread_selects_packs_and_names_its_file(run: Running) -> None:
    run.fill(30)
    assert run.run() == "Exported 30 documents (120 bytes)"
    name = f"acme-export-{THREAD}.zip"
    assert run.reporter.xml == (
        f'<processing total="30" current="30"/><packaging total="30" current="30"/><zip>{name}</zip>'
    )
    assert run.reporter.lines(Level.INFO) == ["Selecting documents below /", "Packaging 30 documents"]
    with run.documents.results(GROUP.id).open(name) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"documents/{number:05}.psml" for number in range(30)]


def test_processing_is_told_before_packaging(run: Running) -> None:
    run.fill(3)
    context = run.context()
    seen: list[str] = []
    say = context.message

    def message(text: str) -> None:
        say(text)
        context.flush()
        seen.append(run.reporter.xml if any(report.xml for report in run.reporter.reports) else "")

    context.message = message  # type: ignore[method-assign]
    run.run(context)
    assert seen == ["", '<processing total="3" current="3"/>']


def test_names_content_and_times_are_kept(run: Running) -> None:
    content = os.urandom(700_000)
    for name in ("日本語/ä ö.psml", "b.png", "old.xml"):
        run.folder.write(name, content)
    moment = 1_652_667_241
    os.utime(run.inside / "b.png", (moment, moment))
    os.utime(run.inside / "old.xml", (0, 0))
    run.run()
    with run.zip() as archive:
        assert archive.namelist() == ["b.png", "old.xml", "日本語/ä ö.psml"]
        assert all(archive.read(name) == content for name in archive.namelist())
        picture, old, _ = archive.infolist()
        assert picture.compress_type == zipfile.ZIP_STORED
        assert int.from_bytes(picture.extra[5:9], "little") == moment
        assert old.date_time == (1980, 1, 1, 0, 0, 0)
        assert old.compress_type == zipfile.ZIP_DEFLATED


@pytest.mark.parametrize("count", [1, 20])
@in_both("run")
def test_up_to_twenty_documents_are_answered_at_once(run: Running, count: int) -> None:
    run.fill(count)
    answer = run.check()
    assert answer is not None
    assert answer.filename == "acme-export.zip"
    assert answer.mimetype == "application/zip"
    assert answer.path.parent == run.documents.scratch
    with zipfile.ZipFile(answer.path) as archive:
        assert len(archive.namelist()) == count
    assert run.result_names() == []


def test_more_documents_or_too_large_ones_need_a_thread(run: Running) -> None:
    run.fill(21)
    assert run.check() is None
    with (run.inside / "large.bin").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    assert run.check(path="large.bin") is None
    assert list(run.documents.scratch.iterdir()) == []


@in_both("run")
def test_patterns_decide_what_is_counted(run: Running) -> None:
    run.fill(30)
    run.fill(2, "pictures")
    answer = run.check(includes="pictures/**")
    assert answer is not None
    with zipfile.ZipFile(answer.path) as archive:
        assert archive.namelist() == ["pictures/00000.psml", "pictures/00001.psml"]


def test_an_answer_that_fails_leaves_nothing_in_scratch(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    run.fill(2)

    def gone(path: str, _most: int) -> None:
        raise DocumentNotFound(path)

    monkeypatch.setattr(run.folder, "read", gone)
    assert run.check() is None  # A thread says what it left out.
    assert list(run.documents.scratch.iterdir()) == []
    monkeypatch.undo()
    with full_after(100), pytest.raises(OSError, match="No space left"):
        run.check()
    assert list(run.documents.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"path": "../8"}, UnsafePath),
        ({"path": "link"}, UnsafePath),
        ({"path": "/etc/passwd"}, DocumentNotFound),
        ({"path": "%2e%2e/%2e%2e"}, DocumentNotFound),
        ({"includes": "*.nope"}, BadParameter),
        ({"excludes": "**"}, BadParameter),
        ({"path": "empty"}, BadParameter),
    ],
)
def test_what_cannot_be_exported_is_refused_before_and_in_the_thread(
    run: Running, values: dict[str, str], error: type[PsthreadsError]
) -> None:
    run.fill(3)
    (run.inside / "empty").mkdir()
    (run.inside / "link").symlink_to(run.root.parent)
    with pytest.raises(error) as refused:
        run.check(**values)
    assert str(run.root) not in refused.value.message
    with pytest.raises(error):
        run.run(None, **values)
    assert run.result_names() == []


@in_both("run")
def test_an_empty_group_is_refused(run: Running) -> None:
    with pytest.raises(BadParameter):
        run.check()


@pytest.mark.parametrize(
    ("includes", "excludes", "path", "taken"),
    [
        ("", "", "/a", True),
        ("*.psml", "", "/a.psml", True),
        ("*.psml", "", "/x/y/a.psml", True),
        ("*.psml", "", "/a.psmlx", False),
        ("*.psml", "", "/x.psml/a", False),
        ("/*.psml", "", "/x/a.psml", False),
        ("/*.psml", "", "/a.psml", True),
        ("documents/*.psml", "", "/documents/a.psml", True),
        ("documents/*.psml", "", "/documents/b/a.psml", False),
        ("documents/**", "", "/documents/b/a.psml", True),
        ("documents/", "", "/documents/b/a.psml", True),
        ("documents/**", "", "/other/documents/a", False),
        ("**/documents/**", "", "/other/documents/a", True),
        ("documents/**/a.psml", "", "/documents/a.psml", True),
        ("documents/**/c/*.psml", "", "/documents/a/b/c/d.psml", True),
        ("**/a/**/b/**/c", "", "/a/x/b/b/y/c", True),
        ("**/a/**/b/**/c", "", "/a/x/y/c", False),
        ("a?.[px]ml, *.svg", "", "/ab.xml", True),
        ("a?.[px]ml, *.svg", "", "/x/b.svg", True),
        ("*.PSML", "", "/a.psml", False),
        ("", "*.png", "/a.png", False),
        ("", "*.png", "/a.psml", True),
        ("*.psml", "drafts/**", "/drafts/a.psml", False),
        (" , ,", "", "/a", True),
        ("[", "", "/[", True),
    ],
)
def test_patterns_match_as_the_module_says(includes: str, excludes: str, path: str, taken: bool) -> None:  # noqa: FBT001
    assert Selection(includes, excludes).takes(path) is taken


def test_no_pattern_takes_long() -> None:
    selection = Selection("**/a/" * 800 + "b", "*a" * 2_000 + "b")
    assert not selection.takes("/a" * 2_000)
    assert not Selection("*a" * 2_000 + "b", "").takes("/" + "a" * 250)


def test_links_and_pipes_are_left_out_with_a_warning(run: Running) -> None:
    run.fill(3)
    (run.inside / "link.xml").symlink_to(run.root.parent / "secret.xml")
    (run.inside / "linked").symlink_to(run.root.parent)
    os.mkfifo(run.inside / "pipe.xml")
    assert run.run() == "Exported 3 documents (12 bytes)"
    assert len(run.reporter.lines(Level.WARN)) == 3
    with run.zip() as archive:
        assert SECRET not in [archive.read(name) for name in archive.namelist()]


def when_packaging(run: Running, act: Callable[[Context], object]) -> Context:
    context = run.context()
    say = context.message

    def message(text: str) -> None:
        say(text)
        if text.startswith("Packaging"):
            act(context)

    context.message = message  # type: ignore[method-assign]
    return context


def test_a_document_that_goes_or_becomes_a_link_meanwhile_is_a_warning(run: Running) -> None:
    run.fill(3)

    def swap(_: Context) -> None:
        (run.inside / "documents/00000.psml").unlink()
        (run.inside / "documents/00001.psml").unlink()
        (run.inside / "documents/00001.psml").symlink_to(run.root.parent / "secret.xml")

    assert run.run(when_packaging(run, swap)) == "Exported 1 document (4 bytes)"
    assert len(run.reporter.lines(Level.WARN)) == 2
    with run.zip() as archive:
        assert archive.namelist() == ["documents/00002.psml"]


@in_both("run")
def test_a_cancel_leaves_no_file(run: Running) -> None:
    run.fill(3)
    with pytest.raises(Cancelled):
        run.run(when_packaging(run, lambda context: context.interrupt(Cancelled())))
    assert run.result_names() == []

    def later(context: Context) -> None:
        check, left = context.check, iter(range(2))

        def cancel_at_third() -> None:
            if next(left, None) is None:
                context.interrupt(Cancelled())
            check()

        context.check = cancel_at_third  # type: ignore[method-assign]

    with pytest.raises(Cancelled):
        run.run(when_packaging(run, later))
    assert run.result_names() == []


@in_both("run")
def test_nothing_is_left_in_scratch_and_a_result_has_its_threads_id(run: Running) -> None:
    run.fill(3)
    run.run()
    assert list(run.documents.scratch.iterdir()) == []
    assert [owner(name) for name in run.result_names()] == [THREAD]


@in_both("run")
def test_a_document_that_grew_since_it_was_found_is_exported_whole(run: Running) -> None:
    run.fill(2)
    large = os.urandom(400_000)

    def grow(_: Context) -> None:
        run.folder.write("documents/00000.psml", b"<grown/>")
        run.folder.write("documents/00001.psml", large)

    run.run(when_packaging(run, grow))
    with run.zip() as archive:
        assert archive.read("documents/00000.psml") == b"<grown/>"
        assert archive.read("documents/00001.psml") == large


@in_both("run")
def test_a_full_disk_fails_and_leaves_nothing(run: Running) -> None:
    run.fill(30, content=os.urandom(10_000))
    with pytest.raises(OSError, match="No space left"), full_after(150_000):
        run.run()
    assert run.result_names() == []
    assert list(run.documents.scratch.iterdir()) == []


def test_a_groups_name_is_made_fit_for_a_files_name(tmp_path: Path) -> None:
    run = Running(tmp_path / "root")
    run.folder.group = Group(7, "../é x/" * 50)
    run.fill(1)
    run.run()
    (name,) = run.result_names()
    assert name.endswith(f"-export-{THREAD}.zip")
    assert len(name) < 150
