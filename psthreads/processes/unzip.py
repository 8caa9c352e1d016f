"""Unpacks an archive in a member's loading zone, into the folder that it is in: zip, tar, tar.gz, tar.bz2 or tar.xz.

Either all files of the archive are unpacked, or none. The whole archive is checked before anything is written, and
unpacked into a temporary folder, which verifies every checksum, before the first file is moved into the zone. Until
then, a damaged archive or a cancel leaves the zone unchanged. Then each folder that is new in the zone is moved there
with all that is in it, in one step, and each file of the other folders: a cancel leaves some of them in the zone, and
each of these is complete.

A file in the zone with the same path is replaced. The archive is removed once all of its files are in the zone and on
the disk; otherwise it would be loaded with them. After a failure or a cancel it stays, so that the work can be
repeated. Folders without files are not created.

`encoding` is that of the names of which the archive does not say it. What macOS and Windows keep for themselves
(`__MACOSX/`, `._*`, `.DS_Store`, `Thumbs.db`, `desktop.ini`) is left out. Files keep the time of their last change.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from itertools import tee
from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.paths import new_names_of, printable
from psthreads.documents.zones import MemberZone
from psthreads.domain.errors import NotFound, PsthreadsError
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.archives.entries import Archive, ArchiveEntry, Damaged
from psthreads.processes.archives.names import Encoding
from psthreads.processes.archives.opening import open_archive
from psthreads.processes.archives.staging import Staging
from psthreads.processes.upload_request import UploadId
from psthreads.processes.wording import many

_MOST_REPORTED: Final = 20  # refused entries


@process(
    title="Unzipping {path} for group {group}",
    route="/members/{member}/groups/{group}/loadingzone/unzip",
    time_limit=4 * 3600,
    restartable=True,
    wrapper="load-unzip",
)
def unzip(
    context: Context,
    path: Annotated[str, Bounds(1), "the archive in your loading zone, uploaded with PUT /ps/servlet/upload"],
    encoding: Annotated[Encoding, "the encoding of the names of which the archive does not say it"] = "guess",
    deleteoriginal: Annotated[bool, "whether the archive is removed once its files are in the loading zone"] = True,  # noqa: FBT002 (a parameter on the wire)
    uploadid: UploadId = "",
) -> Outcome | str:
    """Unpack an archive in the member's loading zone: zip, tar, tar.gz, tar.bz2 or tar.xz."""
    zone = context.loading_zone.of_upload(uploadid)
    try:
        path = zone.resolve(path)
    except NotFound:  # It existed when the thread was accepted.
        return Outcome(
            Status.FAILED,
            f"'{printable(path)}' is no longer in the loading zone. Either it was removed, or a worker was lost after "
            "unpacking it: upload it again if its files are not in the loading zone.",
        )
    context.message(f"Checking {path}")
    with zone.open(path) as file:
        try:
            archive = open_archive(file, encoding)
        except Damaged as error:
            context.error(f"{path} cannot be unpacked: {error}.")
            return _failed(path)
        base = path.rpartition("/")[0]
        temporary = context.temporary()
        vacancies = _Vacancies(zone)
        if not _is_acceptable(context, archive, path, base, vacancies, shutil.disk_usage(temporary).free):
            return _failed(path)
        files = archive.files
        staged = Staging(temporary)
        with context.bar("unzipping", total=len(files)) as bar:
            for entry in bar.iter(files):
                context.message(f"Unzipping {printable(entry.name)}")
                try:
                    staged.write(entry.path, archive.content(entry), entry.modified)
                except Damaged as error:
                    context.error(f"Entry '{printable(entry.name)}' of {path} cannot be unpacked: {error}.")
                    return _failed(path)
                except OSError as error:
                    context.error(f"Entry '{printable(entry.name)}' of {path} cannot be written: {error.strerror}.")
                    return _failed(path)
    moves: dict[str, list[str]] = {}
    for entry in files:
        moves.setdefault(vacancies.highest(target := f"{base}{entry.path}") or target, []).append(target)
    for move, targets in moves.items():
        with context.shield():
            is_moved = zone.take(staged, move.removeprefix(base), move)
        for target in () if is_moved else targets:
            with context.shield():
                zone.take(staged, target.removeprefix(base), target)
    _settle(context, zone, path, deleteoriginal=deleteoriginal)
    return f"Successfully unzipped {many(len(files), 'file')}{_left_out(archive)}"


