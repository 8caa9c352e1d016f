"""Finding and reading the documents below a folder. Nothing here changes the disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from psthreads.documents.folder import LINK, OTHER, Folder, OnSkip
from psthreads.documents.paths import PLAIN, names_of
from psthreads.domain.errors import DocumentNotFound, UnsafePath


def _ignore(path: str, reason: str) -> None:
    """What a walk does with what it leaves out, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in a group's folder. `size` is in bytes, `modified` in milliseconds since the epoch."""

    path: str
    size: int
    modified: int


class DocumentTree:
    """The documents below a folder, to find and to read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # The folder that a walk is in: most openings are of a document that a walk just gave.
        self._near: Folder | None = None
        self._stays = False

    @staticmethod
    def normal(path: str) -> str:
        """The normal form of a path, whether there is anything or not."""
        return "/" + "/".join(names_of(path))

    def resolve(self, path: str) -> str:
        """The normal form of the path of a document or folder, such as "/documents/a.psml"."""
        names = names_of(path)
        if not names:
            return "/"
        normal = "/" + "/".join(names)
        self._is_folder(self._enter(names[:-1], normal), names[-1], normal)
        return normal

    def open(self, path: str) -> BinaryIO:
        """A document, opened to be read; what is no regular file is refused or not found."""
        return os.fdopen(self._regular(path), "rb")

    def read(self, path: str, most: int) -> bytes:
        """A document's bytes, the first `most` of them when there are more; quicker than `open`."""
        fd = self._regular(path)
        try:
            data = os.read(fd, most)
            while len(data) < most and (more := os.read(fd, most - len(data))):
                data += more
        finally:
            os.close(fd)
        return data

    def walk(self, path: str = "", on_skip: OnSkip = _ignore) -> Iterator[Document]:
        """The document at the path, or every one below it, depth first and sorted by name in each folder.

        Links, pipes, sockets and devices, and what vanishes meanwhile, are left out and told to
        `on_skip`. Only the names in the folders on the way to where the walk stands are held.
        """
        for folder, name in self._files(path, on_skip):
            full = f"{folder.path}/{name}"
            try:
                found = folder.look(name)
            except FileNotFoundError:
                on_skip(full, "it is gone")
                continue
            if stat.S_ISREG(found.st_mode):
                yield Document(full, found.st_size, found.st_mtime_ns // 1_000_000)
            else:
                on_skip(full, LINK if stat.S_ISLNK(found.st_mode) else OTHER)

    def contents(
        self, path: str, most: int, where: Callable[[str], bool], on_skip: OnSkip = _ignore
    ) -> Iterator[tuple[Document, bytes | None]]:
        """As `walk`, those with a name that `where` accepts, each with its bytes, or None where there are more.

        Quicker than to open each one. What cannot be read is told to `on_skip`, too.
        """
        for folder, name in self._files(path, on_skip):
            if not where(name):
                continue
            full = f"{folder.path}/{name}"
            try:
                found, data = folder.content(name, full, most)
            except UnsafePath:
                on_skip(full, "it is a link, or no document any more")
            except (DocumentNotFound, OSError):
                on_skip(full, "it is gone, or can no longer be read")
            else:
                yield Document(full, found.st_size, found.st_mtime_ns // 1_000_000), data

    @contextmanager
    def staying(self) -> Iterator[None]:
        """A block in which the folder that a document was last opened in stays open, for the next one's sake.

        Where that folder is renamed meanwhile, it is the one that the documents still come from.
        """
        self._stays = True
        try:
            yield
        finally:
            self._stays = False
            self._near = None

    def count(self, path: str = "", where: Callable[[str], bool] | None = None) -> int:
        """How many documents a walk would give, or of those with a name that `where` accepts."""
        return sum(1 for _, name in self._files(path, _ignore) if where is None or where(name))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at the path, and not a document."""
        names = names_of(path)
        normal = "/" + "/".join(names)
        return not names or self._is_folder(self._enter(names[:-1], normal), names[-1], normal)

    def entries(self, path: str, on_skip: OnSkip = _ignore) -> list[tuple[str, bool]]:
        """The names of the documents and folders in a folder, last first, each with whether it is a folder."""
        return self._enter(names_of(path), path).list(on_skip)

    # Inside.

    def _regular(self, path: str) -> int:
        above, _, name = path.rpartition("/")
        near = self._near
        if near is not None and near.path == above and PLAIN.match(name):
            return near.regular(name, path)
        names = names_of(path)
        if not names:
            raise DocumentNotFound("/")
        normal = "/" + "/".join(names)
        folder = self._enter(names[:-1], normal)
        if self._stays:
            self._near = folder
        return folder.regular(names[-1], normal)

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
            raise folder.why(error, name, path) from None

    def _is_folder(self, above: Folder, name: str, path: str) -> bool:
        try:
            mode = above.look(name).st_mode
        except OSError:
            raise DocumentNotFound(path) from None
        if stat.S_ISLNK(mode):
            raise UnsafePath(path, LINK)
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise UnsafePath(path, OTHER)
        return stat.S_ISDIR(mode)

    def _files(self, path: str, on_skip: OnSkip) -> Iterator[tuple[Folder, str]]:
        """The regular files, each as its folder and its name. One descriptor is open at a time."""
        names = names_of(path)
        start = "/" + "/".join(names)
        if not names and not self._root.exists():
            return
        folder = self._enter(names[:-1], start)
        if names:
            if not self._is_folder(folder, names[-1], start):
                yield folder, names[-1]
                return
            folder = self._step(folder, names[-1], start)
        # The names that are left in each folder on the way; a loop, for a tree may be deeper than
        # Python's stack.
        ways = [(folder.path, folder.list(on_skip))]
        try:
            while ways:
                at, left = ways[-1]
                if not left:
                    ways.pop()
                    continue
                name, is_folder = left.pop()
                try:
                    folder = folder if folder.path == at else self._enter(names_of(at), at)
                    if is_folder:
                        folder = folder.enter(name)
                        ways.append((folder.path, folder.list(on_skip)))
                        continue
                except (OSError, DocumentNotFound, UnsafePath):
                    on_skip(f"{at}/{name}", "it is gone, or a link, or cannot be read")
                    continue
                self._near = folder
                yield folder, name
                while left and not left[-1][1]:  # The documents that follow in the same folder.
                    yield folder, left.pop()[0]
        finally:
            self._near = None
