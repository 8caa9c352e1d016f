"""A group's documents as objects below one prefix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

from psthreads.documents.fence import Fence
from psthreads.documents.group_documents import Moves
from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.late import LARGEST, LateWrites, WaitingStore
from psthreads.documents.objects.names import FOLDER, check_key
from psthreads.documents.objects.tree import ObjectTree
from psthreads.documents.paths import names_of, new_names_of, normal_of
from psthreads.documents.side_by_side import WINDOW, InOrder, side_by_side
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, DocumentNotFound

_SMALL: Final = 8 * 1024 * 1024  # bytes up to which a move sends the content, so that the store sees to "never replace"
_one_large: Final = threading.Lock()  # held by a move that has more in memory than the window's others
_CHUNK: Final = 8 * 1024 * 1024
_NOT_A_DOCUMENT: Final = "The group's folder is not a document: give the path of a document."


class GroupObjects(ObjectTree):
    """The documents of a group, or the files of a zone; see `GroupDocuments`."""

    def __init__(
        self,
        store: ObjectStore,
        group: Group,
        root: str,
        fence: Fence,
        guard: Callable[[], None] = lambda: None,
        late: LateWrites | None = None,
    ) -> None:
        super().__init__(store if late is None else WaitingStore(store, late), root)
        self.group = group
        self.fence = fence
        self.guard = guard
        self._late = late
        if late is not None:
            self._prompt = GroupObjects(store, group, root, fence, guard)
        # What is no document: looked up once, since most files come with others of the same folder.
        self._folders: set[str] = set()

    def kind(self, path: str) -> str:
        """Do as GroupDocuments."""
        names = new_names_of(path)
        if not names:
            return "folder"
        self._require_folders(names)
        try:
            return "folder" if self.is_folder(path) else "document"
        except DocumentNotFound:
            return ""

    def create(self) -> None:
        """Do nothing: a group's folder needs no object."""
        self.guard()

    def write(self, path: str, content: bytes) -> None:
        """Do as GroupDocuments. A small document is written behind, where the tree does that."""
        self._check_new(path)
        if self._late is not None and len(content) <= LARGEST:
            return self._late.add(self.key(path), len(content), partial(self._prompt.write, path, bytes(content)))
        key = self.place(path)
        self.fence.require_lease()
        return self.store.put(key, content)

    def place(self, path: str) -> str:
        """Return the key of a document with this path, new or not. Raises Conflict and UnsafePath."""
        names = self._check_new(path)
        self._require_folders(names)
        if self._has_folder(self.placed(path)):
            raise Conflict(f"'{path}' is a folder: choose another path.")
        return self.key(self.placed(path))

    def _check_new(self, path: str) -> list[str]:
        names = new_names_of(path)
        if not names:
            raise Conflict(_NOT_A_DOCUMENT)
        check_key(path, names)
        self.fence.require_lease()
        self.guard()
        return names

    def make_folder(self, path: str) -> bool:
        """Do as GroupDocuments."""
        names, normal = normal_of(path)
        if not names:
            return False
        check_key(path, names)
        self.fence.require_lease()
        self.guard()
        if len(names) > 1 and not self.is_folder("/".join(names[:-1])):
            raise Conflict(f"'{path}' cannot be in a document: choose another path for the folder.")
        try:
            if self.is_folder(normal):
                return False
        except DocumentNotFound:
            with suppress(FileExistsError):
                self.store.put(f"{self.key(self.placed(normal))}/{FOLDER}", b"", create=True)
            return True
        raise Conflict(f"'{path}' is a document: choose another path for the folder.")

    def remove_folder(self, path: str) -> bool:
        """Do as GroupDocuments."""
        names, normal = normal_of(path)
        if not names:
            return False
        key = self.key(self.placed(normal))
        if any(each.key != f"{key}/{FOLDER}" for each in islice(self.store.each(key), 2)):
            return False
        self.fence.require_lease()
        self.store.delete([f"{key}/{FOLDER}"])
        return True

    def move(self, path: str, to: str) -> None:
        """Do as GroupDocuments: copy, then delete."""
        if not names_of(path):
            raise DocumentNotFound("/")
        self.transfer(self, path, to, overwrite=False)

    def move_each(self, moves: Iterable[tuple[str, str]]) -> Moves:
        """Do as GroupDocuments, side by side."""
        return InOrder(lambda each: self.move(*each), moves, WINDOW)

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Do as GroupDocuments, side by side."""
        return side_by_side(self.kind, paths)

    def is_copy(self, path: str, to: str) -> bool:
        """Do as GroupDocuments."""
        with suppress(DocumentNotFound):
            return self.is_same(self.stored(path), self.stored(to))
        return False

    def transfer(self, origin: GroupObjects, path: str, to: str, *, overwrite: bool) -> None:
        """Give a document of another tree, or of this one, another key here, and remove the old one.

        Raises Conflict for a folder at the new path, and, without `overwrite`, for another document.
        """
        key = self.place(to)
        source, data = (origin.stored(path), None) if overwrite else origin.content(path)
        conflict = Conflict(f"There is something at '{to}' already.")
        if key == source.key:
            raise conflict
        self.fence.require_lease()
        is_taken = False
        try:
            if data is not None:
                self.store.put(key, data, create=True)
            elif overwrite or self.store.find(key) is None:
                self.store.copy(source.key, key)
            else:
                is_taken = True
        except FileNotFoundError:
            raise DocumentNotFound(path) from None
        except FileExistsError:
            is_taken = True
        if is_taken and ((existing := self.store.find(key)) is None or not self.is_same(source, existing)):
            raise conflict
        self.fence.require_lease()
        # What has replaced the source meanwhile stays: it was not copied.
        self.store.delete_version(source)

    def content(self, path: str) -> tuple[StoredObject, bytes | None]:
        """Return a document with its bytes, or None for one that is large. Raises DocumentNotFound."""
        if path.isascii():
            try:
                stored, data = self.store.get(self.key(path), LARGEST)
            except FileNotFoundError:
                raise DocumentNotFound(self.normal(path)) from None
        else:
            stored, data = self.stored(path), None
        if data is None and stored.size <= _SMALL:
            with _one_large:
                data = self.store.get_range(stored.key, 0, stored.size, stored.etag)
        return stored, data

    def sync(self) -> None:
        """Do as GroupDocuments: what the store has acknowledged is stored."""
        if self._late is not None:
            self._late.settle()

    def beside(self, mark: str) -> GroupObjects:
        """Return a tree of the same group next to this one, whose root ends with a mark."""
        store = self.store if self._late is None else self._prompt.store
        return GroupObjects(store, self.group, f"{self.root}~{mark}", self.fence, self.guard, self._late)

    def is_same(self, one: StoredObject, other: StoredObject) -> bool:
        """Tell whether two objects have the same content."""
        if one.size != other.size or one.key == other.key:
            return False
        if one.etag == other.etag:
            return True
        return all(
            self.store.get_range(one.key, start, min(start + _CHUNK, one.size), one.etag)
            == self.store.get_range(other.key, start, min(start + _CHUNK, one.size), other.etag)
            for start in range(0, one.size, _CHUNK)
        )

    def _require_folders(self, names: list[str]) -> None:
        """Raise Conflict where a folder above a path is a document."""
        for count in range(1, len(names)):
            above = "/" + "/".join(names[:count])
            if above in self._folders:
                continue
            if self._find(above) is None:
                self._folders.add(above)
            else:
                path = "/" + "/".join(names)
                raise Conflict(f"'{above}' is not a folder, so '{path}' cannot be in it: choose another path.")
