"""What tests of the dashboard's pages share: how they are asked for, posted to and read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from lxml import html

from psthreads.domain.model import Outcome, Status
from psthreads.threads.store import ThreadStore
from tests.support.forms import token_in

Signed = Callable[[str], FlaskClient]
"""Gives a browser in which the member of this name is signed in."""


def texts(page: str, css: str) -> list[str]:
    found = html.fromstring(page).xpath(css)
    assert isinstance(found, list)
    return [" ".join(one.text_content().split()) for one in found if isinstance(one, html.HtmlElement)]


def rows(page: str) -> list[str]:
    return re.findall(r'<tr id="t-([0-9a-f]{32})"', page)


def ended(store: ThreadStore, thread_id: str, status: Status = Status.COMPLETED) -> str:
    assert store.claim(thread_id, "t", "worker-name")
    store.finish(thread_id, "t", Outcome(status, "Done"))
    return thread_id


def post(client: FlaskClient, path: str, page: str, **fields: Any) -> Any:
    return client.post(path, data={"csrf_token": token_in(client.get(page).text), **fields})
