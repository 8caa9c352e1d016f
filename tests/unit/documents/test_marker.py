"""Claims about what a storage knows of its installation, in a folder and in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from psthreads.documents.layout import Documents
from psthreads.documents.marker import Marker
from psthreads.documents.records import Records
from tests.support.backends import in_both, storage_at


@pytest.fixture
def records(root: Path, request: pytest.FixtureRequest) -> Records:
    return storage_at(root, request).records


@in_both("records")
def test_two_that_mark_a_new_storage_at_once_agree_on_one_id(records: Records) -> None:
    first, second = Marker(records), Marker(records)
    assert (first.read(), first.has_files(), first.highest("group")) == (None, False, 0)
    first.create()
    second.create()
    record = second.read()
    assert record is not None
    assert first.read() == record
    assert not record.is_confirmed
    assert second.is_of(record.id)
    first.replace("ab" * 16)
    assert Marker(records).is_of("ab" * 16)
    assert not Marker(records).is_of(record.id)


@in_both("records")
def test_the_highest_of_each_kind_of_id_is_noted_beside_the_ticks(records: Records) -> None:
    marker, other = Marker(records), Marker(records)
    marker.create()
    for number in (3, 11, 7):
        marker.note_id("group", number)
    assert set(records.names(".psthreads/ids")) <= {"group-11", "group-7"}
    marker.note_ticks(70, 5)
    record = other.read()
    assert record is not None
    assert (other.highest("group"), other.highest("member"), record.ticks, record.claims) == (11, 0, 70, 5)


@in_both("records")
def test_a_record_that_is_created_replaces_none(records: Records) -> None:
    records.prepare()
    records.write(".psthreads/a", "first", create=True)
    with pytest.raises(FileExistsError):
        records.write(".psthreads/a", "second", create=True)
    assert records.read(".psthreads/a") == b"first"
    records.write(".psthreads/a", "third")
    assert (records.read(".psthreads/a"), list(records.names(".psthreads"))) == (b"third", ["a"])
    records.remove([".psthreads/a", ".psthreads/b"])
    with pytest.raises(FileNotFoundError):
        records.read(".psthreads/a")


def test_nothing_is_noted_on_a_disk_that_is_not_mounted(root: Path) -> None:
    root.mkdir()
    marker = Marker(Documents(root).records)
    with pytest.raises(FileNotFoundError):
        marker.note_ticks(7)
    with pytest.raises(FileNotFoundError):
        marker.note_id("group", 7)
    assert not list(root.iterdir())
