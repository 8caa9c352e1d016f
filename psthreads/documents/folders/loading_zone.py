"""Loading zones: where a member's uploads wait until they become documents of a group.

Each member has one for each group. It is a folder like a group's own, and is handled by the same code: everything
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
from typing import BinaryIO, Final, TypeVar

from psthreads.documents.folders.folder import Folder
from psthreads.documents.folders.group_folder import GroupFolder
from psthreads.documents.group_documents import Document, GroupDocuments, OnSkip
from psthreads.documents.paths import TEMPORARY, names_of, printable
from psthreads.documents.result_files import ResultFile
from psthreads.documents.zones import ABANDONED, Arrival, MemberZone, StagedFiles, absent, in_zone
from psthreads.domain.errors import (
    Conflict,
    DocumentNotFound,
    NotFound,
    PsthreadsError,
)

T = TypeVar("T")

_TRIES: Final = 100  # to write into a new folder that others remove again and again while it is empty


class FileArrival(Arrival):
    """A file on its way to the disk."""

    def __init__(self, file: ResultFile, most: int) -> None:
        super().__init__(file.write, most)
        self._file = file

    def complete(self) -> None:
        """Do nothing: what is written is on its way to the disk."""

    def settle(self, sync: Callable[[int], None] = os.fsync) -> None:
        """Write the data to the disk; then only the file's name is missing."""
        self._file.flush()
        sync(self._file.fileno())


