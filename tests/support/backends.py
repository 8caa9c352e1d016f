"""Both backends of documents, in which the same tests run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from chaos.failing_store import FailingStore
from psthreads.documents.layout import Documents
from psthreads.documents.objects.buckets import Bucket
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.storage import Storage
from tools.object_store import ObjectServer


def in_both(*fixtures: str) -> pytest.MarkDecorator:
    """Run a test once with a folder, and once with an object store."""
    return pytest.mark.parametrize(fixtures[0] if len(fixtures) == 1 else fixtures, ["folder", "store"], indirect=True)


def storage_at(root: Path, request: pytest.FixtureRequest) -> Storage:
    """Return the storage that the fixture's parameter names: a folder, unless it is an object store."""
    if getattr(request, "param", "folder") == "folder":
        return Documents(root)
    return bucket_at(root, request.getfixturevalue("object_server"))


def bucket_at(root: Path, server: ObjectServer | FailingStore) -> Bucket:
    """Return the storage in an object store that has a prefix for each path."""
    return Bucket(object_store(root, server.endpoint), root.parent / "scratch")


@lru_cache(maxsize=16)
def object_store(root: Path, endpoint: str) -> ObjectStore:
    """Return the store whose prefix is made of a path, so that each test has its own."""
    return ObjectStore(f"s3://psthreads/{'-'.join(root.parts[1:])}", endpoint)
