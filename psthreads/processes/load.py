"""Loads the files of a member's loading zone: makes them documents of the group.

A document is always either the old one or the uploaded one, and never a part of one. Each file is moved out of the
zone in one step, so that a load that was stopped can be started again and continues. Conflicts are looked for before
the first file is moved: nothing is loaded if a document exists and `overwrite` is not set, or if a document is not
valid and `validate` is set. The thread completes once everything is on the disk.

With `skip-invalid`, documents that are not valid stay in the zone, and the others are loaded. A document that is valid
only by a schema that stays there stays, too. With `dry-run`, all checks are made, the log says of each file what would
become of it, and nothing is changed.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, BinaryIO, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.group_documents import GroupDocuments
from psthreads.documents.paths import composed
from psthreads.documents.zones import MemberZone
from psthreads.domain.errors import BadParameter, DocumentNotFound, PsthreadsError
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes import upload_request
from psthreads.processes.endings import xml_test
from psthreads.processes.moving import report_each
from psthreads.processes.upload_request import LONGEST, UploadId
from psthreads.processes.validate import bad_news, good_news
from psthreads.processes.validation.validator import LARGEST_SENT, Notes, Validator
from psthreads.processes.wording import many
from psthreads.processes.xml.parsing import MOST_LOGGED

_MOST_REPORTED: Final = 100  # files that cannot be loaded
_USED_BY_OTHERS: Final = re.compile(r"/schemas/|\.(xsd|rng|rnc|sch|dtd|ent|mod|xsl|xslt)\Z", re.IGNORECASE)
"""The paths of documents by which others are checked."""
_UNCHANGED: Final = "Nothing was changed."


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
    skip_invalid: Annotated[bool, "load what is valid, and leave the rest in the zone; implies validate"] = False,  # noqa: FBT002 (as above)
    dry_run: Annotated[bool, "only say what would be new, replaced and refused"] = False,  # noqa: FBT002 (as above)
    uploadid: UploadId = "",
    xmlspec: Annotated[str, Bounds(greatest=LONGEST), "PageSeeder's upload request: which files to load, and how"] = "",
) -> Outcome | str:
    """Make the files of the member's loading zone documents of the group."""
    zone, request = context.loading_zone.of_upload(uploadid), upload_request.parse(xmlspec)
    work = _Load(
        context,
        folder,
        zone,
        request.paths,
        overwrite=overwrite or request.overwrite,
        skip_invalid=skip_invalid,
        dry_run=dry_run,
    )
    return work.run(validate=validate or skip_invalid or request.validate)


@load.check
def _check_folder(start: Start) -> None:
    _base(cast("GroupDocuments", start.folder), str(start.values["folder"]))
    zone = cast("MemberZone", start.loading_zone).of_upload(str(start.values.get("uploadid", "")))
    request = upload_request.parse(str(start.values.get("xmlspec", "")))
    if start.values.get("overwrite") and request.keeps:
        raise BadParameter("overwrite", "The parameter 'overwrite' is true, but false in the xmlspec: make them agree.")
    for path in request.paths:
        zone.resolve(path)


def _base(documents: GroupDocuments, folder: str) -> str:
    """Return the normal path of the folder to load into; raises BadParameter if it is a document."""
    if documents.kind(folder) == "document":
        raise BadParameter("folder", f"'{folder}' is a document: give the path of a folder.")
    return documents.placed(folder).rstrip("/")


