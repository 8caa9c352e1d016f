"""Exports the documents of a group as a zip file.

`includes` and `excludes` are patterns with commas between them. In a pattern `*` stands for any
characters of one name, `?` for one, `[abc]` for one of these, and `**` for any number of folders.
A pattern without a slash is compared with a document's name in whatever folder it is; one with a
slash with its whole path in the group, where a leading slash changes nothing; one that ends in a
slash takes everything in that folder. Upper and lower case differ. A document is exported when an
include matches it, or there are none, and no exclude does.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Answer, Start
from psthreads.authoring.registry import process
from psthreads.documents.layout import Document, GroupFolder
from psthreads.domain.errors import BadParameter, DocumentNotFound, PsthreadsError, UnsafePath
from psthreads.processes.archives.zip_writer import SMALL, ZipWriter

_AT_ONCE: Final = 20  # documents that need no thread
_AT_ONCE_BYTES: Final = 64 * 1024 * 1024  # and how large they may be together: whoever asked is waiting
_LOOKED_AT: Final = 5_000  # documents that are looked at for an answer at once


@process(
    title="Exporting {path} of group {group}",
    route="/members/{member}/groups/{group}/export",
    methods=("GET", "POST"),
    time_limit=4 * 3600,
    restartable=True,
)
def export(
    context: Context,
    path: Annotated[str, "the folder or the document to export"] = "/",
    includes: Annotated[str, "only what these patterns match: *.psml, /documents/minutes/, with commas between"] = "",
    excludes: Annotated[str, "not what these patterns match: * is within a name, ** across folders"] = "",
) -> str:
    """Packs the documents below a path into a zip file that can be downloaded."""
    folder = context.folder
    selection = Selection(includes, excludes)
    temporary = context.temporary()
    # What grows with the number of documents is on disk, for a group may have a million.
    with (
        (temporary / "chosen").open("w+b") as chosen,
        (temporary / "directory").open("w+b") as directory,
        ExitStack() as pending,
    ):
        context.message(f"Selecting documents below {path or '/'}")
        count = _select(context, path, selection, chosen)
        if not count:
            raise selection.empty()
        context.message(f"Packaging {_documents(count)}")
        packed = size = 0
        file = pending.enter_context(context.result(f"{_plain(folder.group.name)}-export-{context.thread_id}.zip"))
        archive = ZipWriter(file, directory)
        with context.bar("packaging", total=count) as bar, folder.keeping_folder():
            for document in bar.iter(_chosen(chosen)):
                context.check()
                try:
                    content = _content(folder, document)
                except (PsthreadsError, OSError):
                    context.warning(f"{document.path} was left out: it is gone, or can no longer be read.")
                    continue
                size += _add(archive, document, content)
                packed += 1
        archive.close()
        with context.shield():  # The file is there if and only if the thread names it.
            pending.close()
            context.element("zip", file.filename)
    return f"Exported {_documents(packed)} ({_size(size)})"


@export.check
def _few_at_once(start: Start) -> Answer | None:
    """Refuses what cannot be exported, and answers with the zip file at once when it is small."""
    folder, path = cast("GroupFolder", start.folder), str(start.values["path"])
    selection = Selection(str(start.values["includes"]), str(start.values["excludes"]))
    folder.resolve(path)
    seen = list(islice(folder.walk(path), _LOOKED_AT + 1))
    documents = [document for document in seen if selection.takes(document.path)]
    if not documents and len(seen) <= _LOOKED_AT:
        raise selection.empty()
    size = sum(document.size for document in documents)
    if len(seen) > _LOOKED_AT or len(documents) > _AT_ONCE or size > _AT_ONCE_BYTES:
        return None
    with tempfile.NamedTemporaryFile(dir=start.scratch, prefix="export-", suffix=".zip", delete=False) as file:
        try:
            archive = ZipWriter(cast("BinaryIO", file), BytesIO())
            for document in documents:
                _add(archive, document, _content(folder, document))
            archive.close()
            file.flush()  # A disk that is full fails here, and not when nobody removes the file any more.
        except (DocumentNotFound, UnsafePath, PermissionError):  # A thread will say what it left out.
            Path(file.name).unlink()
            return None
        except BaseException:
            Path(file.name).unlink()
            raise
    return Answer(Path(file.name), f"{_plain(folder.group.name)}-export.zip", "application/zip")


class Selection:
    """Which documents are exported: the includes and excludes of a request."""

    def __init__(self, includes: str, excludes: str) -> None:
        self._includes = tuple(_patterns(includes))
        self._excludes = tuple(_patterns(excludes))

    def takes(self, path: str) -> bool:
        """Whether a document with this path in the group is exported."""
        if not self._includes and not self._excludes:
            return True
        names = path.lstrip("/").split("/")
        if self._includes and not _any(self._includes, names):
            return False
        return not _any(self._excludes, names)

    def empty(self) -> BadParameter:
        """The error for a selection that takes nothing."""
        name = "includes" if self._includes else "excludes" if self._excludes else "path"
        return BadParameter(name, "No document matches: there is nothing to export. Check the path and the patterns.")


def _patterns(text: str) -> Iterator[list[str]]:
    for pattern in text.split(","):
        names = pattern.strip()
        if names.endswith("/"):
            names += "**"
        if "/" not in names.lstrip("/") and not names.startswith("/"):
            names = f"**/{names}" if names else ""
        if names:
            yield [name for name in names.split("/") if name]


def _any(patterns: Iterable[Sequence[str]], names: Sequence[str]) -> bool:
    return any(_matches(pattern, names) for pattern in patterns)


def _matches(pattern: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the names match one by one; `**` takes any number of them, also none."""
    at = place = 0
    # Where to go on when a name does not match: the last `**` takes one name more. Only the last
    # one ever needs to, so that no pattern takes long.
    after, taken = -1, 0
    while place < len(names):
        if at < len(pattern) and pattern[at] == "**":
            after, taken = at + 1, place
            at += 1
        elif at < len(pattern) and fnmatchcase(names[place], pattern[at]):
            at, place = at + 1, place + 1
        elif after >= 0:
            taken += 1
            at, place = after, taken
        else:
            return False
    return all(name == "**" for name in pattern[at:])


