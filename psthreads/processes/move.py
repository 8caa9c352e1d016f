"""Moves a document, or a folder with all that is below it, to another place in its group.

Where to is as with `mv`: into the destination where that is a folder; otherwise the destination is the new
path. Two things are not as with `mv`. Folders on the way that are missing are made, and a destination that ends
in a slash is a folder whether it exists or not. And a folder that meets one of its own name becomes one with it;
`merge=true` asks for that with the destination itself, so that a move that was stopped can be continued.

Nothing is ever overwritten. What is in the way is looked for before anything moves; what comes to be there
later stays, and so does the document that would have replaced it, with an error.

Documents are moved one by one and not as one folder: only so does progress mean anything, does a cancel stop
the rest, and can the log name each one that moved. Each is renamed in one step and logged in the same breath, so
that it is in one place at any moment. Links and what else is no document are left where they are.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.elements import Bar
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.folder import OnSkip
from psthreads.documents.layout import GroupFolder
from psthreads.documents.paths import MAX_NAME, MAX_PATH
from psthreads.domain.errors import BadParameter, Conflict, DocumentNotFound, PsthreadsError, UnsafePath
from psthreads.domain.model import Level, Outcome, Status

_NAMED: Final = 5  # of all that is in the way, in one message


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
    merge: Annotated[bool, "make the folder one with the destination, where that is there already"] = False,  # noqa: FBT002 (a parameter on the wire)
) -> Outcome | str:
    """Moves a document or a folder to another place in the group."""
    return _Move(context, *_places(context.folder, path, destination, merge=merge)).run()


@move.check
def _can_be_moved(start: Start) -> None:
    """Refuses a path that is absent, and a destination that cannot be, before anything starts."""
    values = start.values
    folder = cast("GroupFolder", start.folder)
    _places(folder, str(values["path"]), str(values["destination"]), merge=bool(values["merge"]))


def _places(folder: GroupFolder, path: str, destination: str, *, merge: bool) -> tuple[str, str]:
    """The path of what is moved, and its new path."""
    source = folder.resolve(path)
    if source == "/":
        raise BadParameter("path", "The group's own folder cannot be moved: give the path of something in it.")
    is_folder = folder.is_folder(source)
    try:
        to = target = folder.normal(destination)
        there = _there(folder, to)
    except UnsafePath as error:
        error.name = "destination"
        raise
    goes_into = there == _FOLDER or (there is None and destination.endswith("/"))
    if goes_into and not (merge and is_folder):
        target = f"{to.rstrip('/')}/{source.rpartition('/')[2]}"
    if target == source:
        raise BadParameter("destination", f"'{source}' is there already: choose another destination.")
    if target.startswith(f"{source}/"):
        raise BadParameter("destination", f"'{to}' is in the folder that is moved: choose one outside of it.")
    if len(target) > MAX_PATH or any(len(name.encode()) > MAX_NAME for name in target.split("/")):
        raise BadParameter("destination", "The new path, or a name in it, would be too long: choose a shorter one.")
    for above in _above(target):
        if (there := _there(folder, above)) not in {None, _FOLDER}:
            raise Conflict(f"'{above}' is {there}, and nothing can be put below it: choose another destination.")
    there = _there(folder, target)
    if there is not None and not (is_folder and there == _FOLDER):
        raise Conflict(
            f"There is {there} at '{target}' already, and nothing is overwritten: move that away, or choose another "
            "destination."
        )
    return source, target


class _At(Enum):
    """Where a walk stands: at a document, before what is in a folder, or after it."""

    DOCUMENT = auto()
    ENTERING = auto()
    LEAVING = auto()


class _Move:
    """One move, from when the places are known."""

    def __init__(self, context: Context, source: str, target: str) -> None:
        self._context = context
        self._folder = context.folder
        self._source = source
        self._target = target
        self._made: list[tuple[str, str]] = []
        self._moved = 0
        self._left = 0

    def run(self) -> Outcome | str:
        """Move everything; gives how it ended. Raises Conflict when something is in the way."""
        context = self._context
        context.log(f"From {self._source} to {self._target}")
        context.message("Finding URIs")
        total = self._survey()
        context.cleanup(self._tidy)
        is_whole = False
        try:
            self._make_above()
            with context.bar("progress", total=total) as bar:
                for at, path in _walk(self._folder, self._source, self._leave_out):
                    self._step(at, path, bar)
            is_whole = True
        finally:
            if not is_whole:
                context.log(
                    f"Stopped with {self._moved:,} of {_files(total)} moved. What the log names as moving is at "
                    f"{self._target}, the rest where it was; merge=true with that destination moves the rest.",
                    Level.WARN,
                )
        if context.errors:
            sentence = f"Moved {self._moved:,} of {_files(total)}: the log says which could not be moved, and why."
            return Outcome(Status.FAILED, sentence)
        left = f"; {self._left:,} {'was' if self._left == 1 else 'were'} left in place" if self._left else ""
        return f"Successfully moved {_files(self._moved)}{left}"

    # Inside.

    def _new(self, path: str) -> str:
        return self._target.rstrip("/") + path[len(self._source) :] or "/"

    def _survey(self) -> int:
        """How many documents and folders there are to move; raises Conflict when one of them has no place."""
        total = count = 0
        in_the_way: list[str] = []
        # Only below a folder that is there already can anything be in the way.
        shared: list[bool] = [_there(self._folder, self._above_target) == _FOLDER]
        for at, path in _walk(self._folder, self._source):
            if at is _At.LEAVING:
                shared.pop()
                continue
            total += 1
            new = self._new(path)
            there = _there(self._folder, new) if shared[-1] else None
            is_taken = there is not None and (there != _FOLDER or at is _At.DOCUMENT)
            if at is _At.ENTERING:
                shared.append(there == _FOLDER)
            if is_taken or len(new) > MAX_PATH:
                count += 1
                in_the_way += [f"'{new}'"] if len(in_the_way) < _NAMED else []
        if count:
            more = f" and {count - len(in_the_way):,} more" if count > len(in_the_way) else ""
            raise Conflict(
                f"Nothing was moved, since nothing is overwritten: {', '.join(in_the_way)}{more} "
                f"{'is' if count == 1 else 'are'} there already, or would have too long a path."
            )
        return total

    @property
    def _above_target(self) -> str:
        return self._target.rpartition("/")[0] or "/"

    def _make_above(self) -> None:
        for above in _above(self._target):
            with self._context.shield():
                if self._folder.make_folder(above):
                    self._made.append(("", above))

    def _step(self, at: _At, path: str, bar: Bar) -> None:
        """Do one thing, together with what is said about it, or say why it cannot be done."""
        with self._context.shield():
            try:
                if not self._do(at, path):
                    return
            except (PsthreadsError, OSError) as error:
                self._tell(path, error)
                return
            self._context.message(f"Moving {path}")
            self._moved += 1
            bar.advance()
            bar.total = max(bar.total, bar.current)  # Documents may have come meanwhile.

    def _do(self, at: _At, path: str) -> bool:
        """Whether now one thing more is moved."""
        if at is _At.DOCUMENT:
            self._folder.move(path, self._new(path))
            return True
        if at is _At.ENTERING:
            if self._folder.make_folder(self._new(path)):
                self._made.append((path, self._new(path)))
            return False
        if self._folder.remove_folder(path):
            return True
        self._context.log(f"Folder {path} stays, since it is not empty.", Level.WARN)
        return False

    def _tell(self, path: str, error: PsthreadsError | OSError) -> None:
        if _there(self._folder, path) is None:
            self._context.warning(f"{path} was not moved: it is gone.")
        elif isinstance(error, DocumentNotFound):
            self._context.error(f"{path} was not moved: the folder that it should go to is not there.")
        elif isinstance(error, PsthreadsError):
            self._context.error(f"{path} was not moved: {error.message}")
        elif error.errno == errno.EXDEV:
            self._context.error(f"{path} was not moved: its new place is on another disk.")
        else:
            self._context.error(f"{path} was not moved: {error.strerror}.")

    def _leave_out(self, path: str, reason: str) -> None:
        self._left += 1
        self._context.warning(f"{path} was left in place: {reason}.")

    def _tidy(self) -> None:
        """Take back the folders that were made and got nothing."""
        for path, new in reversed(self._made):
            if not path or _there(self._folder, path) is not None:
                with suppress(PsthreadsError, OSError):
                    self._folder.remove_folder(new)


def _walk(folder: GroupFolder, top: str, on_skip: OnSkip = lambda _path, _reason: None) -> Iterator[tuple[_At, str]]:
    """What there is at the path and below it, sorted by name in each folder; what moves meanwhile does no harm."""

    def names(path: str) -> list[tuple[str, bool]]:
        try:
            return folder.entries(path, on_skip)
        except (PsthreadsError, OSError):
            on_skip(path, "it is gone, or a link, or cannot be read")
            return []

    if not folder.is_folder(top):
        yield _At.DOCUMENT, top
        return
    yield _At.ENTERING, top
    ways = [(top, names(top))]
    while ways:
        at, left = ways[-1]
        if not left:
            ways.pop()
            yield _At.LEAVING, at
            continue
        name, is_folder = left.pop()
        path = f"{at}/{name}"
        yield _At.ENTERING if is_folder else _At.DOCUMENT, path
        if is_folder:
            ways.append((path, names(path)))


_FOLDER: Final = "a folder"


def _there(folder: GroupFolder, path: str) -> str | None:
    """What is at the path, in words; None when there is nothing."""
    try:
        return _FOLDER if folder.is_folder(path) else "a document"
    except UnsafePath:
        return "a link or something else that is no document"
    except DocumentNotFound:
        return None


def _above(path: str) -> list[str]:
    """The folders above a path, topmost first, without the group's own."""
    names = path.split("/")[1:-1]
    return ["/" + "/".join(names[: count + 1]) for count in range(len(names))]


def _files(count: int) -> str:
    return f"{count:,} {'file/folder' if count == 1 else 'files/folders'}"
