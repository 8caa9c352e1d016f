"""The documents on disk: a group's folder, where nothing leads outside it, and the results of threads.

Nothing else in psthreads touches these folders. Whatever is opened below one of them is opened by
`Folder.open`, name by name from the folder above, and never through a symbolic link.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from psthreads.access import Group
from psthreads.errors import Conflict, DocumentNotFound, NotFound, UnsafePath
from psthreads.folder import LINK, MAX_PATH, NEVER, ODD_NAME, OTHER, TEMPORARY, Folder, OnSkip, ResultFile, shown
from psthreads.model import SERVER_WIDE

__all__ = ["Document", "Documents", "GroupFolder", "ResultFile", "ResultFolder"]

# A name that needs no closer look.
_PLAIN: Final = re.compile("[^./\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff][^/\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]*\\Z")

MAX_FILENAME: Final = 200
"""The longest name of a result file, in bytes of UTF-8."""


def _ignore(path: str, reason: str) -> None:
    """What a walk does with what it leaves out, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document in a group's folder. `size` is in bytes, `modified` in milliseconds since the epoch."""

    path: str
    size: int
    modified: int


class Documents:
    """The folder that holds every group's documents and results."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def group(self, group: Group) -> GroupFolder:
        """The folder of a group's documents; it need not exist yet."""
        return GroupFolder(group, self._root / "groups" / str(group.id))

    def results(self, group_id: int) -> ResultFolder:
        """The folder of the files that threads of this group made; -1 for those of no group."""
        return ResultFolder(self._root / "results" / ("server" if group_id == SERVER_WIDE else str(group_id)))

    @property
    def scratch(self) -> Path:
        """A folder for temporary files on the same disk, created when it is asked for."""
        folder = self._root / "tmp"
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return folder


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

    def create(self) -> None:
        """Make the group's folder; nothing happens when it exists."""
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)

    def resolve(self, path: str) -> str:
        """The normal form of the path of a document or folder, such as "/documents/a.psml"."""
        names = _names(path)
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

    def count(self, path: str = "", where: Callable[[str], bool] | None = None) -> int:
        """How many documents a walk would give, or of those with a name that `where` accepts."""
        return sum(1 for _, name in self._files(path, _ignore) if where is None or where(name))

    def write(self, path: str, content: bytes) -> None:
        """Put a document there at once and whole, and the folders above it where they are missing.

        Raises Conflict when there is a folder of that name.
        """
        names = _names(path)
        normal = "/" + "/".join(names)
        if not names:
            raise Conflict("The group's folder is no document: give the path of one.")
        self.create()
        folder = self._enter((), "/")
        for name in names[:-1]:
            with suppress(FileExistsError):
                os.mkdir(name, mode=0o750, dir_fd=folder.fd)
            folder = self._step(folder, name, normal)
        try:
            with folder.write(names[-1]) as file:
                file.write(content)
        except IsADirectoryError:
            raise Conflict(f"'{normal}' is a folder: choose another path.") from None

    # Inside.

    def _regular(self, path: str) -> int:
        above, _, name = path.rpartition("/")
        near = self._near
        if near is not None and near.path == above and _PLAIN.match(name):
            return near.regular(name, path)
        names = _names(path)
        if not names:
            raise DocumentNotFound("/")
        normal = "/" + "/".join(names)
        return self._enter(names[:-1], normal).regular(names[-1], normal)

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
        names = _names(path)
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
                    folder = folder if folder.path == at else self._enter(_names(at), at)
                    if is_folder:
                        folder = folder.enter(name)
                        ways.append((folder.path, folder.list(on_skip)))
                        continue
                except (OSError, DocumentNotFound, UnsafePath):
                    on_skip(f"{at}/{name}", "it is gone, or a link, or cannot be read")
                    continue
                self._near = folder
                yield folder, name
        finally:
            self._near = None


class ResultFolder:
    """The files that threads of one group made, or those of no group."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, filename: str) -> AbstractContextManager[ResultFile]:
        """A file to write, which has this name once the block ends well and is gone when it does not.

        Raises UnsafePath for a name with a slash, a leading dot or a control character, or of more
        than 200 bytes.
        """
        name = _filename(filename)
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        return self._folder().write(name)

    def open(self, filename: str) -> BinaryIO:
        """A file that is whole, opened to be read. Raises UnsafePath for no name, NotFound for no file."""
        name = _filename(filename)
        try:
            return os.fdopen(self._folder().regular(name, name), "rb")
        except (FileNotFoundError, DocumentNotFound):
            raise NotFound(f"There is no file '{name}' here: list the threads to see what they made.") from None

    def _folder(self) -> Folder:
        return Folder.at(self._root)


def _names(path: str) -> list[str]:
    if len(path) > MAX_PATH:
        raise UnsafePath(shown(path), f"it is longer than {MAX_PATH:,} characters")
    if NEVER.search(path):
        raise UnsafePath(shown(path), ODD_NAME)
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise UnsafePath(path, "'..' would leave the folder")
    if any(name.startswith(TEMPORARY) for name in names):
        raise UnsafePath(path, f"names that start with '{TEMPORARY}' are for files that are being written")
    return names


def _filename(filename: str) -> str:
    if not filename or "/" in filename or filename.startswith(".") or NEVER.search(filename):
        reason = "a file's name has no slash, backslash, control character or leading dot"
        raise UnsafePath(shown(filename), reason, name="filename")
    if len(filename.encode()) > MAX_FILENAME:
        raise UnsafePath(shown(filename), f"it is longer than {MAX_FILENAME} bytes", name="filename")
    return filename
