"""One's loading zone for a group: what waits in it, uploads with a form, and removal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from flask import Blueprint, Response, after_this_request, g, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from psthreads import access
from psthreads.errors import MissingParameter, NotAllowed, PsthreadsError
from psthreads.groupfolder import Document
from psthreads.loadingzone import LoadingZone
from psthreads.offloop import off_the_loop
from psthreads.web import arriving, scope
from psthreads.web.dashboard import forms, words
from psthreads.web.dashboard.forms import DONE, Question
from psthreads.web.guard import Guard
from psthreads.web.operation import FORM, HTML, MULTIPART, Answer, Operation, Who, declares
from psthreads.web.parameters import given
from psthreads.web.services import Services

UPLOAD: Final = f"{scope.GROUP}.zone_upload"
"""The endpoint whose body is not to be read before `guard_upload` has let it in."""

_ROOM: Final = 45_000  # bytes of the page for the list of files
_ROW: Final = 900  # bytes of a row besides the file's path
_REFUSED: Final = Answer("The page, which says why; nothing was kept", (HTML,))
_SAID: Final = {
    "uploaded": "The files are there.",
    "removed": "The file is removed.",
    "cleared": "Everything is removed.",
}


def guard_upload(services: Services, guard: Guard) -> None:
    """The guard of the upload: it reads no form, which may be as large as a disk. The form's own token comes later."""
    arriving.expect(services.config.max_upload)
    after_this_request(arriving.hang_up)
    guard.group(reads_form=True)


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page, to the part of a group: there is no loading zone for the whole server."""
    most = services.config.max_upload

    def zone() -> LoadingZone:
        return services.documents.loading_zone(g.sight.group, g.sight.member.id)

    def show(problem: str = "", done: str = "") -> str:
        files, there_are_more = off_the_loop(partial(_first, zone()))
        return render_template(
            "loading-zone.html",
            files=files,
            there_are_more=there_are_more,
            most=most,
            takes={name: _takes(services, name) for name in ("unzip", "load")},
            problem=problem,
            done=done,
        )

    @blueprint.get("/loading-zone", provide_automatic_options=False)
    @declares(
        Operation(
            "The page of one's loading zone",
            Who.GROUP,
            {200: forms.PAGE, 302: forms.AWAY},
            (DONE,),
        )
    )
    def zone_page(**_: str) -> str:
        return show(done=_SAID.get(str(given(DONE)), ""))

    @blueprint.post("/loading-zone", provide_automatic_options=False)
    @declares(
        Operation(
            "Puts the files of a form into one's loading zone, and leads back to its page",
            Who.GROUP,
            {303: forms.SENT, 302: forms.AWAY, **dict.fromkeys((400, 409, 413, 415, 507), _REFUSED)},
            body=(MULTIPART,),
            fields=("csrf_token", "file"),
        )
    )
    def zone_upload(**_: str) -> AnyResponse:
        try:
            arriving.put_form(zone, guard.check_form, {}, most)
        except NotAllowed:
            raise
        except MissingParameter:
            return Response(show("Choose at least one file."), 400)
        except PsthreadsError as problem:
            return Response(show(problem.message), problem.status)
        return redirect(scope.page("zone_page", done="uploaded"), 303)

    _add_removal(blueprint, zone, show)


def _add_removal(blueprint: Blueprint, zone: Callable[[], LoadingZone], show: Callable[[str], str]) -> None:
    @blueprint.post("/loading-zone/remove", provide_automatic_options=False)
    @declares(
        Operation(
            "Removes a file of one's loading zone, or all of them, after a question",
            Who.GROUP,
            {200: forms.PAGE, 303: forms.SENT, 302: forms.AWAY, 400: _REFUSED},
            body=(FORM,),
            fields=("csrf_token", "path", "sure"),
        )
    )
    def zone_remove(**_: str) -> AnyResponse | str:
        path = request.form.get("path", "")
        if (page := forms.ask(_question(path), ("path",), scope.page("zone_page"))) is not None:
            return page
        if not path:
            off_the_loop(zone().clear)
            return redirect(scope.page("zone_page", done="cleared"), 303)
        try:
            zone().remove(path)
        except PsthreadsError as problem:
            return Response(show(problem.message), problem.status)
        return redirect(scope.page("zone_page", done="removed"), 303)


def _first(zone: LoadingZone) -> tuple[list[Document], bool]:
    """As many of the first files as a page has room for, and whether there are more."""
    files: list[Document] = []
    room = _ROOM
    for file in zone.walk(lambda _path, _reason: None):
        # Its path stands in a field, in a link where three bytes stand for one, and shortened.
        room -= _ROW + 4 * words.weight(file.path)
        if files and room < 0:
            return files, True
        files.append(file)
    return files, False


def _takes(services: Services, name: str) -> bool:
    """Whether there is a process of that name here, for whoever asks."""
    found = services.registry.find(name)
    return found is not None and access.may_start(g.sight, found.role)


def _question(path: str) -> Question:
    note = "Work that is about to take it finds nothing. Documents of the group are left alone."
    if path:
        return Question(f"Remove {path} from your loading zone?", "Remove the file", note, is_audited=False)
    return Question("Remove everything from your loading zone?", "Remove everything", note, is_audited=False)
