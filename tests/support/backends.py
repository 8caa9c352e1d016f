"""Both backends of documents, in which the same tests run."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from chaos.failing_store import FailingStore
from psthreads.documents.layout import Documents
from psthreads.documents.objects.buckets import Bucket
from psthreads.documents.objects.client import ObjectStore
from psthreads.documents.storage import Storage
from psthreads.domain.config import Config
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


class StoredFiles:
    """Write, find and remove files in the storage of these settings, past the service: in its folder or bucket."""

    def __init__(self, config: Config) -> None:
        self._root = config.documents
        self._store = ObjectStore(config.store_url, config.endpoint) if config.store_url else None

    def put(self, path: str, age: float = 0, content: bytes = b"content") -> str:
        """Write a file that looks that many seconds old, or an object, which is new; returns the path."""
        if self._store is not None:
            self._store.put(path, content)
            return path
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        moment = time.time() - age
        os.utime(file, (moment, moment))
        return path

    def has(self, path: str) -> bool:
        return (self._root / path).is_file() if self._store is None else self._store.find(path) is not None

    def is_empty(self) -> bool:
        return not self._root.exists() if self._store is None else not self._store.has_any("")

    def copy_to(self, config: Config) -> None:
        if self._store is None:
            shutil.copytree(self._root, config.documents)
            return
        for each in self._store.each(""):
            StoredFiles(config).put(each.key, content=self._store.get(each.key, each.size)[1] or b"")

    def clear(self) -> None:
        if self._store is None:
            shutil.rmtree(self._root)
        else:
            self._store.delete([each.key for each in self._store.each("")])


def elsewhere(config: Config, name: str = "elsewhere") -> Config:
    """Return the same settings with another folder, or another prefix, which nobody has used."""
    return replace(config, documents=config.documents.with_name(f"{config.documents.name}-{name}"))
