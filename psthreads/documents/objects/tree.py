"""Finds and reads the documents below a prefix. Nothing here changes the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from psthreads.documents.group_documents import Document, OnSkip, ignore_skip
from psthreads.documents.objects.client import ObjectStore, StoredObject
from psthreads.documents.objects.names import key_of, objection
from psthreads.documents.objects.reading import open_object
from psthreads.documents.paths import composed, forms_of, names_of, normal_of, printable
from psthreads.documents.side_by_side import side_by_side
from psthreads.domain.errors import DocumentNotFound


class ObjectTree:
    """The documents whose keys are below `root`, to find and to read."""

    def __init__(self, store: ObjectStore, root: str) -> None:
        self.store = store
        self.root = root

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

    def key(self, path: str) -> str:
        """Return the key of a path."""
        return key_of(self.root, names_of(path))

    def _document(self, stored: StoredObject) -> Document:
        return Document(stored.key[len(self.root) :], stored.size, stored.modified)

    def _stored_form(self, normal: str) -> str | None:
        """Return the form of a path that something has, None if nothing is there."""
        for form in forms_of(normal):
            if self._find(form) is not None or self._has_folder(form):
                return form
        return None

    def _find(self, normal: str) -> StoredObject | None:
        return self.store.find(f"{self.root}{normal}")

    def _has_folder(self, normal: str) -> bool:
        return self.store.has_any(f"{self.root}{normal}")
