"""Unpacks a zip file in a member's loading zone, into the folder that it is in.

What is promised: either every file of the archive is unpacked, or none. The whole archive is checked before
anything is written, and unpacked into a temporary folder, which proves every checksum, before the first file
is put in its place. So whatever is wrong with an archive, or a cancel until then, leaves the zone as it was. From
there on files are put in place one by one, each in one step: a cancel leaves some of them, and each of these whole.

A file of the zone that has the same path is replaced. The archive is removed once all of its files are in place and
on the disk, for it would be loaded with them; after a failure or a cancel it is still there, so that the work can be
done again from its start. Folders without files are not made.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Final, cast

from psthreads.authoring.context import Context
from psthreads.authoring.parameter import Bounds
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.documents.loading_zone import LoadingZone
from psthreads.documents.paths import printable
from psthreads.domain.errors import NotFound, PsthreadsError
from psthreads.domain.model import Level, Outcome, Status
from psthreads.processes.archives.unpacking import Damaged, ZipEntry, ZipReader

_TOLD: Final = 20  # entries that are refused, each by an event


@process(
    title="Unzipping {path} for group {group}",
    route="/members/{member}/groups/{group}/loadingzone/unzip",
    time_limit=4 * 3600,
    restartable=True,
    wrapper="load-unzip",
)
def unzip(
    context: Context,
    path: Annotated[str, Bounds(1), "the zip file in your loading zone, uploaded with PUT /ps/servlet/upload"],
) -> Outcome | str:
    """Unpacks a zip file in the member's loading zone."""
    zone = context.loading_zone
    try:
        path = zone.resolve(path)
    except NotFound:  # It was there when the thread was accepted.
        return _gone(path)
    context.message(f"Checking {path}")
    with zone.open(path) as file:
        try:
            archive = ZipReader(file)
        except Damaged as error:
            context.error(f"{path} cannot be unpacked: {error}.")
            return _nothing(path)
        base = path.rpartition("/")[0]
        staging = context.temporary()
        if not _is_acceptable(context, archive, path, base, shutil.disk_usage(staging).free):
            return _nothing(path)
        files = archive.files
        with context.bar("unzipping", total=len(files)) as bar:
            for number, entry in enumerate(bar.iter(files)):
                context.message(f"Unzipping {printable(entry.name)}")
                try:
                    _unpack(archive, entry, staging / str(number))
                except Damaged as error:
                    context.error(f"Entry '{printable(entry.name)}' of {path} cannot be unpacked: {error}.")
                    return _nothing(path)
                except OSError as error:
                    context.error(f"Entry '{printable(entry.name)}' of {path} cannot be written: {error.strerror}.")
                    return _nothing(path)
    for number, entry in enumerate(files):
        with context.shield():
            zone.take(staging / str(number), f"{base}{entry.path}")
    # Until what was in it is on the disk, the archive is the only copy that survives a power cut.
    context.message("Waiting for the disk")
    zone.sync()
    with context.shield():
        zone.remove(path)
        context.log(f"Removed {path}, since all that was in it is now beside it")
    return f"Successfully unzipped {len(files):,} {'file' if len(files) == 1 else 'files'}"


@unzip.check
def _archive_is_there(start: Start) -> None:
    """Refuses a path that is unsafe or absent before anything starts."""
    cast("LoadingZone", start.loading_zone).resolve(str(start.values["path"]))


def _is_acceptable(context: Context, archive: ZipReader, path: str, base: str, free: int) -> bool:
    """Whether everything in the archive can be unpacked; tells what cannot."""
    found = 0
    for reason in archive.problems():
        context.error(f"{path} is not unpacked: {reason}.")
        found += 1
    if (needed := archive.unpacked_size) > free:
        context.error(f"{path} is not unpacked: it needs {needed:,} bytes of disk, and {free:,} are free.")
        found += 1
    if found:  # There may be very many entries, then.
        return False
    refused = {id(entry): reason for entry, reason in archive.refused()}
    for entry in archive.entries:
        reason = refused.get(id(entry)) or _no_place(context.loading_zone, entry, f"{base}{entry.path}", path)
        if not reason:
            continue
        found += 1
        if found <= _TOLD:
            context.error(f"Entry '{printable(entry.name)}' of {path} is not accepted: {reason.rstrip('.')}.")
    if found > _TOLD:
        context.log(f"{found - _TOLD:,} more entries of {path} are not accepted", Level.ERROR)
    return not found


def _no_place(zone: LoadingZone, entry: ZipEntry, path: str, archive: str) -> str:
    """Why an entry cannot be at this path in the zone; empty when it can."""
    if path == archive:
        return "it has the name of the archive itself"
    try:
        kind = zone.kind(path)
    except PsthreadsError as error:
        return error.message
    if kind == ("document" if entry.is_folder else "folder"):
        return f"there is a {'file' if entry.is_folder else 'folder'} of that name in the loading zone"
    return ""


def _unpack(archive: ZipReader, entry: ZipEntry, path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as target:
        archive.unpack(entry, target)


def _gone(path: str) -> Outcome:
    return Outcome(
        Status.FAILED,
        f"'{printable(path)}' is no longer in the loading zone. Either it was removed, or a worker was lost after "
        "unpacking it: upload it again if its files are not in the loading zone.",
    )


def _nothing(path: str) -> Outcome:
    return Outcome(Status.FAILED, f"Nothing was unpacked from {path}, and it is still there: the log says why.")