def _select(context: Context, path: str, selection: Selection, chosen: BinaryIO) -> int:
    """Write the documents that are to be exported to a file, a line for each; returns how many there are."""
    folder = context.folder
    count = 0

    def left_out(skipped: str, reason: str) -> None:
        context.warning(f"{skipped} was left out: {reason}.")

    with context.bar("processing", total=folder.count(path)) as bar:
        for document in bar.iter(folder.walk(path, left_out)):
            if selection.takes(document.path):
                # A path holds no line break.
                chosen.write(f"{document.size} {document.modified} {document.path}\n".encode())
                count += 1
        bar.total = bar.current  # Documents may have come or gone meanwhile.
    return count


def _chosen(chosen: BinaryIO) -> Iterator[Document]:
    chosen.seek(0)
    for line in chosen:
        size, modified, path = line.decode().rstrip("\n").split(" ", 2)
        yield Document(path, int(size), int(modified))


def _content(folder: GroupFolder, document: Document) -> bytes | BinaryIO:
    """What is in a document: its bytes when it is small, else the document opened. Raises as opening it does."""
    if document.size <= SMALL:
        data = folder.read(document.path, document.size + 1)
        if len(data) <= document.size:  # Else it grew since it was found.
            return data
    return folder.open(document.path)


def _add(archive: ZipWriter, document: Document, content: bytes | BinaryIO) -> int:
    """Put a document into the archive; returns its size in bytes."""
    name = document.path.lstrip("/")
    if isinstance(content, bytes):
        archive.add(name, document.modified, content)
        return len(content)
    with content:
        return archive.stream(name, document.modified, content, document.size)


def _documents(count: int) -> str:
    return f"{count:,} {'document' if count == 1 else 'documents'}"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 (the step from one unit to the next)
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _plain(name: str) -> str:
    """A group's name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80] or "group"
