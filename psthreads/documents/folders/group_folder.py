"""A group's documents: a folder that no path leads out of.

Everything below it is opened by `Folder.open`, name by name, and never through a symbolic link.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from psthreads.documents.fence import NO_FENCE, Fence
from psthreads.documents.folders.document_tree import DocumentTree
from psthreads.documents.folders.folder import Folder
from psthreads.documents.group_documents import Moves
from psthreads.documents.paths import names_of, new_names_of
from psthreads.documents.side_by_side import InOrder
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, DocumentNotFound
from psthreads.system.syncing import sync_all

_NOT_A_DOCUMENT: Final = "The group's folder is not a document: give the path of a document."


class GroupFolder(DocumentTree):
    """A group's documents in a folder.

    `guard` is called before the folder is created, and raises where its disk is not mounted.
    """

    def __init__(
        self, group: Group, root: Path, guard: Callable[[], None] = lambda: None, fence: Fence = NO_FENCE
    ) -> None:
        super().__init__(root)
        self.group = group
        self.fence = fence
        self._guard = guard
        # The folders of the last move: the next one is mostly between the same two.
        self._move_folders: tuple[Folder, Folder] | None = None

    def create(self) -> None:
        """Create the group's folder if it does not exist."""
        if not self._root.is_dir():
            self._guard()
            self._root.mkdir(mode=0o750, parents=True, exist_ok=True)

    def beside(self, mark: str) -> GroupFolder:
        """Return a folder of the same group next to this one, whose name ends with a mark."""
        return GroupFolder(self.group, self._root.with_name(f"{self._root.name}~{mark}"), self._guard, self.fence)

    def remove_if_empty(self) -> None:
        """Remove this folder itself where nothing is in it."""
        with suppress(OSError):
            self._root.rmdir()

    def write(self, path: str, content: bytes) -> None:
        """Write a document in one step, and create missing folders; raises Conflict if the path is a folder."""
        folder, name = self.place(path)
        try:
            with folder.write(name) as file:
                file.write(content)
                self.fence.require_lease()
        except IsADirectoryError:
            raise Conflict(f"'{path}' is a folder: choose another path.") from None

    def place(self, path: str) -> tuple[Folder, str]:
        """Return the folder for a document with this path, and its name there; creates missing folders.

        Raises Conflict if one of the folders exists as a document.
        """
        names = new_names_of(path)
        normal = "/" + "/".join(names)
        if not names:
            raise Conflict(_NOT_A_DOCUMENT)
        self.fence.require_lease()
        self.create()
        folder = self._enter((), "/")
        for name in names[:-1]:
            with suppress(FileExistsError):
                os.mkdir(folder.stored(name), mode=0o750, dir_fd=folder.fd)
            try:
                folder = folder.enter(name)
            except OSError as error:
                raise _obstacle(folder, error, name, normal) from None
        return folder, folder.stored(names[-1])

    def kind(self, path: str) -> str:
        """Do as GroupDocuments."""
        names = new_names_of(path)
        normal = "/" + "/".join(names)
        try:
            folder = Folder.at(self._root)
            for name in names[:-1]:
                try:
                    folder = folder.enter(name)
                except NotADirectoryError as error:
                    raise _obstacle(folder, error, name, normal) from None
            return "folder" if not names or self._is_folder(folder, names[-1], normal) else "document"
        except (FileNotFoundError, DocumentNotFound):
            return ""

    def kind_each(self, paths: Iterable[str]) -> Iterator[tuple[str, str | Exception]]:
        """Do as GroupDocuments, one by one."""
        return InOrder(self.kind, paths)

    def make_folder(self, path: str) -> bool:
        """Do as GroupDocuments."""
        self.create()
        if not names_of(path):
            return False
        parent, name = self.parent(path)
        try:
            os.mkdir(name, mode=0o750, dir_fd=parent.fd)
        except FileExistsError:
            if self.is_folder(path):
                return False
            raise Conflict(f"'{path}' is a document: choose another path for the folder.") from None
        return True

    def remove_folder(self, path: str) -> bool:
        """Do as GroupDocuments."""
        if not names_of(path):
            return False
        parent, name = self.parent(path)
        try:
            os.rmdir(name, dir_fd=parent.fd)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        return True

    def move(self, path: str, to: str) -> None:
        """Do as GroupDocuments, in one step. Raises OSError if the file system refuses."""
        if not (names := names_of(path)):
            raise DocumentNotFound("/")
        if not (new_names := names_of(to)):
            raise Conflict(_NOT_A_DOCUMENT)
        (*source, name), (*target, new) = names, new_names
        paths = ("/".join(["", *source]), "/".join(["", *target]))
        folders = self._move_folders
        is_cached = folders is not None and (folders[0].path, folders[1].path) == paths
        if folders is None or not is_cached:
            folders = self._move_folders = (self._enter(source, path), self._enter(target, to))
        self.fence.require_lease()
        try:
            folders[0].move(name, folders[1], new)
        except FileExistsError:
            raise Conflict(f"There is something at '{to}' already.") from None
        except FileNotFoundError:
            self._move_folders = None
            if is_cached:  # One of the two paths may lead to another folder by now.
                return self.move(path, to)
            raise DocumentNotFound(path) from None
        return None

    def move_each(self, moves: Iterable[tuple[str, str]]) -> Moves:
        """Do as GroupDocuments, one by one: a rename takes no time."""
        return InOrder(lambda each: self.move(*each), moves)

    def is_copy(self, path: str, to: str) -> bool:  # noqa: ARG002 (as GroupDocuments has it)
        """Return False: a rename leaves no copy."""
        return False

    def sync(self) -> None:
        """Wait until everything written to the folder is on the disk, and would survive a power cut."""
        folder = Folder.at(self._root)  # It closes with its last reference.
        sync_all(folder.fd)


def _obstacle(folder: Folder, error: OSError, name: str, path: str) -> Exception:
    problem = folder.reason(error, name, path)
    if isinstance(error, NotADirectoryError) and isinstance(problem, DocumentNotFound):
        return Conflict(f"'{folder.path}/{name}' is not a folder, so '{path}' cannot be in it: choose another path.")
    return problem
