"""A group's documents as objects below one prefix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import BinaryIO, Final

from psthreads.documents.fence import Fence
from psthreads.documents.group_documents import Document, Moves, OnSkip, ignore_skip
from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.late import LARGEST, LateWrites, WaitingStore
from psthreads.documents.objects.names import FOLDER, check_key, key_of, normal_of, objection
from psthreads.documents.objects.reading import open_object
from psthreads.documents.paths import composed, forms_of, names_of, new_names_of, printable
from psthreads.documents.side_by_side import WINDOW, InOrder, side_by_side
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, DocumentNotFound

_SMALL: Final = 8 * 1024 * 1024  # bytes up to which a move sends the content, so that the store sees to "never replace"
_one_large: Final = threading.Lock()  # held by a move that has more in memory than the window's others
_CHUNK: Final = 8 * 1024 * 1024
_NOT_A_DOCUMENT: Final = "The group's folder is not a document: give the path of a document."


class ObjectTree:
    """The documents of a group, all with keys below `root`; see `GroupDocuments`."""

    def __init__(
        self,
        store: ObjectStore,
        group: Group,
        root: str,
        fence: Fence,
        guard: Callable[[], None] = lambda: None,
        late: LateWrites | None = None,
    ) -> None:
        self.group = group
        self.store = store
        self.root = root
        self.fence = fence
        self.guard = guard
        self._late = late
        if late is not None:
            self._prompt = ObjectTree(store, group, root, fence, guard)
            self.store = WaitingStore(store, late)
        # What is no document: looked up once, since most files come with others of the same folder.
        self._folders: set[str] = set()

    # Finding.

    def normal(self, path: str) -> str:
        """Do as ReadableTree."""
        return normal_of(path)[1]

    def resolve(self, path: str) -> str:
        """Do as ReadableTree."""
        names, normal = normal_of(path)
        if not names:
            return "/"
        stored = self._stored_form(normal)
        if stored is None:
            raise DocumentNotFound(normal)
        return stored

    def placed(self, path: str) -> str:
        """Do as ReadableTree."""
        _, normal = normal_of(path)
        return normal if normal.isascii() else self._stored_form(normal) or composed(normal)

    def is_folder(self, path: str) -> bool:
        """Do as ReadableTree."""
        names, normal = normal_of(path)
        if not names:
            return True
        for form in forms_of(normal):
            if self._find(form) is not None:
                return False
            if self._has_folder(form):
                return True
        raise DocumentNotFound(normal)

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

    def entries(self, path: str, on_skip: OnSkip = ignore_skip, most: int | None = None) -> list[tuple[str, bool]]:
        """Do as ReadableTree."""
        names, normal = normal_of(path)
        folders, stored = self.store.level(key_of(self.root, names))
        if names and not folders and not stored:
            raise DocumentNotFound(normal)
        base = normal.rstrip("/")
        documents = [each.key.rpartition("/")[2] for each in stored]
        entries = [*((name, True) for name in folders), *((name, False) for name in documents)]
        kept: dict[str, bool] = {}
        for name, is_folder in entries[:most]:
            if reason := objection(f"{base}/{name}"):
                if reason.strip():
                    on_skip(printable(f"{base}/{name}"), reason)
                continue
            if name in kept:
                on_skip(f"{base}/{name}", "it is a document and a folder at once")
            kept.setdefault(name, is_folder)
        return sorted(kept.items(), reverse=True)

    def count(self, path: str = "", where: Callable[[str], bool] | None = None) -> int:
        """Do as ReadableTree."""
        return sum(1 for document in self.walk(path) if where is None or where(document.path.rpartition("/")[2]))

    # Reading.

    def walk(self, path: str = "", on_skip: OnSkip = ignore_skip, after: str = "") -> Iterator[Document]:
        """Do as ReadableTree: in the order of the paths' bytes."""
        names, normal = normal_of(path)
        if names:
            resolved = self.resolve(normal)
            names = names_of(resolved)
            if (document := self._find(resolved)) is not None:
                yield self._document(document)
                return
        last = key_of(self.root, names_of(after)) if after else ""
        for stored in self.store.each(key_of(self.root, names), last):
            full = stored.key[len(self.root) :]
            if reason := objection(full):
                if reason.strip():
                    on_skip(printable(full), reason)
                continue
            yield self._document(stored)

    def contents(
        self, path: str, most: int, where: Callable[[str], bool], on_skip: OnSkip = ignore_skip
    ) -> Iterator[tuple[Document, bytes | None]]:
        """Do as ReadableTree."""
        documents = (document for document in self.walk(path, on_skip) if where(document.path.rpartition("/")[2]))
        for document, data in self.read_each(documents, most):
            if isinstance(data, Exception):
                on_skip(document.path, "it is gone, or can no longer be read")
            else:
                yield document, data

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Do as ReadableTree, with a window of requests ahead."""

        def read(document: Document) -> bytes | None:
            if document.size > most:
                return None
            try:
                return self.store.get(self.key(document.path), most)[1]
            except FileNotFoundError:
                raise DocumentNotFound(document.path) from None

        return side_by_side(read, documents, lambda document: min(document.size, most))

    def open(self, path: str) -> BinaryIO:
        """Do as ReadableTree."""
        return open_object(self.store, self.stored(path))

    def read(self, path: str, most: int) -> bytes:
        """Do as ReadableTree."""
        if path.isascii():
            try:
                stored, data = self.store.get(self.key(path), most)
            except FileNotFoundError:
                raise DocumentNotFound(self.normal(path)) from None
            return self.store.get_range(stored.key, 0, most, stored.etag) if data is None else data
        stored = self.stored(path)
        return self.store.get_range(stored.key, 0, min(most, stored.size), stored.etag)

    def stored(self, path: str) -> StoredObject:
        """Return the object of a document. Raises DocumentNotFound, also for a folder."""
        names, normal = normal_of(path)
        if names:
            for form in forms_of(normal):
                if (found := self._find(form)) is not None:
                    return found
        raise DocumentNotFound(normal)

    # Changing.

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

    def transfer(self, origin: ObjectTree, path: str, to: str, *, overwrite: bool) -> None:
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
            elif overwrite or self._found(key) is None:
                self.store.copy(source.key, key)
            else:
                is_taken = True
        except FileNotFoundError:
            raise DocumentNotFound(path) from None
        except FileExistsError:
            is_taken = True
        if is_taken and ((existing := self._found(key)) is None or not self.is_same(source, existing)):
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

    def beside(self, mark: str) -> ObjectTree:
        """Return a tree of the same group next to this one, whose root ends with a mark."""
        store = self.store if self._late is None else self._prompt.store
        return ObjectTree(store, self.group, f"{self.root}~{mark}", self.fence, self.guard, self._late)

    def key(self, path: str) -> str:
        """Return the key of a path."""
        return key_of(self.root, names_of(path))

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

    def _document(self, stored: StoredObject) -> Document:
        return Document(stored.key[len(self.root) :], stored.size, stored.modified)

    def _stored_form(self, normal: str) -> str | None:
        """Return the form of a path that something has, None if nothing is there."""
        for form in forms_of(normal):
            if self._find(form) is not None or self._has_folder(form):
                return form
        return None

    def _find(self, normal: str) -> StoredObject | None:
        return self._found(f"{self.root}{normal}")

    def _found(self, key: str) -> StoredObject | None:
        return self.store.find(key)

    def _has_folder(self, normal: str) -> bool:
        return self.store.has_any(f"{self.root}{normal}")
