"""Loading zones as objects: each member's uploads for a group, below one prefix."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.late import LARGEST
from psthreads.documents.objects.names import FOLDER, objection
from psthreads.documents.objects.tree import ObjectTree
from psthreads.documents.paths import TEMPORARY, printable
from psthreads.documents.side_by_side import WINDOW, InOrder
from psthreads.documents.storage import Document, GroupDocuments, Moves, OnSkip, StagedFiles
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, NotFound, TooLarge, UnsafePath

_UPLOAD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ABANDONED: Final = 24 * 3600 * 1000  # milliseconds; no upload takes so long
_BATCH: Final = 1_000


class ObjectArrival:
    """A file on its way into the store in parts, under its own key, or under a hidden one where it has to wait."""

    def __init__(self, store: ObjectStore, key: str, most: int) -> None:
        self.size = 0
        self._store = store
        self._key = key
        self._most = most
        self._writer = store.writer(key)
        self._waits = False

    def write(self, data: bytes) -> None:
        """Do as Arrival."""
        self.size += len(data)
        if self.size > self._most:
            raise TooLarge(self._most)
        self._writer.write(data)

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


class ObjectZone:
    """One member's files for one group; see `MemberZone`."""

    def __init__(self, tree: ObjectTree, upload_id: str = "") -> None:
        self._tree = tree
        self._store = tree.store
        self.upload_id = upload_id

    def of_upload(self, upload_id: str) -> ObjectZone:
        """Do as MemberZone."""
        if not upload_id:
            return self
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise BadParameter("uploadid", "An uploadid has 1 to 64 letters, digits and . _ -: choose another one.")
        return ObjectZone(self._tree.beside(f"~{upload_id}"), upload_id)

    def walk(self, on_skip: OnSkip, after: str = "") -> Iterator[Document]:
        """Do as MemberZone."""
        return self._tree.walk("", on_skip, after)

    def count(self) -> int:
        """Do as MemberZone."""
        return self._tree.count()

    def resolve(self, path: str) -> str:
        """Do as MemberZone."""
        return self._stored(path).key[len(self._tree.root) :]

    def open(self, path: str) -> BinaryIO:
        """Do as MemberZone."""
        with _in_zone(path):
            return self._tree.open(path)

    def read(self, path: str, most: int) -> bytes:
        """Do as MemberZone."""
        with _in_zone(path):
            return self._tree.read(path, most)

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Do as MemberZone."""
        return self._tree.read_each(documents, most)

    def kind(self, path: str) -> str:
        """Do as MemberZone."""
        return self._tree.kind(path)

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Do as MemberZone."""
        return self._tree.kind_each(paths)

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
        if not path or path.startswith("/") or path.endswith("/"):
            reason = "it must be the path of a file in the loading zone, such as docs/a.xml"
            raise UnsafePath(printable(path), reason, "filename")
        if self.kind(path) == "folder":
            raise Conflict(f"'{printable(path)}' is a folder in the loading zone: choose another filename.")
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
        with _in_zone(path):
            _tree_of(documents).transfer(self._tree, path, to, overwrite=overwrite)

    def move_out_each(self, moves: Iterable[tuple[str, str]], documents: GroupDocuments, *, overwrite: bool) -> Moves:
        """Do as MemberZone, side by side."""
        return InOrder(lambda each: self.move_out(each[0], documents, each[1], overwrite=overwrite), moves, WINDOW)

    def copy_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as `move_out`."""
        self.move_out(path, documents, to, overwrite=overwrite)

    def is_copy(self, path: str, documents: GroupDocuments, to: str) -> bool:
        """Do as MemberZone."""
        tree = _tree_of(documents)
        with suppress(NotFound):
            return tree.is_same(self._stored(path), tree.stored(to))
        return False

    def sync(self) -> None:
        """Do as MemberZone."""
        self._tree.sync()

    def remove(self, path: str) -> bool:
        """Do as MemberZone."""
        try:
            stored = self._stored(path)
        except NotFound:
            return False
        self._store.delete([stored.key])
        return True

    def clear(self) -> int:
        """Do as MemberZone."""
        return self.clear_measured()[0]

    def clear_measured(self) -> tuple[int, int]:
        """Do as MemberZone."""
        removed = size = 0
        recent = time.time() * 1000 - _ABANDONED
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
        with _in_zone(path):
            return self._tree.stored(path)


def _tree_of(documents: GroupDocuments) -> ObjectTree:
    if not isinstance(documents, ObjectTree):
        raise TypeError("A zone in an object store moves its files to documents in one")
    return documents


@contextmanager
def _in_zone(path: str) -> Iterator[None]:
    """Turn DocumentNotFound into a NotFound that names the loading zone."""
    try:
        yield
    except DocumentNotFound:
        raise NotFound(f"There is no file '{printable(path)}' in the loading zone: upload it first.") from None