def _settle(context: Context, zone: MemberZone, path: str, *, deleteoriginal: bool) -> None:
    """Wait for the disk, and remove the archive."""
    # Until its files are on the disk, the archive is the only copy that would survive a power cut.
    context.message("Waiting for the disk")
    zone.sync()
    if deleteoriginal:
        with context.shield():
            zone.remove(path)
            context.log(f"Removed {path}, because its files are now beside it")


@unzip.check
def _check_path(start: Start) -> None:
    cast("MemberZone", start.loading_zone).of_upload(str(start.values.get("uploadid", ""))).resolve(
        str(start.values["path"])
    )


def _is_acceptable(context: Context, archive: Archive, path: str, base: str, vacancies: _Vacancies, free: int) -> bool:
    """Tell whether the whole archive can be unpacked, and report every reason against it."""
    reasons = list(archive.problems())
    if (size := archive.unpacked_size) > free:
        reasons.append(f"it needs {size:,} bytes of disk, and {free:,} are free")
    for reason in reasons:
        context.error(f"{path} is not unpacked: {reason}.")
    if reasons:  # The number of entries may be huge.
        return False
    refused = {id(entry): reason for entry, reason in archive.refused()}
    count = 0
    for entry, kind in vacancies.kinds(archive.entries, base):
        reason = refused.get(id(entry)) or _conflict(entry, kind, f"{base}{entry.path}", path)
        if not reason:
            continue
        count += 1
        if count <= _MOST_REPORTED:
            context.error(f"Entry '{printable(entry.name)}' of {path} is not accepted: {reason.rstrip('.')}.")
    if count > _MOST_REPORTED:
        context.log(f"{count - _MOST_REPORTED:,} more entries of {path} are not accepted", Level.ERROR)
    if archive.guess and not count:
        context.warning(f"In {path}, {archive.guess}.")
    return not count


class _Vacancies:
    """The folders that do not exist in a loading zone, each looked up once."""

    def __init__(self, zone: MemberZone) -> None:
        self._zone = zone
        self._highest = {"": ""}

    def highest(self, path: str) -> str:
        """Return the highest folder above a path that does not exist; empty if all of them do."""
        folder = path.rpartition("/")[0]
        if folder not in self._highest:
            self._highest[folder] = self.highest(folder) or ("" if self._zone.kind(folder) else folder)
        return self._highest[folder]

    def kinds(self, entries: Iterable[ArchiveEntry], base: str) -> Iterator[tuple[ArchiveEntry, str | Exception]]:
        """Yield each entry with what is at its path, as `MemberZone.kind` returns or raises it."""
        ahead, entries = tee(entries)
        looked_at = self._zone.kind_each(
            path for path in (f"{base}{each.path}" for each in ahead) if self._may_be(path)
        )
        for entry in entries:
            yield entry, next(looked_at)[1] if self._may_be(f"{base}{entry.path}") else ""

    def _may_be(self, path: str) -> bool:
        """Tell whether something may be at a path; also where that cannot be a path."""
        try:
            new_names_of(path)
            return not self.highest(path)
        except PsthreadsError:
            return True


def _conflict(entry: ArchiveEntry, kind: str | Exception, path: str, archive: str) -> str:
    """Return why an entry cannot have this path in the zone, where something is or not; empty if it can."""
    if path == archive:
        return "it has the name of the archive itself"
    if isinstance(kind, PsthreadsError):
        return kind.message
    if isinstance(kind, Exception):
        raise kind
    if kind == ("document" if entry.is_folder else "folder"):
        return f"there is a {'file' if entry.is_folder else 'folder'} of that name in the loading zone"
    return ""


def _left_out(archive: Archive) -> str:
    return f"; {many(archive.clutter, 'file')} of macOS or Windows left out" if archive.clutter else ""


def _failed(path: str) -> Outcome:
    return Outcome(Status.FAILED, f"Nothing was unpacked from {path}, and it is still there: the log says why.")
