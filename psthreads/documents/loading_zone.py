"""A member's loading zone: where files wait until they are put among a group's documents.

Each member has one for each group. It is a folder like a group's own, and handled by the same code: whatever is
below it is opened name by name, and never through a symbolic link.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from psthreads.documents.document_tree import Document
from psthreads.documents.folder import Folder, OnSkip, ResultFile
from psthreads.documents.group_folder import GroupFolder
from psthreads.documents.paths import TEMPORARY, shown
from psthreads.domain.errors import Conflict, DocumentNotFound, NotFound, PsthreadsError, TooLarge, UnsafePath

T = TypeVar("T")

_ABANDONED: Final = 24 * 3600  # seconds after which nobody writes a hidden file any more
_TRIES: Final = 100  # to write into a folder that is removed, because it is empty, just when it was made


class Arrival:
    """A file that is arriving in a loading zone. `size` is how many bytes of it there are by now."""

    def __init__(self, file: ResultFile, most: int) -> None:
        self.size = 0
        self._file = file
        self._most = most

    def write(self, data: bytes) -> None:
        """Add to the file; raises TooLarge for the first byte above its limit."""
        self.size += len(data)
        if self.size > self._most:
            raise TooLarge(self._most)
        self._file.write(data)

    def settle(self, sync: Callable[[int], None] = os.fsync) -> None:
        """Bring what has arrived to the disk; after that only its name is missing."""
        self._file.flush()
        sync(self._file.fileno())


class LoadingZone:
    """The files of one member that wait for one group. Paths are relative to the zone, as a group's to its folder.

    Every method that takes a path raises UnsafePath for one that could lead outside or is no path at all, and
    NotFound when nothing is there.
    """

    def __init__(self, folder: GroupFolder) -> None:
        self._folder = folder

    def walk(self, on_skip: OnSkip) -> Iterator[Document]:
        """Every file in the zone, as `GroupFolder.walk` gives documents."""
        return self._folder.walk("", on_skip)

    def count(self) -> int:
        """How many files a walk would give."""
        return self._folder.count()

    def resolve(self, path: str) -> str:
        """The normal form of a file's path, such as "/books.zip"; raises NotFound for a folder, too."""
        with _in_zone(path):
            normal = self._folder.resolve(path)
            if self._folder.is_folder(normal):
                raise DocumentNotFound(path)
            return normal

    def open(self, path: str) -> BinaryIO:
        """A file, opened to be read."""
        with _in_zone(path):
            return self._folder.open(path)

    def read(self, path: str, most: int) -> bytes:
        """A file's bytes, the first `most` of them when there are more."""
        with _in_zone(path):
            return self._folder.read(path, most)

    def kind(self, path: str) -> str:
        """What is at a path: "document", "folder" or "" for nothing. Raises Conflict when a file is in the way."""
        return self._folder.kind(path)

    @contextmanager
    def write(self, path: str, most: int, sync: Callable[[int], None] = os.fsync) -> Iterator[Arrival]:
        """A file of at most so many bytes, which appears, or replaces another, when the block ends well.

        Nothing is left of it when the block does not. `sync` has to bring a descriptor's data to the disk. Raises
        UnsafePath for a path that is not relative, and Conflict when there is a folder of that name.
        """
        if not path or path.startswith("/") or path.endswith("/"):
            raise UnsafePath(shown(path), "it must be a file's, below the loading zone, such as docs/a.xml", "filename")
        if self.kind(path) == "folder":
            raise Conflict(f"'{shown(path)}' is a folder in the loading zone: choose another filename.")
        try:
            with ExitStack() as stack:
                file = self._place(path, lambda folder, name: stack.enter_context(folder.write(name, sync)))
                yield Arrival(file, most)
        except IsADirectoryError:
            raise Conflict(f"'{shown(path)}' became a folder in the loading zone: choose another filename.") from None
        except BaseException:
            self._prune(path)
            raise

    def take(self, file: Path, path: str) -> None:
        """Move a file from a temporary folder into the zone, whole, and in place of one with that path."""

        def move(folder: Folder, name: str) -> None:
            try:
                os.replace(file, name, dst_dir_fd=folder.fd)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with file.open("rb") as source, folder.write(name) as target:
                    shutil.copyfileobj(source, target)

        self._place(path, move)

    def move_out(self, path: str, documents: GroupFolder, to: str, *, overwrite: bool) -> None:
        """Make a file of the zone a document of the group, in one step.

        Raises Conflict when there is a folder at the document's path, or, unless it may be overwritten, anything;
        and OSError with the number EXDEV when the two are on different disks: then `copy_out` is the way.
        """
        source, name = self._regular(path)
        target, new = documents.place(to)
        try:
            if overwrite:
                os.replace(name, new, src_dir_fd=source.fd, dst_dir_fd=target.fd)
            else:
                source.move(name, target, new)
        except FileExistsError:
            raise Conflict(f"There is something at '{to}' already.") from None
        except IsADirectoryError:
            raise Conflict(f"'{to}' is a folder.") from None
        except FileNotFoundError:
            raise _absent(path) from None

    def copy_out(self, path: str, documents: GroupFolder, to: str, *, overwrite: bool) -> None:
        """The same across disks: a copy that appears at once and whole, and then the file's removal from the zone."""
        target, new = documents.place(to)
        staged = f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            with self.open(path) as source, target.write(new if overwrite else staged) as file:
                shutil.copyfileobj(source, file)
            if not overwrite:
                target.move(staged, target, new)
        except FileExistsError:
            raise Conflict(f"There is something at '{to}' already.") from None
        except IsADirectoryError:
            raise Conflict(f"'{to}' is a folder.") from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=target.fd)
        self.remove(path)

    def sync(self) -> None:
        """Wait until all that was put into the zone is on the disk, and survives a power cut."""
        self._folder.sync()

    def remove(self, path: str) -> bool:
        """Remove a file, and the folders that hold nothing then; gives whether there was one."""
        try:
            folder, name = self._regular(path)
            os.unlink(name, dir_fd=folder.fd)
        except (NotFound, FileNotFoundError):
            return False
        self._prune(path)
        return True

    def clear(self) -> int:
        """Remove every file and folder; returns how many files there were.

        A file that is just being written is not there yet, and is left alone.
        """
        return self._sweep(files=True)

    def tidy(self) -> None:
        """Remove the folders that hold nothing."""
        self._sweep(files=False)

    # Inside.

    def _regular(self, path: str) -> tuple[Folder, str]:
        """The folder and the name of a regular file."""
        with _in_zone(path):
            folder, name = self._folder.above(path)
            os.close(folder.regular(name, path))
            return folder, name

    def _place(self, path: str, put: Callable[[Folder, str], T]) -> T:
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError, DocumentNotFound):
                return put(*self._folder.place(path))
        return put(*self._folder.place(path))

    def _prune(self, path: str) -> None:
        """Remove the folders above a file that did not come to be, as far as they hold nothing."""
        above = path
        while above := above.rpartition("/")[0]:
            try:
                if not self._folder.remove_folder(above):
                    return
            except (OSError, PsthreadsError):
                return

    def _sweep(self, *, files: bool) -> int:
        removed = 0
        paths = [""]
        for path in paths:  # It grows on the way.
            try:
                folder, _ = self._folder.above(f"{path}/any")
                with os.scandir(folder.fd) as scanned:
                    entries = list(scanned)
            except (OSError, PsthreadsError):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    paths.append(f"{path}/{entry.name}")
                elif files:
                    with suppress(FileNotFoundError):
                        removed += self._unlink(folder, entry.name)
        for path in reversed(paths[1:]):
            with suppress(OSError, PsthreadsError):
                self._folder.remove_folder(path)
        return removed

    def _unlink(self, folder: Folder, name: str) -> int:
        """Remove one file, and say how many of those that can be seen are gone by that."""
        is_hidden = name.startswith(TEMPORARY)
        if is_hidden and time.time() - folder.look(name).st_mtime < _ABANDONED:
            return 0
        os.unlink(name, dir_fd=folder.fd)
        return 0 if is_hidden else 1


@contextmanager
def _in_zone(path: str) -> Iterator[None]:
    """Say of what is not there that it is not in the loading zone."""
    try:
        yield
    except DocumentNotFound:
        raise _absent(path) from None


def _absent(path: str) -> NotFound:
    return NotFound(f"There is no file '{shown(path)}' in the loading zone: upload it first.")
