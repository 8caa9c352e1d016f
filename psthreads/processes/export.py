"""Exports a group's documents as a zip file.

`includes` and `excludes` are patterns separated by commas. In a pattern, `*` matches any characters within a name,
`?` one character, `[abc]` one of these, and `**` any number of folders. A pattern without a slash matches names in any
folder. A pattern with a slash matches whole paths in the group, with or without a leading slash; if it ends in a
slash, it matches everything below that folder. Case matters. A document is exported if an include matches it, or
there are none, and no exclude does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import Annotated, BinaryIO, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Answer, Start
from psthreads.authoring.registry import process
from psthreads.documents.group_documents import Document, GroupDocuments
from psthreads.documents.paths import composed
from psthreads.domain.errors import BadParameter, DocumentNotFound, PsthreadsError, UnsafePath
from psthreads.processes.archives.names import suits_windows
from psthreads.processes.archives.zip_writer import SMALL, ZipWriter
from psthreads.processes.wording import filename_of, many, warn_of_skips

# The limits of an export without a thread: the client is waiting.
_AT_ONCE: Final = 20  # documents
_AT_ONCE_BYTES: Final = 64 * 1024 * 1024
_AT_ONCE_WALK: Final = 5_000  # documents that are compared with the patterns
_AT_ONCE_SECONDS: Final = 1.0

_MOST_PATTERNS: Final = 50
_MOST_WARNED: Final = 20  # names that Windows cannot have


@process(
    title="Exporting {path} of group {group}",
    route="/members/{member}/groups/{group}/export",
    methods=("GET", "POST"),
    time_limit=4 * 3600,
    restartable=True,
    file="application/zip",
)
def export(
    context: Context,
    path: Annotated[str, "the folder or the document to export"] = "/",
    includes: Annotated[str, "only what these patterns match: *.psml, /documents/minutes/, separated by commas"] = "",
    excludes: Annotated[str, "not what these patterns match: * is within a name, ** across folders"] = "",
) -> str:
    """Pack the documents below a path into a zip file to download."""
    folder = context.folder
    selection = Selection(includes, excludes)
    temporary = context.temporary()
    # Everything that grows with the number of documents is on disk: a group may have a million.
    with (
        (temporary / "selected").open("w+b") as selected,
        (temporary / "directory").open("w+b") as directory,
        ExitStack() as pending,
    ):
        context.message(f"Selecting documents below {path or '/'}")
        count = _select(context, path, selection, selected)
        if not count:
            raise selection.empty()
        context.message(f"Packaging {many(count, 'document')}")
        packed = size = 0
        file = pending.enter_context(context.result(f"{filename_of(folder.group)}-export-{context.thread_id}.zip"))
        archive = ZipWriter(file, directory)
        left_out = warn_of_skips(context)
        odd = _OddNames(context)
        with context.bar("packaging", total=count) as bar:
            for document, content in bar.iter(folder.read_each(_selected(selected), SMALL)):
                context.check()
                try:
                    source = folder.open(document.path) if content is None else _there(content)
                except (PsthreadsError, OSError):
                    left_out(document.path, "it is gone, or can no longer be read")
                    continue
                odd.look_at(document.path)
                size += _add(archive, document, source)
                packed += 1
        archive.close()
        with context.shield():  # The file exists if and only if the thread names it.
            pending.close()
            context.element("zip", file.filename)
    return f"Exported {many(packed, 'document')} ({_size(size)}){odd.summary}"


@export.check
def _export_at_once(start: Start) -> Answer | None:
    """Raise BadParameter if nothing matches, and return a small export at once."""
    folder, path = cast("GroupDocuments", start.folder), str(start.values["path"])
    selection = Selection(str(start.values["includes"]), str(start.values["excludes"]))
    folder.resolve(path)
    until = time.monotonic() + _AT_ONCE_SECONDS
    documents: list[Document] = []
    size = 0
    for number, document in enumerate(folder.walk(path)):
        if selection.takes(document.path):
            documents.append(document)
            size += document.size
            if not suits_windows(document.path):
                return None  # A thread can report it.
        is_much = number >= _AT_ONCE_WALK or len(documents) > _AT_ONCE or size > _AT_ONCE_BYTES
        if is_much or time.monotonic() > until:
            return None
    if not documents:
        raise selection.empty()
    with tempfile.NamedTemporaryFile(dir=start.scratch, prefix="export-", suffix=".zip", delete=False) as file:
        try:
            archive = ZipWriter(cast("BinaryIO", file), BytesIO())
            for document in documents:
                _add(archive, document, _content(folder, document))
            archive.close()
            file.flush()  # Let a full disk fail here, where the file is removed.
        except (DocumentNotFound, UnsafePath, PermissionError):  # A thread can report what it leaves out.
            Path(file.name).unlink()
            return None
        except BaseException:
            Path(file.name).unlink()
            raise
    return Answer(Path(file.name), f"{filename_of(folder.group)}-export.zip", "application/zip")


class Selection:
    """The includes and excludes of a request."""

    def __init__(self, includes: str, excludes: str) -> None:
        self._includes = tuple(_patterns(includes))
        self._excludes = tuple(_patterns(excludes))
        if len(self._includes) + len(self._excludes) > _MOST_PATTERNS:
            name = "includes" if len(self._includes) > len(self._excludes) else "excludes"
            raise BadParameter(name, f"There are more than {_MOST_PATTERNS} patterns: export a folder, or use fewer.")

    def takes(self, path: str) -> bool:
        """Tell whether a document with this path in the group is exported."""
        if not self._includes and not self._excludes:
            return True
        names = composed(path).lstrip("/").split("/")
        if self._includes and not _any(self._includes, names):
            return False
        return not _any(self._excludes, names)

    def empty(self) -> BadParameter:
        """Return the error for a selection that matches nothing."""
        name = "includes" if self._includes else "excludes" if self._excludes else "path"
        return BadParameter(name, "No document matches: there is nothing to export. Check the path and the patterns.")


class _OddNames:
    """Warns of names that Windows cannot have: a member there gets no such file out of the zip file."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0

    def look_at(self, path: str) -> None:
        if suits_windows(path):
            return
        self._count += 1
        if self._count <= _MOST_WARNED:
            self._context.warning(f"{path} has a name that Windows cannot have: rename it if it is needed there.")

    @property
    def summary(self) -> str:
        """The end of the sentence on the export."""
        count = f"{self._count:,} {'name' if self._count == 1 else 'names'}"
        return f"; Windows cannot have {count} in it, as the log says" if self._count else ""


