"""Puts the files of a member's loading zone among the documents of the group.

What is promised: a document is at any moment either as it was before or as it was uploaded, and never half of
one. Each file is moved in one step and leaves the zone by that, so that a load that was stopped goes on where it
was when it is started again. Before the first file is moved, everything is checked that can be: nothing is loaded
when a document exists already and may not be overwritten, or when one is not valid and that was asked for. The thread
is completed once everything is on the disk.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, BinaryIO, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.layout import GroupFolder
from psthreads.documents.loading_zone import LoadingZone
from psthreads.domain.errors import BadParameter, PsthreadsError
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.validate import is_xml
from psthreads.processes.xml.checking import Checker
from psthreads.processes.xml.parsing import MOST_TOLD

_TOLD: Final = 100  # files that cannot be loaded, each by an event


@process(
    title="Loading into {folder} of group {group}",
    route="/members/{member}/groups/{group}/loadingzone/start",
    time_limit=4 * 3600,
    restartable=True,
    exclusive=True,
    wrapper="load-start",
)
def load(
    context: Context,
    validate: Annotated[bool, "whether the XML documents must be valid, or else nothing is loaded"] = False,  # noqa: FBT002 (a parameter on the wire)
    overwrite: Annotated[bool, "whether documents that exist are replaced; otherwise nothing is loaded"] = False,  # noqa: FBT002 (as above)
    folder: Annotated[str, "the folder of the group to load into"] = "/",
) -> Outcome | str:
    """Puts the files of the member's loading zone among the documents of the group."""
    return _Load(context, folder, overwrite=overwrite).run(validate=validate)


@load.check
def _folder_is_usable(start: Start) -> None:
    """Refuses a folder that is unsafe, or is a document, before anything starts."""
    _base(cast("GroupFolder", start.folder), str(start.values["folder"]))


def _base(documents: GroupFolder, folder: str) -> str:
    """What the path of every document that is loaded starts with."""
    if documents.kind(folder) == "document":
        raise BadParameter("folder", f"'{folder}' is a document: give the path of a folder.")
    return documents.normal(folder).rstrip("/")


class _Load:
    """One load: the files of the zone, and the document that each is to be."""

    def __init__(self, context: Context, folder: str, *, overwrite: bool) -> None:
        self._context = context
        self._zone = context.loading_zone
        self._documents = context.folder
        self._overwrite = overwrite
        base = _base(self._documents, folder)
        context.message("Looking at the loading zone")
        self._files = [
            (file.path, replace(file, path=f"{base}{file.path}")) for file in self._zone.walk(self._left_out)
        ]

    def run(self, *, validate: bool) -> Outcome | str:
        """Load the files, or say why not."""
        context = self._context
        if not self._files:
            return Outcome(Status.COMPLETED, "There was nothing to load: the loading zone is empty.")
        if in_the_way := self._tell_capped(self._in_the_way()):
            again = "" if self._overwrite else ": repeat it with overwrite=true, or with another folder"
            return _nothing(f"{in_the_way:,} of {_files(len(self._files))} cannot be put in place{again}.")
        if validate and (invalid := self._tell_capped(self._invalid())):
            return _nothing(f"{invalid:,} of {_files(len(self._files))} are not valid.")
        loaded = 0
        with context.bar("progress", total=len(self._files)) as bar:
            for path, document in bar.iter(self._files):
                loaded += self._load(path, document.path)
        context.message("Waiting for the disk")
        self._documents.sync()
        self._zone.remove_empty_folders()
        sentence = f"Successfully loaded {_files(loaded)}"
        if missing := len(self._files) - loaded:
            failed = context.errors > 0
            sentence = f"Loaded {_files(loaded)}; {missing:,} could not be, as the log says."
            return Outcome(Status.FAILED if failed else Status.COMPLETED, sentence)
        return sentence

    # Inside.

    def _left_out(self, path: str, reason: str) -> None:
        self._context.warning(f"{path} in the loading zone was left out: {reason}.")

    def _tell_capped(self, problems: Iterable[str]) -> int:
        """Tell the problems, and how many there are."""
        count = 0
        for problem in problems:
            count += 1
            if count <= _TOLD:
                self._context.error(problem)
        if count > _TOLD:
            self._context.log(f"There are {count - _TOLD:,} more like this", Level.ERROR)
        return count

    def _in_the_way(self) -> Iterable[str]:
        for path, document in self._files:
            try:
                kind = self._documents.kind(document.path)
            except PsthreadsError as error:
                yield f"{path} cannot be loaded: {error.message}"
                continue
            if kind == "folder":
                yield f"{path} cannot be loaded: {document.path} is a folder."
            elif kind and not self._overwrite:
                yield f"{path} cannot be loaded: {document.path} exists already."

    def _invalid(self) -> Iterable[str]:
        context = self._context
        sources = {document.path: path for path, document in self._files}
        checker = Checker(context, _AsLoaded(self._documents, self._zone, sources))
        wanted = [document for _, document in self._files if is_xml(document.path)]
        with context.bar("validating", total=len(wanted)) as bar:
            for document in bar.iter(wanted):
                try:
                    problems = checker.problems(document)
                except (PsthreadsError, OSError):
                    yield f"Document {document.path} cannot be checked: it is gone from the loading zone."
                    continue
                if checker.unapplied:
                    context.warning(f"Document {document.path} is too large to be checked by {checker.unapplied}.")
                for problem in problems[1:MOST_TOLD]:
                    context.log(f"Document {document.path}, {problem}", Level.ERROR)
                if problems:
                    yield f"Document {document.path} is not valid: {problems[0]}"
                else:
                    context.message(f"Document {document.path} is valid.")

    def _load(self, path: str, to: str) -> bool:
        """Move one file, and say so in the same breath."""
        context = self._context
        try:
            try:
                with context.shield():
                    self._zone.move_out(path, self._documents, to, overwrite=self._overwrite)
                    context.message(f"Loaded {to}")
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._zone.copy_out(path, self._documents, to, overwrite=self._overwrite)
                context.message(f"Loaded {to}")
        except PsthreadsError as problem:
            context.error(f"{path} was not loaded, and is still in the loading zone: {problem.message}")
            return False
        except OSError as error:
            context.error(f"{path} was not loaded, and is still in the loading zone: {error.strerror}.")
            return False
        return True


class _AsLoaded(GroupFolder):
    """The group's documents as they would be with the zone's files among them; `sources` says which they are."""

    def __init__(self, documents: GroupFolder, zone: LoadingZone, sources: Mapping[str, str]) -> None:
        self.group = documents.group
        self._documents = documents
        self._zone = zone
        self._sources = sources

    def resolve(self, path: str) -> str:
        """As GroupFolder has it."""
        return path if path in self._sources else self._documents.resolve(path)

    def open(self, path: str) -> BinaryIO:
        """As GroupFolder has it."""
        source = self._sources.get(path)
        return self._documents.open(path) if source is None else self._zone.open(source)

    def read(self, path: str, most: int) -> bytes:
        """As GroupFolder has it."""
        source = self._sources.get(path)
        return self._documents.read(path, most) if source is None else self._zone.read(source, most)


def _nothing(reason: str) -> Outcome:
    return Outcome(Status.FAILED, f"Nothing was loaded: {reason}")


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"
