"""Finds and reads the documents below a folder. Nothing here changes the disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from psthreads.documents.folders.folder import LINK, OTHER, Folder
from psthreads.documents.group_documents import Document, OnSkip, ignore_skip
from psthreads.documents.paths import PLAIN, composed, names_of, normal_of
from psthreads.domain.errors import DocumentNotFound, PsthreadsError, UnsafePath


class DocumentTree:
    """The documents below a folder, to find and to read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # The folder of the last document, still open: most documents that are opened come from the current walk.
        self._last_folder: Folder | None = None
        self._keeps_folder = False

    @staticmethod
    def normal(path: str) -> str:
        """Do as ReadableTree."""
        return normal_of(path)[1]

    def resolve(self, path: str) -> str:
        """Do as ReadableTree."""
        names, normal = normal_of(path)
        if not names:
            return "/"
        folder = self._enter(names[:-1], normal)
        self._is_folder(folder, names[-1], normal)
        return f"{folder.path}/{folder.stored(names[-1])}"

    def placed(self, path: str) -> str:
        """Do as ReadableTree."""
        names: list[str] = []
        folder: Folder | None = None
        with suppress(FileNotFoundError):
            folder = Folder.at(self._root)
        for name in names_of(path):
            names.append(folder.stored(name) if folder else composed(name))
            try:
                folder = folder.enter(name) if folder else None
            except OSError:
                folder = None
        return "/" + "/".join(names)

    def open(self, path: str) -> BinaryIO:
        """Open a document to read it. Raises DocumentNotFound for a folder, and UnsafePath for a pipe or device."""
        return os.fdopen(self._regular(path), "rb")

    def read(self, path: str, most: int) -> bytes:
        """Do as ReadableTree."""
        fd = self._regular(path)
        try:
            data = os.read(fd, most)
            while len(data) < most and (more := os.read(fd, most - len(data))):
                data += more
        finally:
            os.close(fd)
        return data

    def walk(self, path: str = "", on_skip: OnSkip = ignore_skip) -> Iterator[Document]:
        """Yield the document at the path, or every one below it, depth first and sorted by name in each folder.

        Links, pipes, sockets and devices, and what vanishes meanwhile, are left out and passed to `on_skip`. Memory
        holds only the names in the current folder and in those above it.
        """
        for folder, name in self._files(path, on_skip):
            full = f"{folder.path}/{name}"
            try:
                status = folder.stat(name)
            except FileNotFoundError:
                on_skip(full, "it is gone")
                continue
            if stat.S_ISREG(status.st_mode):
                yield _document(full, status)
            else:
                on_skip(full, LINK if stat.S_ISLNK(status.st_mode) else OTHER)

    def contents(
        self, path: str, most: int, where: Callable[[str], bool], on_skip: OnSkip = ignore_skip
    ) -> Iterator[tuple[Document, bytes | None]]:
        """Walk, and yield each document whose name `where` accepts with its bytes, or None for more than `most`.

        Faster than opening each one. Documents that cannot be read are passed to `on_skip`, too.
        """
        for folder, name in self._files(path, on_skip):
            if not where(name):
                continue
            full = f"{folder.path}/{name}"
            try:
                status, data = folder.content(name, full, most)
            except UnsafePath:
                on_skip(full, "it is a link, or no longer a document")
            except (DocumentNotFound, OSError):
                on_skip(full, "it is gone, or can no longer be read")
            else:
                yield _document(full, status), data

    def read_each(
        self, documents: Iterable[Document], most: int
    ) -> Iterator[tuple[Document, bytes | Exception | None]]:
        """Do as ReadableTree."""
        with self._keeping_folder():
            for document in documents:
                try:
                    data = self._read_up_to(document, most)
                except (PsthreadsError, OSError) as error:
                    yield document, error
                else:
                    yield document, data

    def _read_up_to(self, document: Document, most: int) -> bytes | None:
        """Return a document's bytes, None for more than `most`."""
        if document.size > most:
            return None
        data = self.read(document.path, document.size + 1)
        if len(data) > document.size:  # It has grown.
            data = self.read(document.path, most + 1)
        return data if len(data) <= most else None

    @contextmanager
    def _keeping_folder(self) -> Iterator[None]:
        """Within the block, keep the folder of the last document open, which makes opening the next one faster.

        If that folder is renamed meanwhile, documents still come from it.
        """
        self._keeps_folder = True
        try:
            yield
        finally:
            self._keeps_folder = False
            self._last_folder = None

    def count(self, path: str = "", where: Callable[[str], bool] | None = None) -> int:
        """Do as ReadableTree."""
        return sum(1 for _, name in self._files(path, ignore_skip) if where is None or where(name))

    def is_folder(self, path: str) -> bool:
        """Do as ReadableTree."""
        names, normal = normal_of(path)
        return not names or self._is_folder(self._enter(names[:-1], normal), names[-1], normal)

    def entries(self, path: str, on_skip: OnSkip = ignore_skip, most: int | None = None) -> list[tuple[str, bool]]:
        """Return the names of a folder's documents and folders, sorted in reverse, each with whether it is a folder."""
        return self._enter(names_of(path), path).list(on_skip, most)

    def parent(self, path: str) -> tuple[Folder, str]:
        """Return the folder that a path is in, which must exist, and the name in it, which need not."""
        names = names_of(path)
        if not names:
            raise DocumentNotFound("/")
        folder = self._enter(names[:-1], path)
        return folder, folder.stored(names[-1])

    def _regular(self, path: str) -> int:
        parent, _, name = path.rpartition("/")
        last = self._last_folder
        if last is not None and last.path == parent and PLAIN.match(name):
            return last.open_regular(name, path)
        names, normal = normal_of(path)
        if not names:
            raise DocumentNotFound("/")
        folder = self._enter(names[:-1], normal)
        if self._keeps_folder:
            self._last_folder = folder
        return folder.open_regular(names[-1], normal)

    def _enter(self, names: Sequence[str], path: str) -> Folder:
        try:
            folder = Folder.at(self._root)
        except FileNotFoundError:
            raise DocumentNotFound(path) from None
        for name in names:
            folder = self._step(folder, name, path)
        return folder

    def _step(self, folder: Folder, name: str, path: str) -> Folder:
        try:
            return folder.enter(name)
        except OSError as error:
            raise folder.reason(error, name, path) from None

    def _is_folder(self, parent: Folder, name: str, path: str) -> bool:
        try:
            mode = parent.stat(name).st_mode
        except OSError:
            raise DocumentNotFound(path) from None
        if stat.S_ISLNK(mode):
            raise UnsafePath(path, LINK)
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise UnsafePath(path, OTHER)
        return stat.S_ISDIR(mode)

    def _files(self, path: str, on_skip: OnSkip) -> Iterator[tuple[Folder, str]]:
        """Yield the folder and the name of each file. Few descriptors are open at a time, at any depth."""
        names, start = normal_of(path)
        if not names and not self._root.exists():
            return
        folder = self._enter(names[:-1], start)
        if names:
            if not self._is_folder(folder, names[-1], start):
                yield folder, folder.stored(names[-1])
                return
            folder = self._step(folder, names[-1], start)
        # The remaining names of the current folder and of those above it. No recursion: a tree may be deeper than
        # Python's stack.
        levels = [(folder.path, folder.identity, folder.list(on_skip))]
        try:
            while levels:
                parent, identity, entries = levels[-1]
                if not entries:
                    levels.pop()
                    with suppress(IndexError, OSError, DocumentNotFound, UnsafePath):
                        folder = self._return(folder, *levels[-1][:2])
                    continue
                name, is_folder = entries.pop()
                try:
                    folder = self._return(folder, parent, identity)
                    if is_folder:
                        folder = folder.enter(name)
                        levels.append((folder.path, folder.identity, folder.list(on_skip)))
                        continue
                except (OSError, DocumentNotFound, UnsafePath):
                    on_skip(f"{parent}/{name}", "it is gone, or a link, or cannot be read")
                    continue
                self._last_folder = folder
                yield folder, name
                while entries and not entries[-1][1]:  # The next documents in the same folder.
                    yield folder, entries.pop()[0]
        finally:
            self._last_folder = None

    def _return(self, folder: Folder, path: str, identity: tuple[int, int]) -> Folder:
        """Return the folder of this path, which the walk has come through on its way to `folder`."""
        if folder.path == path:
            return folder
        with suppress(OSError):
            if folder.path.rpartition("/")[0] == path:
                return folder.back(path, identity)
        return self._enter(names_of(path), path)


def _document(path: str, status: os.stat_result) -> Document:
    return Document(path, status.st_size, status.st_mtime_ns // 1_000_000)
