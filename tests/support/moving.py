"""A group in which documents are moved, for the tests of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from psthreads.domain.errors import PsthreadsError
from psthreads.processes.move import move
from tests.support.group_of_documents import GroupOfDocuments, server_of


@pytest.fixture
def group(tmp_path: Path, request: pytest.FixtureRequest) -> GroupOfDocuments:
    return GroupOfDocuments(tmp_path / "root", move, server_of(request))


def fill(group: GroupOfDocuments, count: int, folder: str = "documents", each: int = 50) -> None:
    group.write(
        {f"{folder}/{number // each:03}/{number:05}.psml": f"<document id='{number}'/>" for number in range(count)}
    )


def refused(group: GroupOfDocuments, kind: type[PsthreadsError], path: str, destination: str, merge: str = "") -> str:
    """Why the start is refused; nothing may have changed."""
    before = group.contents()
    with pytest.raises(kind) as caught:
        group.check(path=path, destination=destination, merge=merge or "false")
    assert group.contents() == before
    return caught.value.message
