"""An administrator at the pages of members, groups and the audit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import Audit, AuditEntry, AuditQuery
from tests.support.forms import sign_in, token_in
from tests.support.people import People

HOSTILE = "<img src=x onerror=alert(1)>\"'{{7*7}}"
MEMBER = "/dashboard/members/manager"


@dataclass
class Desk:
    """An administrator's browser, and what the audit has of it."""

    browser: FlaskClient
    people: People
    audit: Audit
    seen: set[str] = field(default_factory=set)

    def get(self, path: str, status: int = 200) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, path: str, status: int = 303, **fields: str) -> TestResponse:
        token = token_in(self.get("/dashboard/members/add"))
        answer = self.browser.post(path, data={"csrf_token": token, **fields})
        assert answer.status_code == status, answer.text
        return answer

    def new(self) -> list[AuditEntry]:
        """The entries since the last time."""
        some = [entry for entry in self.audit.export(AuditQuery()) if entry.id not in self.seen]
        self.seen |= {entry.id for entry in some}
        return some

    def one(self) -> tuple[str, str, str, str, str]:
        """The one new entry: act, subject, group, detail and reason; by whom and from where is checked."""
        (entry,) = self.new()
        chief = self.people.members["chief"]
        assert (entry.by, entry.byid, entry.address) == ("chief", str(chief.id), "127.0.0.1")
        return entry.act, entry.subject, entry.groupname, entry.detail, entry.reason


@pytest.fixture
def desk(app: Flask, people: People, redis: Redis) -> Iterator[Desk]:
    with app.test_client() as client:
        assert sign_in(client, "chief") == 303
        made = Desk(client, people, Audit(redis))
        made.new()
        yield made


def texts(page: str) -> str:
    """What a page says, without its markup."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))
