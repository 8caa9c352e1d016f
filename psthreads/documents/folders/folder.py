"""An open folder: the only way to files below a group's folder.

A name is opened from the descriptor of the folder above it, and never through a symbolic link. If another program
replaces the file between a check and its opening, the opening fails, and nothing else happens.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Final, Self

from psthreads.documents.group_documents import OnSkip
from psthreads.documents.paths import FORBIDDEN, FORBIDDEN_NAME, MAX_PATH, TEMPORARY, composed, forms_of, printable
from psthreads.documents.result_files import ResultFile
from psthreads.domain.errors import DocumentNotFound, UnsafePath
from psthreads.system.renaming import rename_to_new

_LONGEST_NAME: Final = 1_024  # characters; no file system has longer ones

LINK: Final = "it is a symbolic link or leads through one, and links are not followed"
OTHER: Final = "it is neither a document nor a folder"


class Folder:
    """An open descriptor of a folder, which stays the same folder when its name is given to another.

    `path` is its path below the first folder, "" for that folder itself. The descriptor closes with the last reference.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str = "") -> None:
        self.fd = fd
        self.path = path

    def __del__(self) -> None:
        os.close(self.fd)

    @classmethod
    def at(cls, root: Path) -> Self:
        """Open the first folder. Its path comes from the server and not from a member, so links in it are followed."""
        return cls(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def open(self, name: str, flags: int) -> int:
        """Return a descriptor of a file or folder in this folder. Everything below a folder is opened here."""
        # Without O_NONBLOCK, opening a pipe would block for ever.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode=0o640, dir_fd=self.fd)

    def stored(self, name: str) -> str:
        """Return the form of a name that something in this folder has, or else the one for something new.

        This is the one place where letters that macOS takes apart, and those that others write composed, are the same.
        """
        if name.isascii():
            return name
        for form in forms_of(name):
            with suppress(OSError):
                os.stat(form, dir_fd=self.fd, follow_symlinks=False)
                return form
        return composed(name)

    def enter(self, name: str) -> Folder:
        """Open a folder in this one."""
        name = self.stored(name)
        return Folder(self.open(name, os.O_RDONLY | os.O_DIRECTORY), f"{self.path}/{name}")

    @property
    def identity(self) -> tuple[int, int]:
        """The folder's identity, whatever its name."""
        status = os.fstat(self.fd)
        return status.st_dev, status.st_ino

    def back(self, path: str, identity: tuple[int, int]) -> Folder:
        """Open the folder above this one; raises OSError if it is gone, or not the one that had this identity.

        A walk comes back this way: to open every folder from the first one again takes time with the square of the
        depth, and to keep all of them open takes a descriptor for each.
        """
        folder = Folder(self.open("..", os.O_RDONLY | os.O_DIRECTORY), path)
        if folder.identity != identity:
            raise FileNotFoundError(path)
        return folder

    def down(self, path: str) -> Folder:
        """Open a folder below this one by its path from the first folder on. Raises OSError."""
        folder = self
        for name in path[len(self.path) :].split("/")[1:]:
            folder = folder.enter(name)
        return folder

    def names(self) -> list[tuple[str, bool]]:
        """Return everything in the folder, hidden files and links too, each with whether it is a folder."""
        with os.scandir(self.fd) as scan:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in scan]

    def below(self, enters: Callable[[str], bool] = lambda _: True) -> Iterator[tuple[Folder, list[tuple[str, bool]]]]:
        """Yield every folder below this one and then this one, each after those in it, and its `names`.

        Folders whose name `enters` refuses, and those that vanish, are left out. Few descriptors are open at a time,
        at any depth.
        """
        folder = self
        levels = [(self.path, self.identity, *_with_folders(self.names()))]
        while levels:
            _, _, names, folders = levels[-1]
            if folders:
                name = folders.pop()
                with suppress(OSError):
                    if enters(name):
                        child = folder.enter(name)
                        levels.append((child.path, child.identity, *_with_folders(child.names())))
                        folder = child
                continue
            yield folder, names
            levels.pop()
            while levels:
                path, identity, *_ = levels[-1]
                try:
                    folder = self._return(folder, path, identity)
                    break
                except OSError:
                    levels.pop()  # It has vanished with all that was left in it.

    def _return(self, folder: Folder, path: str, identity: tuple[int, int]) -> Folder:
        try:
            return folder.back(path, identity)
        except OSError:
            return self.down(path)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of a file or folder, and of a link itself."""
        return os.stat(self.stored(name), dir_fd=self.fd, follow_symlinks=False)

    def open_regular(self, name: str, path: str) -> int:
        """Open a regular file to read; raises DocumentNotFound or UnsafePath, with `path` in the message."""
        return self._regular(name, path)[0]

    def content(self, name: str, path: str, most: int) -> tuple[os.stat_result, bytes | None]:
        """Return a regular file's status, and its bytes or None for more than `most`; raises as `open_regular`."""
        fd, status = self._regular(name, path)
        try:
            if status.st_size > most:
                return status, None
            data = os.read(fd, status.st_size + 1)
            # A read that returns a byte less than requested is complete; a shorter or a full one may not be.
            while len(data) != status.st_size and len(data) <= most and (more := os.read(fd, most + 1 - len(data))):
                data += more
        finally:
            os.close(fd)
        return status, data if len(data) <= most else None

    @contextmanager
    def write(self, name: str, sync: Callable[[int], None] = os.fsync) -> Iterator[ResultFile]:
        """Write a file that appears, or replaces another, when the block ends without an exception; not in a fork.

        `sync` writes a descriptor's data to the disk. The default, os.fsync, blocks the whole process meanwhile.
        """
        hidden = f"{TEMPORARY}{secrets.token_hex(8)}"
        owner = os.getpid()
        try:
            fd = self.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            with ResultFile(FileIO(fd, "w+b")) as file:
                yield file
                if file.is_forked:
                    return
                file.flush()
                sync(fd)
            os.replace(hidden, self.stored(name), src_dir_fd=self.fd, dst_dir_fd=self.fd)
            sync(self.fd)
        except BaseException:
            if owner == os.getpid():
                with suppress(FileNotFoundError):
                    os.unlink(hidden, dir_fd=self.fd)
            raise

    def move(self, name: str, to: Folder, new: str) -> None:
        """Move a file to another folder or name; raises FileExistsError if the new name exists."""
        rename_to_new(self.fd, self.stored(name), to.fd, to.stored(new))

    def _regular(self, name: str, path: str) -> tuple[int, os.stat_result]:
        try:
            fd = self.open(self.stored(name), os.O_RDONLY)
        except OSError as error:
            raise self.reason(error, name, path) from None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            if stat.S_ISDIR(status.st_mode):
                raise DocumentNotFound(path)
            raise UnsafePath(path, OTHER)
        return fd, status

    def reason(self, error: OSError, name: str, path: str) -> Exception:
        """Return the domain's error for a failed opening."""
        with suppress(OSError):
            mode = self.stat(name).st_mode
            if stat.S_ISLNK(mode):
                return UnsafePath(path, LINK)
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                return UnsafePath(path, OTHER)
        return error if isinstance(error, PermissionError) else DocumentNotFound(path)

    def list(self, on_skip: OnSkip, most: int | None = None) -> list[tuple[str, bool]]:
        """Return the names of documents and folders, sorted in reverse, each with whether it is a folder.

        With `most`, some of them where the folder has more entries: it costs no more then.
        """
        names: list[tuple[str, bool]] = []
        with os.scandir(self.fd) as scan:
            entries = list(islice(scan, most))
        # Nearly always all names are fine: one check of all of them is faster.
        text = "/".join([entry.name for entry in entries])
        are_plain = len(self.path) < MAX_PATH - _LONGEST_NAME and TEMPORARY not in text and not FORBIDDEN.search(text)
        for entry in entries:
            name = entry.name
            if are_plain and entry.is_file(follow_symlinks=False):
                names.append((name, False))
                continue
            path = f"{self.path}/{name}"
            if name.startswith(TEMPORARY):
                continue
            if FORBIDDEN.search(name):
                on_skip(printable(path), FORBIDDEN_NAME)
            elif len(path) > MAX_PATH:
                on_skip(printable(path), f"its path is longer than {MAX_PATH:,} characters")
            elif entry.is_symlink():
                on_skip(path, LINK)
            elif entry.is_dir(follow_symlinks=False):
                names.append((name, True))
            elif entry.is_file(follow_symlinks=False):
                names.append((name, False))
            else:
                on_skip(path, OTHER)
        names.sort(reverse=True)
        return names


def _with_folders(names: list[tuple[str, bool]]) -> tuple[list[tuple[str, bool]], list[str]]:
    """Return the names, and those of the folders among them."""
    return names, [name for name, is_folder in names if is_folder]
