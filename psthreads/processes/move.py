"""Moves a document, or a folder with everything below it, to another place in its group.

The destination is as with `mv`: an existing folder to move into, or else the new path. There are two differences.
Missing folders in the destination are created, and a destination that ends in a slash is a folder even if it does not
exist. A folder that meets a folder with its name is merged with it; with `merge=true` it is merged with the
destination itself, so that a move that was stopped can be continued.

Nothing is ever overwritten. Conflicts are looked for before anything moves. Of a document that conflicts later, an
error is reported, and both documents stay where they are.

Documents are moved one by one, and not with their folder: that gives progress, lets a cancel stop the rest, and
gives each document a line in the log. Each is renamed in one step, and is logged together with it, so that it always
has exactly one path. Links and other things that are not documents stay where they are.

With `dry-run`, conflicts are looked for, the log says what would move where, and nothing is changed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from itertools import groupby
from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.elements import Bar
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.group_documents import GroupDocuments, OnSkip
from psthreads.documents.paths import MAX_DEPTH, MAX_NAME, MAX_PATH
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, PsthreadsError, UnsafePath
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.moving import report_each

_NAMED: Final = 5  # conflicts in one message


@process(
    title="Moving thread for group {group}",
    route="/members/{member}/groups/{group}/move",
    time_limit=4 * 3600,
    exclusive=True,
)
def move(
    context: Context,
    path: Annotated[str, "the document or the folder to move"],
    destination: Annotated[str, Bounds(1), "a folder to move it into, or its new path"],
    merge: Annotated[bool, "merge the folder with the destination, if that exists"] = False,  # noqa: FBT002 (a parameter on the wire)
    dry_run: Annotated[bool, "only say what would move where"] = False,  # noqa: FBT002 (as above)
) -> Outcome | str:
    """Move a document or a folder to another place in the group."""
    work = _Move(context, *_source_and_target(context.folder, path, destination, merge=merge))
    return work.rehearse() if dry_run else work.run()


@move.check
def _check_paths(start: Start) -> None:
    values = start.values
    folder = cast("GroupDocuments", start.folder)
    _source_and_target(folder, str(values["path"]), str(values["destination"]), merge=bool(values["merge"]))


def _source_and_target(folder: GroupDocuments, path: str, destination: str, *, merge: bool) -> tuple[str, str]:
    """Return the current and the new path; raises an error for people if either is impossible."""
    source = folder.resolve(path)
    if source == "/":
        raise BadParameter("path", "The group's own folder cannot be moved: give the path of something in it.")
    is_folder = folder.is_folder(source)
    try:
        to = target = folder.placed(destination)
        kind = _kind(folder, to)
    except UnsafePath as error:
        error.name = "destination"
        raise
    is_parent = kind == _FOLDER or (kind is None and destination.endswith("/"))
    if is_parent and not (merge and is_folder):
        target = f"{to.rstrip('/')}/{source.rpartition('/')[2]}"
    if target == source:
        raise BadParameter("destination", f"'{source}' is there already: choose another destination.")
    if target.startswith(f"{source}/"):
        raise BadParameter("destination", f"'{to}' is in the folder that is moved: choose one outside it.")
    if _is_too_long(target) or any(len(name.encode()) > MAX_NAME for name in target.split("/")):
        raise BadParameter(
            "destination",
            f"The new path, or a name in it, would be too long, or too deep ({MAX_DEPTH}): choose a shorter one.",
        )
    for parent in _parents(target):
        if (kind := _kind(folder, parent)) not in {None, _FOLDER}:
            raise Conflict(f"'{parent}' is {kind}, and nothing can be put below it: choose another destination.")
    kind = _kind(folder, target)
    if kind is not None and not (is_folder and kind == _FOLDER):
        raise Conflict(
            f"There is {kind} at '{target}' already, and nothing is overwritten: move that away, or choose another "
            "destination."
        )
    return source, target


class _Visit(Enum):
    """What a walk visits: a document, or a folder before or after its contents."""

    DOCUMENT = auto()
    ENTERING = auto()
    LEAVING = auto()


class _Move:
    """One move between two checked paths."""

    def __init__(self, context: Context, source: str, target: str) -> None:
        self._context = context
        self._folder = context.folder
        self._source = source
        self._target = target
        self._new_folders: list[tuple[str, str]] = []  # each with the folder that it replaces, or ""
        self._moved = 0
        self._skipped = 0

    def run(self) -> Outcome | str:
        """Move everything; raises Conflict if a new path exists already."""
        context = self._context
        context.log(f"From {self._source} to {self._target}")
        context.message("Finding URIs")
        total = self._count()
        context.cleanup(self._remove_new_folders)
        is_complete = False
        try:
            for parent in _parents(self._target):
                self._make_folder("", parent)
            with context.bar("progress", total=total) as bar:
                walk = _walk(self._folder, self._source, self._skip)
                for are_documents, visits in groupby(walk, lambda visited: visited[0] is _Visit.DOCUMENT):
                    if are_documents:
                        self._move_documents((path for _, path in visits), bar)
                        continue
                    for visit, path in visits:
                        self._visit_folder(visit, path, bar)
            is_complete = True
        finally:
            if not is_complete:
                context.log(
                    f"Stopped with {self._moved:,} of {_files(total)} moved. What the log names as moving is at "
                    f"{self._target}, and the rest is where it was. A move with merge=true to the same destination "
                    "moves the rest.",
                    Level.WARN,
                )
        if context.errors:
            sentence = f"Moved {self._moved:,} of {_files(total)}: the log says which could not be moved, and why."
            return Outcome(Status.FAILED, sentence)
        return f"Successfully moved {_files(self._moved)}{self._left('was' if self._skipped == 1 else 'were')}"

    def rehearse(self) -> str:
        """Say what would move; raises Conflict as `run`."""
        context = self._context
        context.log(f"From {self._source} to {self._target}")
        context.message("Finding URIs")
        stays: list[bool] = []  # of the current folder and those above it: whether something in it stays

        def skip(path: str, reason: str) -> None:
            self._skip(path, reason)
            if stays:
                stays[-1] = True

        with context.bar("progress", total=self._count()) as bar:
            for visit, path in _walk(self._folder, self._source, skip):
                if visit is _Visit.ENTERING:
                    stays.append(False)
                    continue
                if visit is _Visit.LEAVING and stays.pop():
                    context.log(f"Folder {path} would stay, since it would not be empty.", Level.WARN)
                    if stays:
                        stays[-1] = True
                    continue
                context.message(f"Would move {path} to {self._new(path)}")
                self._moved += 1
                bar.advance()
        return f"Would move {_files(self._moved)}{self._left('would be')}. Nothing was changed."

    def _left(self, verb: str) -> str:
        return f"; {self._skipped:,} {verb} left in place" if self._skipped else ""

    def _new(self, path: str) -> str:
        return self._target.rstrip("/") + path[len(self._source) :] or "/"

    def _count(self) -> int:
        """Count the documents and folders to move; raises Conflict if the new path of one exists or is too long."""
        total = count = 0
        conflicts: list[str] = []
        # Conflicts are possible only below a folder that exists already.
        exists: list[bool] = [_kind(self._folder, self._target.rpartition("/")[0] or "/") == _FOLDER]
        for visit, path in _walk(self._folder, self._source):
            if visit is _Visit.LEAVING:
                exists.pop()
                continue
            total += 1
            new = self._new(path)
            kind = _kind(self._folder, new) if exists[-1] else None
            is_conflict = kind is not None and (kind != _FOLDER or visit is _Visit.DOCUMENT)
            if is_conflict and visit is _Visit.DOCUMENT and self._folder.is_copy(path, new):
                is_conflict = False  # A move that was stopped has left it, and this one ends that.
            if visit is _Visit.ENTERING:
                exists.append(kind == _FOLDER)
            if is_conflict or _is_too_long(new):
                count += 1
                conflicts += [f"'{new}'"] if len(conflicts) < _NAMED else []
        if count:
            more = f" and {count - len(conflicts):,} more" if count > len(conflicts) else ""
            raise Conflict(
                f"Nothing was moved, because nothing is overwritten: {', '.join(conflicts)}{more} "
                f"{'exists' if count == 1 else 'exist'} already, or would have too long a path, or more than "
                f"{MAX_DEPTH} folders above it."
            )
        return total

    def _make_folder(self, source: str, path: str) -> None:
        with self._context.shield():
            if self._folder.make_folder(path):
                self._new_folders.append((source, path))

    def _move_documents(self, paths: Iterator[str], bar: Bar) -> None:
        def report(path: str, _to: str, error: Exception | None) -> None:
            if error is None:
                self._moved_one(path, bar)
            else:
                self._report(path, error)

        report_each(self._context, self._folder.move_each((path, self._new(path)) for path in paths), report)

    def _visit_folder(self, visit: _Visit, path: str, bar: Bar) -> None:
        """Do what a visit needs and report it, so that no interrupt comes between the two."""
        with self._context.shield():
            try:
                if visit is _Visit.ENTERING:
                    self._make_folder(path, self._new(path))
                elif self._folder.remove_folder(path):
                    self._moved_one(path, bar)
                else:
                    self._context.log(f"Folder {path} stays, since it is not empty.", Level.WARN)
            except (PsthreadsError, OSError) as error:
                self._report(path, error)

    def _moved_one(self, path: str, bar: Bar) -> None:
        self._context.message(f"Moving {path}")
        self._moved += 1
        bar.advance()
        bar.total = max(bar.total, bar.current)  # There may be new documents.

    def _report(self, path: str, error: Exception) -> None:
        if _kind(self._folder, path) is None:
            self._context.warning(f"{path} was not moved: it is gone.")
        elif isinstance(error, DocumentNotFound):
            self._context.error(f"{path} was not moved: the folder for it does not exist.")
        elif isinstance(error, PsthreadsError):
            self._context.error(f"{path} was not moved: {error.message}")
        elif isinstance(error, OSError) and error.errno != errno.EXDEV:
            self._context.error(f"{path} was not moved: {error.strerror}.")
        else:
            self._context.error(f"{path} was not moved: its new place is on another disk.")

    def _skip(self, path: str, reason: str) -> None:
        self._skipped += 1
        self._context.warning(f"{path} was left in place: {reason}.")

    def _remove_new_folders(self) -> None:
        """Remove the new folders that are still empty, unless the folder that one replaces is gone."""
        for source, path in reversed(self._new_folders):
            if not source or _kind(self._folder, source) is not None:
                with suppress(PsthreadsError, OSError):
                    self._folder.remove_folder(path)


def _walk(
    folder: GroupDocuments, top: str, on_skip: OnSkip = lambda _path, _reason: None
) -> Iterator[tuple[_Visit, str]]:
    """Yield the path and everything below it, sorted by name in each folder. Its documents may move meanwhile."""

    def entries_of(path: str) -> list[tuple[str, bool]]:
        try:
            return folder.entries(path, on_skip)
        except (PsthreadsError, OSError):
            on_skip(path, "it is gone, or a link, or cannot be read")
            return []

    if not folder.is_folder(top):
        yield _Visit.DOCUMENT, top
        return
    yield _Visit.ENTERING, top
    levels = [(top, entries_of(top))]
    while levels:
        parent, entries = levels[-1]
        if not entries:
            levels.pop()
            yield _Visit.LEAVING, parent
            continue
        name, is_folder = entries.pop()
        path = f"{parent}/{name}"
        yield _Visit.ENTERING if is_folder else _Visit.DOCUMENT, path
        if is_folder:
            levels.append((path, entries_of(path)))


_FOLDER: Final = "a folder"


def _is_too_long(path: str) -> bool:
    return len(path) > MAX_PATH or path.count("/") > MAX_DEPTH + 1


def _kind(folder: GroupDocuments, path: str) -> str | None:
    """Return what is at the path, in words; None for nothing."""
    try:
        return _FOLDER if folder.is_folder(path) else "a document"
    except UnsafePath:
        return "a link or something else that is not a document"
    except DocumentNotFound:
        return None


def _parents(path: str) -> list[str]:
    """Return the folders above a path, topmost first, without the group's own."""
    names = path.split("/")[1:-1]
    return ["/" + "/".join(names[: count + 1]) for count in range(len(names))]


def _files(count: int) -> str:
    return f"{count:,} {'file/folder' if count == 1 else 'files/folders'}"
