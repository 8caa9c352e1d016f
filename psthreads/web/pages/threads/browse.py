"""The choice of a document or a folder for a parameter of a process's form.

The form itself is sent here and back, so that it loses nothing and works without scripts. Its names have a dot, which
no parameter's name has.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

from flask import g, render_template, request

from psthreads.authoring.process import Process, Scope
from psthreads.domain.access import Group
from psthreads.domain.errors import DocumentNotFound, PsthreadsError, Unavailable
from psthreads.system.thread_pool import Pool
from psthreads.web.pages import formatting
from psthreads.web.services import Services

FOR: Final = "browse.for"
"""The field that opens the choice: the parameter to choose for."""

CHOSEN: Final = "browse.chosen"
"""The field that ends it, with what was chosen."""

FIELDS: Final = frozenset({FOR, CHOSEN, "browse.at", "browse.go"})
"""All fields of the choice."""

_NAMES: Final = frozenset({"path", "folder", "destination"})
_ELSEWHERE: Final = frozenset({"unzip"})  # Its path is in the loading zone, whose page has a link for each archive.
_MOST: Final = 1_000  # entries of a folder that are read
_MAX_BYTES: Final = 40_000  # of a page
_ROW_BYTES: Final = 110
_SECONDS: Final = 5.0


def browsable(process: Process) -> frozenset[str]:
    """Return the names of the parameters that are a document or a folder of the group."""
    if process.scope is not Scope.GROUP or process.name in _ELSEWHERE:
        return frozenset()
    return frozenset(
        each.wire for each in process.parameters if each.wire in _NAMES and each.kind is str and not each.choices
    )


def page(services: Services, process: Process, group: Group | None, hidden: Collection[str]) -> str:
    """Return the page of a folder: the one that is asked for, else that of the parameter's value, else the top.

    The form's fields are carried on, but for those in `hidden`.
    """
    if group is None:
        raise TypeError("Only a process of a group has parameters that can be browsed")
    wire, go = request.form[FOR], request.form.get("browse.go", "").strip()
    current = request.form.get(wire, "")
    folder = request.form.get("browse.at") or go or current or "/"
    problem, entries, at = "", [], "/"
    for at in dict.fromkeys((folder, folder.rstrip("/").rpartition("/")[0] or "/", "/")):
        try:
            entries = _entries(services, group, at)
            break
        except Unavailable:
            raise
        except (PsthreadsError, TimeoutError) as error:
            slow = f"The folder {at} cannot be listed within {_SECONDS:g} s: type the path."
            problem = problem or (slow if isinstance(error, TimeoutError) else error.message)
    base = "/".join(["", *filter(None, at.split("/"))])
    rows, free = [], _MAX_BYTES
    for name, is_folder in sorted(entries, key=lambda entry: (not entry[1], entry[0])):
        free -= _ROW_BYTES + 2 * formatting.html_size(f"{base}/{name}")
        if free < 0:
            break
        rows.append((name, is_folder, f"{base}/{name}"))
    return render_template(
        "browse.html",
        process=process,
        group=group,
        wire=wire,
        current=current,
        at=base or "/",
        parent=base and (base.rpartition("/")[0] or "/"),
        rows=rows,
        has_more=len(rows) < len(entries) or len(entries) == _MOST,
        problem=problem if go else "",
        fields={
            name: value
            for name, value in request.form.items()
            if name not in FIELDS and name not in hidden and name != "csrf_token"
        },
    )


def _entries(services: Services, group: Group, path: str) -> list[tuple[str, bool]]:
    folder = services.documents.group(group)
    work = partial(folder.entries, path, most=_MOST)
    try:
        return services.heavy_work.do(g.caller.member.id, work, Pool.DISK, _SECONDS)
    except DocumentNotFound:
        if path != "/":
            raise
        return []  # The group has no documents yet.
