"""The member's loading zone in a group: its files, the upload form, and removal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from flask import Blueprint, Response, after_this_request, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from psthreads.documents.group_documents import Document
from psthreads.documents.zones import MemberZone
from psthreads.domain import access
from psthreads.domain.errors import (
    GroupNotFound,
    MissingParameter,
    NotAllowed,
    NotSignedIn,
    PsthreadsError,
    Unavailable,
)
from psthreads.system.thread_pool import Pool
from psthreads.web.auth.guard import Guard
from psthreads.web.http import uploads
from psthreads.web.pages import formatting, forms, scope
from psthreads.web.pages.forms import Question
from psthreads.web.services import Services

T = TypeVar("T")

UPLOAD: Final = f"{scope.GROUP}.zone_upload"
"""The endpoint whose body must not be read before `guard_upload` has allowed the request."""

MAX_LINK: Final = 500
"""The longest path in characters that a row links to; longer links would make the page heavy."""

_MAX_BYTES: Final = 45_000  # of the page, for the list of files
_ROW_BYTES: Final = 900  # of a row with its shortened path, without the field and the link
_NOTE: Final = "Threads that have not read it yet will not find it. The group's documents do not change."
_MESSAGES: Final = {
    "uploaded": "Files uploaded.",
    "removed": "File removed.",
    "gone": "The file no longer exists.",
    "cleared": "All files removed.",
}


def guard_upload(services: Services, guard: Guard) -> None:
    """Check the caller without reading the form, which can be as large as a disk. Its token is checked later."""
    uploads.expect(services.config.max_upload)
    after_this_request(uploads.hang_up)
    guard.group(reads_form=True)


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page to the group part of the dashboard. The whole server has no loading zone."""
    max_bytes = services.config.max_upload

    def zone() -> MemberZone:
        return services.documents.loading_zone(g.caller.group, g.caller.member.id)

    def render(problem: str = "") -> str:
        after = forms.argument("after")
        return render_template(
            "loading-zone.html",
            listing=_heavy(services, partial(_list, zone(), after)),
            after=after,
            max_bytes=max_bytes,
            max_files=uploads.MOST_FILES,
            max_link=MAX_LINK,
            can={name: _can_start(services, name) for name in ("unzip", "load")},
            problem=problem,
            success=_MESSAGES.get(forms.argument("done"), ""),
        )

    @blueprint.get("/loading-zone")
    def zone_page(**_: str) -> str:
        return render()

    def allow(fields: Mapping[str, str]) -> None:
        guard.check_form(fields)
        guard.group(reads_form=True)
        services.quotas.check_upload(g.caller.group)

    @blueprint.post("/loading-zone")
    def zone_upload(**_: str) -> AnyResponse:
        try:
            sizes = uploads.put_form(zone, allow, max_bytes)[0]
            services.quotas.count_upload(g.caller.group, len(sizes), sum(sizes.values()))
        except (NotAllowed, NotSignedIn, GroupNotFound, Unavailable):
            raise  # This page cannot be shown then.
        except MissingParameter:
            return Response(render("Choose at least one file."), 400)
        except PsthreadsError as problem:
            return Response(render(problem.message), problem.status)
        return redirect(scope.page("zone_page", done="uploaded"), 303)

    _add_removal(blueprint, services, zone, render)


def _add_removal(
    blueprint: Blueprint, services: Services, zone: Callable[[], MemberZone], render: Callable[[str], str]
) -> None:
    @blueprint.post("/loading-zone/remove")
    def zone_remove(**_: str) -> AnyResponse | str:
        path, is_all = request.form.get("path", ""), request.form.get("all") == "true"
        target = zone()
        if not (path or is_all):
            return Response(render("Choose a file to remove."), 400)
        if not forms.is_confirmed():
            question = _ask_all(_heavy(services, target.count)) if is_all else _ask_one(path)
            return forms.ask(question, ("path", "all"), scope.page("zone_page"))
        if is_all:
            files, size = _heavy(services, target.clear_measured)
            services.quotas.count_upload(g.caller.group, -files, -size)
            return redirect(scope.page("zone_page", done="cleared"), 303)
        try:
            outcome = "removed" if target.remove(path) else "gone"
        except PsthreadsError as problem:
            return Response(render(problem.message), problem.status)
        return redirect(scope.page("zone_page", done=outcome), 303)


def _heavy(services: Services, work: Callable[[], T]) -> T:
    return services.heavy_work.do(g.caller.member.id, work, Pool.DISK)


@dataclass(slots=True)
class _Listing:
    """A page of the files. `after` is the cursor of the next page, `skipped` counts entries that cannot be loaded."""

    files: list[Document] = field(default_factory=list)
    after: str = ""
    skipped: int = 0


def _list(zone: MemberZone, after: str) -> _Listing:
    """Return as many of the files after that path as fit a page."""
    listing = _Listing()
    free = _MAX_BYTES

    def skip(_path: str, _reason: str) -> None:
        listing.skipped += 1

    for file in zone.walk(skip, after):
        # The path stands in a field and, unless it is long, in a link, which takes three bytes for one.
        link = 3 * len(file.path.encode()) if len(file.path) <= MAX_LINK else 0
        free -= _ROW_BYTES + formatting.html_size(file.path) + link
        if listing.files and free < 0:
            listing.after = listing.files[-1].path
            break
        listing.files.append(file)
    return listing


def _can_start(services: Services, name: str) -> bool:
    process = services.registry.find(name)
    return process is not None and access.may_start(g.caller, process.role)


def _ask_one(path: str) -> Question:
    return Question(f"Remove {path} from your loading zone?", "Remove file", _NOTE, is_audited=False)


def _ask_all(count: int) -> Question:
    title = f"Remove all files from your loading zone ({formatting.pluralize(count, 'file')})?"
    return Question(title, "Remove all files", _NOTE, is_audited=False)
