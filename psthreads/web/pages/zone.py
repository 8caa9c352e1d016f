"""One's loading zone for a group: what waits in it, uploads with a form, and removal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from flask import Blueprint, Response, after_this_request, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from psthreads.authoring.parameter import Parameter
from psthreads.documents.document_tree import Document
from psthreads.documents.loading_zone import LoadingZone
from psthreads.documents.paths import names_of
from psthreads.domain import access
from psthreads.domain.errors import (
    GroupNotFound,
    MissingParameter,
    NotAllowed,
    NotSignedIn,
    PsthreadsError,
    Unavailable,
)
from psthreads.system.thread_pool import off_the_loop
from psthreads.web.auth.guard import Guard
from psthreads.web.http import uploads
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms, scope, words
from psthreads.web.pages.forms import DONE, Question
from psthreads.web.services import Services

UPLOAD: Final = f"{scope.GROUP}.zone_upload"
"""The endpoint whose body is not to be read before `guard_upload` has let it in."""

LONG: Final = 500
"""Characters of a path above which a row has no link with it: the page would be heavy."""

_ROOM: Final = 45_000  # bytes of the page for the list of files
_ROW: Final = 900  # bytes of a row besides these, with its path shortened
_AFTER: Final = Parameter("after", str, "", description="the path after which the list goes on")
_NOTE: Final = "Work that is about to take it finds nothing. Documents of the group are left alone."
_SAID: Final = {
    "uploaded": "The files are there.",
    "removed": "The file is removed.",
    "gone": "The file was not there any more.",
    "cleared": "Everything is removed.",
}


def guard_upload(services: Services, guard: Guard) -> None:
    """The guard of the upload: it reads no form, which may be as large as a disk. The form's own token comes later."""
    uploads.expect(services.config.max_upload)
    after_this_request(uploads.hang_up)
    guard.group(reads_form=True)


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page, to the part of a group: there is no loading zone for the whole server."""
    most = services.config.max_upload

    def zone() -> LoadingZone:
        return services.documents.loading_zone(g.caller.group, g.caller.member.id)

    def show(problem: str = "", done: str = "", after: str = "") -> str:
        return render_template(
            "loading-zone.html",
            found=off_the_loop(partial(_look, zone(), tuple(names_of(after)))),
            after=after,
            most=most,
            most_files=uploads.MOST_FILES,
            long=LONG,
            takes={name: _takes(services, name) for name in ("unzip", "load")},
            problem=problem,
            done=done,
        )

    @blueprint.get("/loading-zone", provide_automatic_options=False)
    def zone_page(**_: str) -> str:
        return show(done=_SAID.get(str(value_of(DONE)), ""), after=str(value_of(_AFTER)))

    def allow(fields: Mapping[str, str]) -> None:
        guard.check_form(fields)
        guard.group(reads_form=True)

    @blueprint.post("/loading-zone", provide_automatic_options=False)
    def zone_upload(**_: str) -> AnyResponse:
        try:
            uploads.put_form(zone, allow, most)
        except (NotAllowed, NotSignedIn, GroupNotFound, Unavailable):
            raise  # It is not this page that can say so.
        except MissingParameter:
            return Response(show("Choose at least one file."), 400)
        except PsthreadsError as problem:
            return Response(show(problem.message), problem.status)
        return redirect(scope.page("zone_page", done="uploaded"), 303)

    _add_removal(blueprint, zone, show)


def _add_removal(blueprint: Blueprint, zone: Callable[[], LoadingZone], show: Callable[[str], str]) -> None:
    @blueprint.post("/loading-zone/remove", provide_automatic_options=False)
    def zone_remove(**_: str) -> AnyResponse | str:
        path, is_all = request.form.get("path", ""), request.form.get("all") == "true"
        here = zone()
        if not (path or is_all):
            return Response(show("Say which file is to be removed."), 400)
        if not forms.is_sure():
            question = _ask_all(off_the_loop(here.count)) if is_all else _ask_one(path)
            return forms.ask(question, ("path", "all"), scope.page("zone_page"))
        if is_all:
            off_the_loop(here.clear)
            return redirect(scope.page("zone_page", done="cleared"), 303)
        try:
            done = "removed" if here.remove(path) else "gone"
        except PsthreadsError as problem:
            return Response(show(problem.message), problem.status)
        return redirect(scope.page("zone_page", done=done), 303)


@dataclass(slots=True)
class _Found:
    """A part of the files; `after` is where the list goes on, `skipped` how much is there that is no usable file."""

    files: list[Document] = field(default_factory=list)
    after: str = ""
    skipped: int = 0


def _look(zone: LoadingZone, after: tuple[str, ...]) -> _Found:
    """As many of the files after that path as a page has room for."""
    found = _Found()
    room = _ROOM

    def skip(_path: str, _reason: str) -> None:
        found.skipped += 1

    for file in zone.walk(skip):
        if after and tuple(names_of(file.path)) <= after:
            continue
        # Its path stands in a field and, where it is not long, in a link, with three bytes for one.
        room -= _ROW + words.weight(file.path) + (3 * len(file.path.encode()) if len(file.path) <= LONG else 0)
        if found.files and room < 0:
            found.after = found.files[-1].path
            break
        found.files.append(file)
    return found


def _takes(services: Services, name: str) -> bool:
    """Whether there is a process of that name here, for whoever asks."""
    found = services.registry.find(name)
    return found is not None and access.may_start(g.caller, found.role)


def _ask_one(path: str) -> Question:
    return Question(f"Remove {path} from your loading zone?", "Remove the file", _NOTE, is_audited=False)


def _ask_all(count: int) -> Question:
    title = f"Remove everything from your loading zone, {words.many(count, 'file')}?"
    return Question(title, "Remove everything", _NOTE, is_audited=False)
