"""A folder held open: the one way to what is on disk below a group's folder.

A name is opened from the folder above it, and never through a symbolic link. What a name stands
for may change between a look and the opening: the opening then fails, and nothing more.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import Final, Self

from psthreads.documents.paths import MAX_PATH, NEVER, ODD_NAME, TEMPORARY, shown
from psthreads.domain.errors import DocumentNotFound, UnsafePath
from psthreads.system.renaming import rename_to_new

_LONGEST_NAME: Final = 1_024  # characters; file systems take no longer one

LINK: Final = "it is a symbolic link or leads through one, and links are not followed"
OTHER: Final = "it is neither a document nor a folder"

OnSkip = Callable[[str, str], None]
"""Told the path of what a walk leaves out, and the reason as the end of a sentence."""


class ResultFile(BufferedRandom):
    """A file that is being written: binary, seekable, and under its name only once it is whole.

    `filename` is the name that it will then have.
    """

    filename = ""


class Folder:
    """A folder held open by its descriptor, so that it stays the same whatever its name comes to mean.

    `path` is its path below where the way started, "" for that folder itself. It closes with the
    last reference to it.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str = "") -> None:
        self.fd = fd
        self.path = path

    def __del__(self) -> None:
        os.close(self.fd)

    @classmethod
    def at(cls, root: Path) -> Self:
        """The folder to start from, whose own path is the server's and not a member's."""
        return cls(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def open(self, name: str, flags: int) -> int:
        """A descriptor of what is in this folder under that name. The only way to anything below it."""
        # Without O_NONBLOCK, a pipe that was put there would hold whoever opens it for ever.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode=0o640, dir_fd=self.fd)

    def enter(self, name: str) -> Folder:
        """The folder of that name in this one."""
        return Folder(self.open(name, os.O_RDONLY | os.O_DIRECTORY), f"{self.path}/{name}")

    def look(self, name: str) -> os.stat_result:
        """What is known of that name, of a link itself and not of where it leads."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def regular(self, name: str, path: str) -> int:
        """A descriptor of a regular file to read; `path` is what a DocumentNotFound or UnsafePath names."""
        return self._regular(name, path)[0]

    def content(self, name: str, path: str, most: int) -> tuple[os.stat_result, bytes | None]:
        """What is known of a regular file, and its bytes unless there are more than `most`; errors as `regular`."""
        fd, found = self._regular(name, path)
        try:
            if found.st_size > most:
                return found, None
            data = os.read(fd, found.st_size + 1)
            # One byte less than was asked for is its end; anything else may not be.
            while len(data) != found.st_size and len(data) <= most and (more := os.read(fd, most + 1 - len(data))):
                data += more
        finally:
            os.close(fd)
        return found, data if len(data) <= most else None

    @contextmanager
    def write(self, name: str, sync: Callable[[int], None] = os.fsync) -> Iterator[ResultFile]:
        """A file of this folder that appears, or replaces another, when the block ends well.

        `sync` has to bring a descriptor's data to the disk, as os.fsync does, which stops everything meanwhile.
        """
        hidden = f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            fd = self.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            with ResultFile(FileIO(fd, "w+b")) as file:
                yield file
                file.flush()
                sync(fd)
            os.replace(hidden, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            sync(self.fd)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(hidden, dir_fd=self.fd)
            raise

    def move(self, name: str, to: Folder, new: str) -> None:
        """Give what has that name here a new place; raises FileExistsError when the new name is taken."""
        rename_to_new(self.fd, name, to.fd, new)

    def _regular(self, name: str, path: str) -> tuple[int, os.stat_result]:
        try:
            fd = self.open(name, os.O_RDONLY)
        except OSError as error:
            raise self.why(error, name, path) from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            if stat.S_ISDIR(found.st_mode):
                raise DocumentNotFound(path)
            raise UnsafePath(path, OTHER)
        return fd, found

    def why(self, error: OSError, name: str, path: str) -> Exception:
        """The domain's error for an opening that failed."""
        with suppress(OSError):
            mode = self.look(name).st_mode
            if stat.S_ISLNK(mode):
                return UnsafePath(path, LINK)
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                return UnsafePath(path, OTHER)
        return error if isinstance(error, PermissionError) else DocumentNotFound(path)

    def list(self, on_skip: OnSkip) -> list[tuple[str, bool]]:
        """The documents and folders in this one, last first, each with whether it is a folder."""
        found: list[tuple[str, bool]] = []
        with os.scandir(self.fd) as scan:
            entries = list(scan)
        # What is true of nearly every name is asked of all of them at once.
        names = "/".join([entry.name for entry in entries])
        are_plain = len(self.path) < MAX_PATH - _LONGEST_NAME and TEMPORARY not in names and not NEVER.search(names)
        for entry in entries:
            name = entry.name
            if are_plain and entry.is_file(follow_symlinks=False):
                found.append((name, False))
                continue
            path = f"{self.path}/{name}"
            if name.startswith(TEMPORARY):
                continue
            if NEVER.search(name):
                on_skip(shown(path), ODD_NAME)
            elif len(path) > MAX_PATH:
                on_skip(shown(path), f"its path is longer than {MAX_PATH:,} characters")
            elif entry.is_symlink():
                on_skip(path, LINK)
            elif entry.is_dir(follow_symlinks=False):
                found.append((name, True))
            elif entry.is_file(follow_symlinks=False):
                found.append((name, False))
            else:
                on_skip(path, OTHER)
        found.sort(reverse=True)
        return found
