"""Opens the documents' storage: the one module that knows which backend is in use."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.documents import SCRATCH, Documents
from psthreads.documents.folders.group_folder import GroupFolder
from psthreads.documents.folders.records import FolderRecords
from psthreads.documents.group_documents import Document
from psthreads.documents.marker import Marker
from psthreads.documents.objects.apart import MarkerApart
from psthreads.documents.objects.buckets import Bucket
from psthreads.documents.objects.client import ObjectStore, require_client
from psthreads.documents.objects.records import ObjectRecords
from psthreads.documents.result_files import ResultFile
from psthreads.documents.storage import Storage
from psthreads.domain.config import Config

__all__ = [
    "Document",
    "Documents",
    "GroupFolder",
    "ResultFile",
    "check_storage",
    "connections",
    "open_marker",
    "open_storage",
    "scratch_of",
]


def open_storage(config: Config, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE) -> Storage:
    """Return the storage of these settings; see `Documents` for the other parameters."""
    if config.store_url:
        return Bucket(_object_store(config.store_url, config.endpoint), config.scratch, guard, fence)
    return Documents(config.documents, guard, fence)


def open_marker(config: Config, *, forks: bool = False) -> Marker:
    """Return what the storage of these settings knows of the installation.

    `forks` is for a process that forks others which use the storage, as it does not itself.
    """
    if not config.store_url:
        return Marker(FolderRecords(config.documents))
    if forks:
        return MarkerApart(config.store_url, config.endpoint)
    return Marker(ObjectRecords(_object_store(config.store_url, config.endpoint)))


def scratch_of(config: Config) -> Path:
    """Return the folder for temporary files with these settings, which need not exist."""
    return config.scratch if config.store_url else config.documents / SCRATCH


def check_storage(config: Config) -> None:
    """Raise ConfigError where these settings need a client that is not installed."""
    if config.store_url:
        require_client()


def connections(config: Config) -> set[int]:
    """Return the descriptors by which this process reaches the storage, and begin to where it does not yet."""
    return _object_store(config.store_url, config.endpoint).descriptors() if config.store_url else set()


@lru_cache(maxsize=8)
def _object_store(url: str, endpoint: str) -> ObjectStore:
    """Return the process's client of a store: its connections are shared."""
    return ObjectStore(url, endpoint)
