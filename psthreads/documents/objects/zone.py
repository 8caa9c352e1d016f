"""Loading zones as objects: each member's uploads for a group, below one prefix."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from psthreads.documents.group_documents import Document, GroupDocuments, OnSkip
from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.group_objects import GroupObjects
from psthreads.documents.objects.late import LARGEST
from psthreads.documents.objects.names import FOLDER, objection
from psthreads.documents.paths import TEMPORARY
from psthreads.documents.side_by_side import WINDOW
from psthreads.documents.zones import ABANDONED, Arrival, MemberZone, StagedFiles, in_zone
from psthreads.domain.errors import NotFound


class ObjectArrival(Arrival):
    """A file on its way into the store in parts, under its own key, or under a hidden one where it has to wait."""

    def __init__(self, store: ObjectStore, key: str, most: int) -> None:
        self._writer = store.writer(key)
        super().__init__(self._writer.write, most)
        self._store = store
        self._key = key
        self._waits = False

    def complete(self) -> None:
        """Store the file under a hidden key."""
        self._writer.close()
        self._waits = True

    def settle(self, sync: Callable[[int], None] = os.fsync) -> None:
        """Do nothing: what is complete is stored."""

    def finish(self, key: str) -> None:
        """Have the file appear under this key."""
        if not self._waits:
            self._writer.close()
        if self._key != key:
            self._store.copy(self._key, key)
            self.discard()

    def discard(self) -> None:
        """Remove a file that waits. Of one that is not complete, the store keeps parts, which nobody sees."""
        if self._waits:
            self._store.delete([self._key])
            self._waits = False


class ObjectZone(MemberZone):
    """One member's files for one group as objects below a prefix."""

    _tree: GroupObjects
    WIDTH = WINDOW

    @property
    def _store(self) -> ObjectStore:
        return self._tree.store

    def walk(self, on_skip: OnSkip, after: str = "") -> Iterator[Document]:
        """Do as MemberZone."""
        return self._tree.walk("", on_skip, after)

    def resolve(self, path: str) -> str:
        """Do as MemberZone."""
        return self._stored(path).key[len(self._tree.root) :]

    @contextmanager
    def write(
        self,
        path: str,
        most: int,
        sync: Callable[[int], None] = os.fsync,  # noqa: ARG002 (as MemberZone has it)
        *,
        waits: bool = False,
    ) -> Iterator[ObjectArrival]:
        """Do as MemberZone. `sync` is not used."""
        self._check_new(path)
        key = self._tree.place(path)
        hidden = f"{self._tree.root}/{TEMPORARY}{secrets.token_hex(8)}"
        arrival = ObjectArrival(self._store, hidden if waits else key, most)
        try:
            yield arrival
            self._tree.fence.require_lease()
            arrival.finish(key)
        finally:
            arrival.discard()

    def take(self, staged: StagedFiles, path: str, to: str) -> bool:
        """Do as MemberZone: files alone."""
        local = staged.local_path(path)
        if local.is_dir():
            return False
        if local.stat().st_size <= LARGEST:
            self._tree.write(to, local.read_bytes())
            return True
        key = self._tree.place(to)
        with local.open("rb") as file:
            self._store.upload(key, file)
        return True

    def move_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as MemberZone."""
        with in_zone(path):
            _tree_of(documents).transfer(self._tree, path, to, overwrite=overwrite)

    def copy_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as `move_out`."""
        self.move_out(path, documents, to, overwrite=overwrite)

    def is_copy(self, path: str, documents: GroupDocuments, to: str) -> bool:
        """Do as MemberZone."""
        tree = _tree_of(documents)
        with suppress(NotFound):
            return tree.is_same(self._stored(path), tree.stored(to))
        return False

    def remove(self, path: str) -> bool:
        """Do as MemberZone."""
        try:
            stored = self._stored(path)
        except NotFound:
            return False
        self._store.delete([stored.key])
        return True

    def clear_measured(self) -> tuple[int, int]:
        """Do as MemberZone."""
        removed = size = 0
        recent = (time.time() - ABANDONED) * 1000
        for page in self._store.pages(self._tree.root):
            due = [each for each in page if not self._is_hidden(each) or each.modified < recent]
            self._store.delete([each.key for each in due])
            visible = [each for each in due if not self._is_hidden(each)]
            removed, size = removed + len(visible), size + sum(each.size for each in visible)
        self.remove_empty_folders()
        return removed, size

    def remove_empty_folders(self) -> None:
        """Remove the objects that stand for folders: a zone needs none."""
        for page in self._store.pages(self._tree.root):
            self._store.delete([each.key for each in page if each.key.endswith(f"/{FOLDER}")])

    def _is_hidden(self, stored: StoredObject) -> bool:
        return objection(stored.key[len(self._tree.root) :]) == " "

    def _stored(self, path: str) -> StoredObject:
        with in_zone(path):
            return self._tree.stored(path)


def _tree_of(documents: GroupDocuments) -> GroupObjects:
    if not isinstance(documents, GroupObjects):
        raise TypeError("A zone in an object store moves its files to documents in one")
    return documents