class LoadingZone(MemberZone):
    """One member's files for one group in a folder."""

    _tree: GroupFolder
    WIDTH = 0

    def walk(self, on_skip: OnSkip, after: str = "") -> Iterator[Document]:
        """Do as MemberZone."""
        last = tuple(names_of(after))
        return (file for file in self._tree.walk("", on_skip) if not last or tuple(names_of(file.path)) > last)

    def resolve(self, path: str) -> str:
        """Do as MemberZone."""
        with in_zone(path):
            normal = self._tree.resolve(path)
            if self._tree.is_folder(normal):
                raise DocumentNotFound(path)
            return normal

    @contextmanager
    def write(
        self,
        path: str,
        most: int,
        sync: Callable[[int], None] = os.fsync,
        *,
        waits: bool = False,  # noqa: ARG002 (as MemberZone has it)
    ) -> Iterator[FileArrival]:
        """Do as MemberZone."""
        self._check_new(path)
        try:
            with ExitStack() as stack:
                file = self._place(path, lambda folder, name: stack.enter_context(folder.write(name, sync)))
                yield FileArrival(file, most)
        except IsADirectoryError:
            raise Conflict(
                f"'{printable(path)}' became a folder in the loading zone: choose another filename."
            ) from None
        except BaseException:
            self._prune(path)
            raise

    def take(self, staged: StagedFiles, path: str, to: str) -> bool:
        """Do as MemberZone: by a rename, which a folder refuses where there is one, or between two disks."""
        local = staged.local_path(path)
        source, old = Folder.at(local.parent), local.name

        def move(folder: Folder, name: str) -> bool:
            try:
                os.replace(old, name, src_dir_fd=source.fd, dst_dir_fd=folder.fd)
            except OSError as error:
                if local.is_dir():
                    return False
                if error.errno != errno.EXDEV:
                    raise
                with local.open("rb") as file, folder.write(name) as target:
                    _copy(file, target)
            return True

        return self._place(to, move)

    def move_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as MemberZone: by a rename."""
        source, name = self._regular(path)
        target, new = _folder_of(documents).place(to)
        with _conflicts(to):
            try:
                if overwrite:
                    os.replace(name, new, src_dir_fd=source.fd, dst_dir_fd=target.fd)
                else:
                    source.move(name, target, new)
            except FileNotFoundError:
                raise absent(path) from None

    def copy_out(self, path: str, documents: GroupDocuments, to: str, *, overwrite: bool) -> None:
        """Do as MemberZone."""
        folder = _folder_of(documents)
        target, new = folder.place(to)
        temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
        with _conflicts(to):
            try:
                with self.open(path) as source, target.write(new if overwrite else temporary) as file:
                    _copy(source, file)
                    folder.fence.require_lease()
                if not overwrite:
                    target.move(temporary, target, new)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=target.fd)
        self.remove(path)

    def is_copy(self, path: str, documents: GroupDocuments, to: str) -> bool:  # noqa: ARG002 (as MemberZone has it)
        """Return False: a rename leaves no copy."""
        return False

    def remove(self, path: str) -> bool:
        """Do as MemberZone."""
        try:
            folder, name = self._regular(path)
            os.unlink(name, dir_fd=folder.fd)
        except (NotFound, FileNotFoundError):
            return False
        self._prune(path)
        return True

    def clear_measured(self) -> tuple[int, int]:
        """Do as MemberZone."""
        return self._clear(files=True)

    def remove_empty_folders(self) -> None:
        """Do as MemberZone."""
        self._clear(files=False)

    def _regular(self, path: str) -> tuple[Folder, str]:
        with in_zone(path):
            folder, name = self._tree.parent(path)
            os.close(folder.open_regular(name, path))
            return folder, name

    def _place(self, path: str, put: Callable[[Folder, str], T]) -> T:
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError, DocumentNotFound):
                return put(*self._tree.place(path))
        return put(*self._tree.place(path))

    def _prune(self, path: str) -> None:
        """Remove the empty folders above a file that does not exist."""
        *names, _ = names_of(path)
        levels: list[tuple[str, str, tuple[int, int]]] = []
        with suppress(OSError, PsthreadsError):
            folder, _ = self._tree.parent("any")
            for name in names:
                levels.append((folder.stored(name), folder.path, folder.identity))
                folder = folder.enter(name)
            for name, above, identity in reversed(levels):
                folder = folder.back(above, identity)
                os.rmdir(name, dir_fd=folder.fd)  # It fails where something is in it.

    def _clear(self, *, files: bool) -> tuple[int, int]:
        removed = size = 0
        try:
            root, _ = self._tree.parent("any")
        except (OSError, PsthreadsError):
            return 0, 0
        for folder, names in root.below():
            for name, is_folder in names:
                if is_folder:
                    with suppress(OSError):
                        os.rmdir(name, dir_fd=folder.fd)
                elif files:
                    with suppress(FileNotFoundError):
                        length = folder.stat(name).st_size
                        count = self._unlink(folder, name)
                        removed, size = removed + count, size + count * length
        if self.upload_id:  # There may be any number of these, which quotas count by their files.
            self._tree.remove_if_empty()
        return removed, size

    def _unlink(self, folder: Folder, name: str) -> int:
        """Remove one file, unless it is still being written; returns how many visible files that removed."""
        is_hidden = name.startswith(TEMPORARY)
        if is_hidden and time.time() - folder.stat(name).st_mtime < ABANDONED:
            return 0
        os.unlink(name, dir_fd=folder.fd)
        return 0 if is_hidden else 1


def _copy(source: BinaryIO, target: ResultFile) -> None:
    """Copy a file's content and the time of its last change."""
    shutil.copyfileobj(source, target)
    target.flush()
    status = os.fstat(source.fileno())
    os.utime(target.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _folder_of(documents: GroupDocuments) -> GroupFolder:
    if not isinstance(documents, GroupFolder):
        raise TypeError("A zone in a folder moves its files to documents in a folder")
    return documents


@contextmanager
def _conflicts(to: str) -> Iterator[None]:
    """Turn the errors of a rename to this path into Conflict."""
    try:
        yield
    except FileExistsError:
        raise Conflict(f"There is something at '{to}' already.") from None
    except IsADirectoryError:
        raise Conflict(f"'{to}' is a folder.") from None
