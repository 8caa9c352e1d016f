"""Every page and form of the dashboard with made-up parameters: no fault, and never anything but a page or a file."""

from __future__ import annotations

import random
from collections import Counter

from flask import Flask
from redis import Redis

from psthreads.threads.store import ThreadStore
from tests.support.forms import sign_in, token_in
from tests.support.people import People
from tests.support.recording import Recording, RecordingRequest
from tests.support.threads import new_thread

EXAMPLES = 12
TEXTS = [
    *(
        "",
        " ",
        "0",
        "-1",
        "7",
        "1e999",
        "NaN",
        "9" * 40,
        "true",
        "on",
        "off",
        "None",
        "*",
        "%",
        "..",
        "../../etc/passwd",
    ),
    *(
        "../../etc/passwd",
        "<b>'\"&",
        "{{7*7}}",
        "\x00",
        "\x07",
        "\ud800",
        "\u202e",
        "\u0661\u0662",
        "a\u0300",
        "\U0001f4a5",
        "a" * 3_000,
    ),
    *("acme", "~acme", "manager", "nobody", "guest", "count", "active", "failed", "cancel", "delete", "csv", "text"),
    *("2026-01-31T12:00", "2026-13-45", "0" * 32, "/documents/a.xml", "correct horse battery", "read", "3650"),
]


def test_no_page_fails_whatever_its_parameters_hold(
    app: Flask, people: People, redis: Redis, store: ThreadStore
) -> None:
    app.request_class = RecordingRequest
    people.acme_folder.write("/documents/a.xml", b"<a/>")
    client = app.test_client(use_cookies=False)
    # The pages of one's own account take no token.
    browser = app.test_client()
    assert sign_in(browser, "chief") == 303
    csrf_token = token_in(browser.get("/dashboard/account").text)
    chance = random.Random(7)  # noqa: S311 (not for secrets)
    statuses: Counter[int] = Counter()
    read = 0
    pages = [rule for rule in app.url_map.iter_rules() if rule.endpoint.partition(".")[0].endswith("pages")]
    for rule in pages:
        names: set[str] = set()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            for _ in range(EXAMPLES):
                thread = store.create(new_thread(redis, group=people.acme))
                path = {"group": "acme", "member": "manager", "thread": thread, "process": "count"}
                with app.test_request_context():
                    built = rule.build({name: path[name] for name in rule.arguments}, append_unknown=False)
                assert built is not None
                values = {
                    name: chance.choice([*TEXTS, thread]).encode("utf-8", "surrogatepass")
                    for name in sorted(names)
                    if chance.random() < 0.7
                }
                Recording.names.clear()
                query, form = (values, None) if method == "GET" else (None, values)
                if rule.endpoint.startswith("pages.account"):
                    form = form if method == "GET" else {**values, "csrf_token": csrf_token.encode()}
                    response = browser.open(built[1], method=method, query_string=query, data=form)
                    assert response.status_code != 403, "the view was not reached"
                else:
                    response = client.open(
                        built[1], method=method, headers=people.bearer("chief"), query_string=query, data=form
                    )
                statuses[response.status_code] += 1
                assert response.status_code < 500, (method, built[1], values)
                is_page = response.mimetype == "text/html" or built[1].endswith("/dashboard/names")
                assert is_page or "Content-Disposition" in response.headers, built[1]
                response.close()
                names |= Recording.names
        read += len(names)
    assert len(pages) > 50
    assert read > 100
    assert {200, 303, 400} <= statuses.keys()