class _Load:
    """One load. `_files` pairs the path of each file in the zone with the document that it becomes."""

    def __init__(
        self,
        context: Context,
        folder: str,
        zone: MemberZone,
        paths: Collection[str],
        *,
        overwrite: bool,
        skip_invalid: bool = False,
        dry_run: bool = False,
    ) -> None:
        self._context = context
        self._zone = zone
        self._documents = context.folder
        self._overwrite = overwrite
        self._skip_invalid = skip_invalid
        self._dry_run = dry_run
        self._replaced: set[str] = set()  # the paths of documents
        self._loaded = 0
        self._across: list[tuple[str, str]] = []  # what is on another disk, each with the path of its document
        base = _base(self._documents, folder)
        context.message("Looking at the loading zone")
        self._files = [
            (file.path, replace(file, path=f"{base}{file.path}"))
            for file in self._zone.walk(self._skip)
            if not paths or composed(file.path) in paths
        ]

    def run(self, *, validate: bool) -> Outcome | str:
        """Load the files, unless there is a conflict."""
        total = many(len(self._files), "file")
        if not self._files:
            return Outcome(Status.COMPLETED, "There was nothing to load: the loading zone is empty.")
        if conflicts := self._report(self._conflicts()):
            hint = "" if self._overwrite else ": repeat it with overwrite=true, or with another folder"
            return self._failed(f"{conflicts:,} of {total} cannot be put in place{hint}.", conflicts)
        invalid = 0
        if validate:
            invalid = (
                self._leave_out_invalid()
                if self._skip_invalid
                else self._report(sentence for _, sentence in self._invalid())
            )
        if invalid and not (self._skip_invalid and self._files):
            return self._failed(f"{invalid:,} of {total} {'is' if invalid == 1 else 'are'} not valid.", invalid)
        return self._rehearse(invalid) if self._dry_run else self._load_all(invalid)

    def _load_all(self, invalid: int) -> Outcome | str:
        context = self._context
        pairs = [(path, document.path) for path, document in self._files]
        with context.bar("progress", total=len(pairs)) as bar:

            def report(path: str, to: str, error: Exception | None) -> None:
                self._report_load(path, to, error)
                bar.advance()

            moves = self._zone.move_out_each(pairs, self._documents, overwrite=self._overwrite)
            report_each(context, moves, report)
            for path, to in self._across:
                self._copy(path, to)
        loaded = self._loaded
        context.message("Waiting for the disk")
        self._documents.sync()
        self._zone.remove_empty_folders()
        left = f"; {invalid:,} not valid, and still in the loading zone, as the log says" if invalid else ""
        if missing := len(self._files) - loaded:
            sentence = f"Loaded {many(loaded, 'file')}; {missing:,} could not be, as the log says{left}."
            return Outcome(Status.FAILED if context.errors else Status.COMPLETED, sentence)
        return f"Successfully loaded {many(loaded, 'file')}{left}"

    def _rehearse(self, invalid: int) -> str:
        """Say of each file what a load would do with it; the files that it would refuse are reported already."""
        context = self._context
        with context.bar("progress", total=len(self._files)) as bar:
            for _, document in bar.iter(self._files):
                what = "it would replace the document" if document.path in self._replaced else "it would be new"
                context.message(f"Would load {document.path}: {what}")
        replaced = len(self._replaced.intersection(document.path for _, document in self._files))
        new = len(self._files) - replaced
        self._tell_counts(new, replaced, invalid)
        refused = f"; {invalid:,} would be refused, as the log says" if invalid else ""
        total = many(len(self._files), "file")
        return f"Would load {total}: {new:,} new, {replaced:,} in place of a document{refused}. {_UNCHANGED}"

    def _failed(self, reason: str, refused: int) -> Outcome:
        if not self._dry_run:
            return Outcome(Status.FAILED, f"Nothing was loaded: {reason}")
        self._tell_counts(0, 0, refused)
        return Outcome(Status.FAILED, f"Nothing would be loaded: {reason} {_UNCHANGED}")

    def _tell_counts(self, new: int, replaced: int, refused: int) -> None:
        counts = {"new": str(new), "replaced": str(replaced), "refused": str(refused)}
        self._context.element("dry-run", attributes=counts)

    def _skip(self, path: str, reason: str) -> None:
        self._context.warning(f"{path} in the loading zone was left out: {reason}.")

    def _report(self, problems: Iterable[str]) -> int:
        """Report the first problems; returns the number of all."""
        count = 0
        for problem in problems:
            count += 1
            if count <= _MOST_REPORTED:
                self._context.error(problem)
        if count > _MOST_REPORTED:
            self._context.log(f"There are {count - _MOST_REPORTED:,} more like this", Level.ERROR)
        return count

    def _conflicts(self) -> Iterable[str]:
        kinds = self._documents.kind_each(document.path for _, document in self._files)
        for (path, document), (_, kind) in zip(self._files, kinds, strict=True):
            if isinstance(kind, PsthreadsError):
                yield f"{path} cannot be loaded: {kind.message}"
            elif isinstance(kind, Exception):
                raise kind
            elif kind == "folder":
                yield f"{path} cannot be loaded: {document.path} is a folder."
            elif kind and not self._overwrite and not self._zone.is_copy(path, self._documents, document.path):
                yield f"{path} cannot be loaded: {document.path} exists already."
            elif kind and self._overwrite:
                self._replaced.add(document.path)

    def _leave_out_invalid(self) -> int:
        """Report what is not valid, and load the rest only; returns the number of files that are left out."""
        total = len(self._files)
        while True:
            invalid = set()
            for path, sentence in self._invalid():
                self._context.warning(sentence)
                invalid.add(path)
            self._files = [file for file in self._files if file[1].path not in invalid]
            if not any(map(_USED_BY_OTHERS.search, invalid)):
                return total - len(self._files)
            # Some documents may be valid only by what is now left out.

    def _invalid(self) -> Iterator[tuple[str, str]]:
        """Yield the path of each document that is not valid, with a sentence on it, and log its further problems."""
        context = self._context
        level = Level.WARN if self._skip_invalid else Level.ERROR
        sources = {composed(document.path): path for path, document in self._files}
        is_xml = xml_test(context)
        validator = Validator(context, _AsLoaded(self._documents, self._zone, sources))
        notes = Notes(context)
        files = [file for file in self._files if is_xml(file[1].path)]
        contents = self._zone.read_each((replace(document, path=path) for path, document in files), LARGEST_SENT)
        documents = (
            (document, None if isinstance(data, Exception) else data)
            for (_, document), (_, data) in zip(files, contents, strict=True)
        )
        with context.bar("validating", total=len(files)) as bar:
            for document, verdict in bar.iter(validator.verdicts(documents)):
                path = document.path
                if verdict is None:
                    yield path, f"Document {path} cannot be checked: it is gone from the loading zone."
                    continue
                notes.warn(path, verdict.notes)
                for problem in verdict.problems[1:MOST_LOGGED]:
                    context.log(f"Document {path}, {problem}", level)
                if verdict.problems or verdict.unchecked:
                    yield path, bad_news(path, verdict)
                else:
                    context.message(good_news(path, verdict))

    def _report_load(self, path: str, to: str, error: Exception | None) -> None:
        if isinstance(error, OSError) and error.errno == errno.EXDEV:
            self._across.append((path, to))
        elif error is not None:
            reason = error.message if isinstance(error, PsthreadsError) else f"{cast('OSError', error).strerror}."
            self._context.error(f"{path} was not loaded, and is still in the loading zone: {reason}")
        else:
            self._loaded += 1
            self._context.message(f"Loaded {to}")

    def _copy(self, path: str, to: str) -> None:
        """Load a file from another disk, which takes a while: an interrupt is not put off."""
        error: Exception | None = None
        try:
            self._zone.copy_out(path, self._documents, to, overwrite=self._overwrite)
        except (PsthreadsError, OSError) as problem:
            error = problem
        self._report_load(path, to, error)


