"""A group's documents: a folder where nothing leads outside it.

Whatever is opened below it is opened by `Folder.open`, name by name from the folder above, and never through a
symbolic link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from psthreads.documents.folder import LINK, OTHER, PLAIN, Folder, OnSkip, fitting, names_of
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, DocumentNotFound, UnsafePath
from psthreads.system.syncing import sync_all


def _ignore(path: str, reason: str) -> None:
    """What a walk does with what it leaves out, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in a group's folder. `size` is in bytes, `modified` in milliseconds since the epoch."""

    path: str
    size: int
    modified: int


class GroupFolder:
    """A group's documents. Paths are relative to the group's folder; a leading slash changes nothing.

    Every method that takes a path raises UnsafePath for one that could lead outside or is no path
    at all, and DocumentNotFound when nothing is there; both name the parameter `path`.
    """

    def __init__(self, group: Group, root: Path) -> None:
        self.group = group
        self._root = root
        # The folder that a walk is in: most openings are of a document that a walk just gave.
        self._near: Folder | None = None
        self._stays = False
        # The folders between which a document was last moved: most moves are between the same two.
        self._between: tuple[Folder, Folder] | None = None

    def create(self) -> None:
        """Make the group's folder; nothing happens when it exists."""
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)

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

    def write(self, path: str, content: bytes) -> None:
        """Put a document there at once and whole, and the folders above it where they are missing.

        Raises Conflict when there is a folder of that name.
        """
        folder, name = self.place(path)
        try:
            with folder.write(name) as file:
                file.write(content)
        except IsADirectoryError:
            raise Conflict(f"'{path}' is a folder: choose another path.") from None

    def place(self, path: str) -> tuple[Folder, str]:
        """The folder that a document of this path belongs in, made where it is missing, and its name there.

        Raises Conflict when a document is in the way.
        """
        names = fitting(path)
        normal = "/" + "/".join(names)
        if not names:
            raise Conflict("The group's folder is no document: give the path of one.")
        self.create()
        folder = self._enter((), "/")
        for name in names[:-1]:
            with suppress(FileExistsError):
                os.mkdir(name, mode=0o750, dir_fd=folder.fd)
            try:
                folder = folder.enter(name)
            except OSError as error:
                raise _in_the_way(folder, error, name, normal) from None
        return folder, names[-1]

    def above(self, path: str) -> tuple[Folder, str]:
        """The folder that a document is in, which must exist, and its name there, which need not."""
        names = names_of(path)
        if not names:
            raise DocumentNotFound("/")
        return self._enter(names[:-1], path), names[-1]

    def kind(self, path: str) -> str:
        """What is at a path: "document", "folder", or "" for nothing. Raises Conflict when a document is in the way."""
        names = fitting(path)
        normal = "/" + "/".join(names)
        try:
            folder = Folder.at(self._root)
            for name in names[:-1]:
                try:
                    folder = folder.enter(name)
                except NotADirectoryError as error:
                    raise _in_the_way(folder, error, name, normal) from None
            return "folder" if not names or self._is_folder(folder, names[-1], normal) else "document"
        except (FileNotFoundError, DocumentNotFound):
            return ""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at the path, and not a document."""
        names = names_of(path)
        normal = "/" + "/".join(names)
        return not names or self._is_folder(self._enter(names[:-1], normal), names[-1], normal)

    def entries(self, path: str, on_skip: OnSkip = _ignore) -> list[tuple[str, bool]]:
        """The names of the documents and folders in a folder, last first, each with whether it is a folder."""
        return self._enter(names_of(path), path).list(on_skip)

    def make_folder(self, path: str) -> bool:
        """Make a folder in one that exists; False when there is one of that name already.

        Raises Conflict when the name is taken by something else.
        """
        self.create()
        names = names_of(path)
        if not names:
            return False
        above = self._enter(names[:-1], path)
        try:
            os.mkdir(names[-1], mode=0o750, dir_fd=above.fd)
        except FileExistsError:
            if self.is_folder(path):
                return False
            raise Conflict(f"'{path}' is a document: choose another path for the folder.") from None
        return True

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder; False when it is not empty. Raises OSError when it cannot be removed."""
        names = names_of(path)
        if not names:
            return False
        above = self._enter(names[:-1], path)
        try:
            os.rmdir(names[-1], dir_fd=above.fd)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        return True

    def move(self, path: str, to: str) -> None:
        """Move a document into a folder that exists, in one step and under any name, also in a race.

        Raises Conflict when the new name is taken, and OSError when the file system refuses.
        """
        if not (names := names_of(path)):
            raise DocumentNotFound("/")
        if not (news := names_of(to)):
            raise Conflict("The group's folder is no document: give the path of one.")
        (*above, name), (*below, new) = names, news
        paths = ("/".join(["", *above]), "/".join(["", *below]))
        between = self._between
        is_kept = between is not None and (between[0].path, between[1].path) == paths
        if between is None or not is_kept:
            between = self._between = (self._enter(above, path), self._enter(below, to))
        try:
            between[0].move(name, between[1], new)
        except FileExistsError:
            raise Conflict(f"There is something at '{to}' already.") from None
        except FileNotFoundError:
            self._between = None
            if is_kept:  # One of the two may be another folder by now.
                return self.move(path, to)
            raise DocumentNotFound(path) from None
        return None

    def sync(self) -> None:
        """Wait until all that was put into the folder is on the disk, and survives a power cut."""
        folder = Folder.at(self._root)  # It closes with its last reference.
        sync_all(folder.fd)

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


def _in_the_way(folder: Folder, error: OSError, name: str, path: str) -> Exception:
    problem = folder.why(error, name, path)
    if isinstance(error, NotADirectoryError) and isinstance(problem, DocumentNotFound):
        return Conflict(f"'{folder.path}/{name}' is no folder, so there cannot be a '{path}': choose another path.")
    return problem
