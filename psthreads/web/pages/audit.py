"""The audit: who did what, when, from where and why; a page, and the same as a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response, render_template, url_for

from psthreads.audit.entries import ACTS, KINDS, AuditEntry, AuditQuery
from psthreads.audit.export import FORMATS, pieces
from psthreads.authoring.parameter import Parameter, read_timestamp
from psthreads.domain.model import iso
from psthreads.identity.directory import Directory
from psthreads.web.auth.guard import Guard
from psthreads.web.http.parameters import value_of
from psthreads.web.services import Services

_BY: Final = Parameter("by", str, "", description="the name or id of whoever did it")
_ACT: Final = Parameter("act", str, "", choices=("", *KINDS, *ACTS), description="an act, or the kind before its point")
_SUBJECT: Final = Parameter("subject", str, "", description="the name or id of what it was done to")
_GROUP: Final = Parameter("group", str, "", description="the name or id of the group")
_SINCE: Final = Parameter("since", str, "", description="from when on, such as 2026-01-31T12:00; UTC without a zone")
_UNTIL: Final = Parameter("until", str, "", description="before when")
_WANTED: Final = (_BY, _ACT, _SUBJECT, _GROUP, _SINCE, _UNTIL)
_BEFORE: Final = Parameter("before", str, "", description="the entry from which on older ones are wanted")
_FORMAT: Final = Parameter("format", str, "csv", choices=tuple(FORMATS), description="of the file")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as the page shows it: what was done in words, and where its names lead, empty where nowhere."""

    entry: AuditEntry
    words: str
    who: str = ""
    subject: str = ""
    group: str = ""


def add_to(blueprint: Blueprint, services: Services, guard: Guard) -> None:
    """Add the page of the audit, and its export."""

    @blueprint.get("/dashboard/audit", provide_automatic_options=False)
    def audit() -> str:
        wanted, before = _wanted(), str(value_of(_BEFORE))
        found = services.audit.page(wanted, before)
        asked = {one.wire: str(value_of(one)) for one in _WANTED if value_of(one)}
        return render_template(
            "audit.html",
            rows=_rows(found.entries, services.directory),
            before=found.before,
            is_first=not before,
            asked=asked,
            since=_field(wanted.since),
            until=_field(wanted.until),
            acts=ACTS,
            kinds=KINDS,
        )

    @blueprint.get("/dashboard/audit/export", provide_automatic_options=False)
    def audit_export() -> Response:
        name = str(value_of(_FORMAT))
        text = pieces(services.audit.export(_wanted()), name, guard.watch().ask)
        response = Response(text, content_type=FORMATS[name].media)
        response.headers["Content-Disposition"] = f'attachment; filename="audit.{name}"'
        return response


def _wanted() -> AuditQuery:
    return AuditQuery(
        by=str(value_of(_BY)).strip(),
        act=str(value_of(_ACT)),
        subject=str(value_of(_SUBJECT)).strip(),
        group=str(value_of(_GROUP)).strip(),
        since=read_timestamp("since", str(value_of(_SINCE)).strip()),
        until=read_timestamp("until", str(value_of(_UNTIL)).strip()),
    )


def _field(ms: int) -> str:
    """A moment as a field of a form holds it."""
    return iso(ms)[:19] if ms else ""


def _rows(entries: Iterable[AuditEntry], directory: Directory) -> list[AuditRow]:
    """The entries as they are shown; who and what is gone is not linked."""
    entries = tuple(entries)
    wanted = [
        (kind, int(its_id))
        for entry in entries
        for kind, its_id in (("member", entry.byid), _subject_of(entry), ("group", entry.group))
        if kind and its_id.isdecimal()
    ]
    known = {(kind, str(its_id)) for kind, its_id in directory.names(wanted)}

    def link(kind: str, its_id: str) -> str:
        if kind == "thread" and its_id:
            return url_for("server-pages.thread", thread=its_id)
        if (kind, its_id) not in known:
            return ""
        if kind == "member":
            return url_for("pages.member", member=its_id)
        return url_for("pages.group_members", group=its_id)

    return [
        AuditRow(
            entry,
            ACTS.get(entry.act, entry.act),
            link("member", entry.byid),
            link(*_subject_of(entry)),
            link("group", entry.group),
        )
        for entry in entries
    ]


def _subject_of(entry: AuditEntry) -> tuple[str, str]:
    """What the act was done to: its kind, empty for what is not to be linked, and its id."""
    kind = entry.act.partition(".")[0]
    if entry.act == "thread.delete":
        return "", ""
    return kind if kind in {"thread", "group"} else "member", entry.subject_id