class _AsLoaded:
    """The group's documents as they would be after the load. `sources` are the zone's files by document path."""

    def __init__(self, documents: GroupDocuments, zone: MemberZone, sources: Mapping[str, str]) -> None:
        self.group = documents.group
        self._documents = documents
        self._zone = zone
        self._sources = sources

    def resolve(self, path: str) -> str:
        """Do as GroupDocuments."""
        return path if composed(path) in self._sources else self._documents.resolve(path)

    def open(self, path: str) -> BinaryIO:
        """Do as GroupDocuments."""
        source = self._sources.get(composed(path))
        return self._documents.open(path) if source is None else self._zone.open(source)

    def read(self, path: str, most: int) -> bytes:
        """Do as GroupDocuments."""
        source = self._sources.get(composed(path))
        return self._documents.read(path, most) if source is None else self._zone.read(source, most)

    def entries(self, path: str) -> list[tuple[str, bool]]:
        """Do as GroupDocuments."""
        folder = f"{self._documents.normal(path).rstrip('/')}/"
        try:
            entries = dict(self._documents.entries(path))
        except DocumentNotFound:
            if not any(each.startswith(folder) for each in self._sources):
                raise
            entries = {}
        for each in self._sources:
            if each.startswith(folder):
                name, slash, _ = each[len(folder) :].partition("/")
                entries.setdefault(name, bool(slash))
        return sorted(entries.items())
