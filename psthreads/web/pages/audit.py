"""The audit log: who did what, when, from where and why; as a page and as a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response, g, render_template, url_for

from psthreads.audit.entries import ACTS, KINDS, REFUSALS, Audit, AuditEntry, AuditQuery
from psthreads.audit.export import FORMATS, pieces
from psthreads.authoring.parameter import Parameter, read_timestamp
from psthreads.domain.model import iso
from psthreads.identity.directory import Directory
from psthreads.web.auth.guard import Guard
from psthreads.web.http.parameters import value_of
from psthreads.web.pages import forms
from psthreads.web.services import Services

_LOG: Final = Parameter("log", str, "", choices=("", "security"))
_ACT: Final = Parameter("act", str, "", choices=("", *KINDS, *ACTS, *REFUSALS))
_FORMAT: Final = Parameter("format", str, "csv", choices=tuple(FORMATS))
_FILTERS: Final = ("log", "by", "act", "subject", "group", "since", "until")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry with the label of its action, and the addresses of its names, empty where there is no page."""

    entry: AuditEntry
    action: str
    member: str = ""
    subject: str = ""
    group: str = ""


def add_to(blueprint: Blueprint, services: Services, guard: Guard, *, has_accounts: bool) -> None:
    """Add the page of the audit log, and its export. Names lead to the pages of accounts, where there are any."""

    @blueprint.get("/dashboard/audit")
    def audit() -> str:
        query, before = _query(), forms.argument("before")
        page = _log(services).page(query, before)
        return render_template(
            "audit.html",
            rows=_rows(page.entries, services.directory, has_accounts=has_accounts),
            before=page.before,
            is_first=not before,
            filters={name: value for name in _FILTERS if (value := forms.argument(name))},
            since=_field(query.since),
            until=_field(query.until),
            is_security=_is_security(),
            acts=REFUSALS if _is_security() else ACTS,
            kinds=("refused",) if _is_security() else KINDS,
        )

    @blueprint.get("/dashboard/audit/export")
    def audit_export() -> Response:
        name, stem = str(value_of(_FORMAT)), "security" if _is_security() else "audit"
        text = pieces(_log(services).export(_query()), name, guard.watch().recheck)
        return services.downloads.answer(g.caller, text, FORMATS[name].media, f"{stem}.{name}")


def _is_security() -> bool:
    return str(value_of(_LOG)) == "security"


def _log(services: Services) -> Audit:
    return services.security_log if _is_security() else services.audit


def _query() -> AuditQuery:
    by, subject, group, since, until = (
        forms.argument(name).strip() for name in ("by", "subject", "group", "since", "until")
    )
    return AuditQuery(
        by=by,
        act=str(value_of(_ACT)),
        subject=subject,
        group=group,
        since=read_timestamp("since", since),
        until=read_timestamp("until", until),
    )


def _field(ms: int) -> str:
    """Return a time as a field of a form holds it."""
    return iso(ms)[:19] if ms else ""


def _rows(entries: Iterable[AuditEntry], directory: Directory, *, has_accounts: bool) -> list[AuditRow]:
    """Return the rows of the entries, with links to members and groups that still exist."""
    entries = tuple(entries)
    subjects = [
        (kind, int(subject_id))
        for entry in entries
        for kind, subject_id in (("member", entry.byid), _subject_of(entry), ("group", entry.group))
        if kind and subject_id.isdecimal()
    ]
    existing = {(kind, str(subject_id)) for kind, subject_id in directory.names(subjects)}

    def link(kind: str, subject_id: str) -> str:
        if kind == "thread" and subject_id:
            return url_for("server-pages.thread", thread=subject_id)
        if not has_accounts or (kind, subject_id) not in existing:
            return ""
        if kind == "member":
            return url_for("pages.member", member=subject_id)
        return url_for("pages.group_members", group=subject_id)

    return [
        AuditRow(
            entry,
            {**ACTS, **REFUSALS}.get(entry.act, entry.act),
            link("member", entry.byid),
            link(*_subject_of(entry)),
            link("group", entry.group),
        )
        for entry in entries
    ]


def _subject_of(entry: AuditEntry) -> tuple[str, str]:
    """Return the kind and the id of what the act was done to; an empty kind has no page."""
    kind = entry.act.partition(".")[0]
    if entry.act == "thread.delete":
        return "", ""
    return kind if kind in {"thread", "group"} else "member", entry.subject_id