def _patterns(text: str) -> Iterator[list[str]]:
    for pattern in composed(text).split(","):
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
    """Tell whether the names match one by one; `**` matches any number of names."""
    part = place = 0
    # Where to continue after a mismatch: the last `**` matches one name more. Only the last one needs to, so that
    # the time is bounded.
    retry_part, retry_place = -1, 0
    while place < len(names):
        if part < len(pattern) and pattern[part] == "**":
            retry_part, retry_place = part + 1, place
            part += 1
        elif part < len(pattern) and fnmatchcase(names[place], pattern[part]):
            part, place = part + 1, place + 1
        elif retry_part >= 0:
            retry_place += 1
            part, place = retry_part, retry_place
        else:
            return False
    return all(name == "**" for name in pattern[part:])


def _select(context: Context, path: str, selection: Selection, selected: BinaryIO) -> int:
    """Write the selected documents to a file, one a line; returns their number."""
    folder = context.folder
    count = 0
    with context.bar("processing", total=folder.count(path)) as bar:
        for document in bar.iter(folder.walk(path, warn_of_skips(context))):
            if selection.takes(document.path):
                # A path contains no line break.
                selected.write(f"{document.size} {document.modified} {document.path}\n".encode())
                count += 1
        bar.total = bar.current  # The number of documents may have changed.
    return count


def _selected(selected: BinaryIO) -> Iterator[Document]:
    selected.seek(0)
    for line in selected:
        size, modified, path = line.decode().rstrip("\n").split(" ", 2)
        yield Document(path, int(size), int(modified))


def _content(folder: GroupDocuments, document: Document) -> bytes | BinaryIO:
    """Return a small document's bytes, or open a large one; raises as `GroupDocuments.open`."""
    if document.size <= SMALL:
        data = folder.read(document.path, document.size + 1)
        if len(data) <= document.size:  # Otherwise it has grown.
            return data
    return folder.open(document.path)


def _there(content: bytes | Exception) -> bytes:
    if isinstance(content, Exception):
        raise content
    return content


def _add(archive: ZipWriter, document: Document, content: bytes | BinaryIO) -> int:
    """Add a document to the archive; returns its size in bytes."""
    name = document.path.lstrip("/")
    if isinstance(content, bytes):
        archive.add(name, document.modified, content)
        return len(content)
    with content:
        return archive.stream(name, document.modified, content, document.size)


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 (the step from one unit to the next)
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
