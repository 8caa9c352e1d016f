"""A race between a look and an opening: a folder becomes a link to elsewhere and back while others open below it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from psthreads.documents.layout import Documents, GroupFolder
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, NotFound, UnsafePath

INSIDE, OUTSIDE = b"<inside/>", b"<outside-of-the-group/>"
TURNS = 3_000


@pytest.fixture
def place(tmp_path: Path) -> tuple[GroupFolder, Path, Path]:
    """A group's folder, its path, and a folder outside of it in which the same name stands."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.xml").write_bytes(OUTSIDE)
    folder = Documents(tmp_path / "documents").group(Group(1, "acme"))
    folder.write("/documents/swapped/a.xml", INSIDE)
    return folder, tmp_path / "documents" / "groups" / "1" / "documents", outside


@contextmanager
def swapping(parent: Path, outside: Path) -> Iterator[Callable[[], int]]:
    """Swap the folder for a link and back as fast as that goes; gives how often it was done."""
    folder, aside, link = parent / "swapped", parent / "aside", parent / "link"
    stop, swaps = threading.Event(), 0

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            try:
                link.symlink_to(outside)
                folder.rename(aside)
                link.rename(folder)
                folder.unlink()
                aside.rename(folder)
                swaps += 1
            except OSError:
                restore()  # A writer has made the folder anew while it was away.

    def restore() -> None:
        link.unlink(missing_ok=True)
        if folder.is_symlink():
            folder.unlink()
        while aside.exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                aside.rename(folder)

    racer = threading.Thread(target=swap)
    racer.start()
    try:
        yield lambda: swaps
    finally:
        stop.set()
        racer.join()


def test_a_folder_that_becomes_a_link_between_look_and_opening_never_leads_outside(
    place: tuple[GroupFolder, Path, Path],
) -> None:
    folder, parent, outside = place
    read = refused = 0
    with swapping(parent, outside) as swaps:
        while read + refused < TURNS or not (read and refused and swaps() > 100):
            try:
                path = folder.resolve("/documents/swapped/a.xml")
                with folder.open(path) as file:
                    assert file.read() == INSIDE
                read += 1
            except (NotFound, UnsafePath):
                refused += 1
    assert read
    assert refused, "the race was never met"


def test_a_walk_never_gives_what_is_outside(place: tuple[GroupFolder, Path, Path]) -> None:
    folder, parent, outside = place
    (outside / "only-outside.xml").write_bytes(OUTSIDE)
    walks = 0
    with swapping(parent, outside) as swaps:
        while walks < TURNS // 3 or swaps() < 100:
            for document in folder.walk("/", lambda _path, _reason: None):
                assert document.path != "/documents/swapped/only-outside.xml"
                try:
                    assert folder.read(document.path, 1_000) == INSIDE
                except (NotFound, UnsafePath):
                    continue
            walks += 1


def test_a_write_never_lands_outside(place: tuple[GroupFolder, Path, Path]) -> None:
    folder, parent, outside = place
    written = refused = 0
    with swapping(parent, outside) as swaps:
        while written + refused < 100 or not written or swaps() < 20:
            try:
                folder.write("/documents/swapped/new.xml", INSIDE)
                written += 1
            except (NotFound, UnsafePath, Conflict, OSError):
                refused += 1
    assert sorted(path.name for path in outside.iterdir()) == ["a.xml"]
    assert (outside / "a.xml").read_bytes() == OUTSIDE
    assert written
