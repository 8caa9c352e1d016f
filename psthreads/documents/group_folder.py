"""A group's documents: a folder where nothing leads outside it.

Whatever is opened below it is opened by `Folder.open`, name by name from the folder above, and never through a
symbolic link.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from psthreads.documents.document_tree import DocumentTree
from psthreads.documents.folder import Folder
from psthreads.documents.paths import fitting, names_of
from psthreads.domain.access import Group
from psthreads.domain.errors import Conflict, DocumentNotFound
from psthreads.system.syncing import sync_all


class GroupFolder(DocumentTree):
    """A group's documents. Paths are relative to the group's folder; a leading slash changes nothing.

    Every method that takes a path raises UnsafePath for one that could lead outside or is no path
    at all, and DocumentNotFound when nothing is there; both name the parameter `path`.
    """

    def __init__(self, group: Group, root: Path) -> None:
        super().__init__(root)
        self.group = group
        # The folders between which a document was last moved: most moves are between the same two.
        self._between: tuple[Folder, Folder] | None = None

    def create(self) -> None:
        """Make the group's folder; nothing happens when it exists."""
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)

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


def _in_the_way(folder: Folder, error: OSError, name: str, path: str) -> Exception:
    problem = folder.why(error, name, path)
    if isinstance(error, NotADirectoryError) and isinstance(problem, DocumentNotFound):
        return Conflict(f"'{folder.path}/{name}' is no folder, so there cannot be a '{path}': choose another path.")
    return problem
