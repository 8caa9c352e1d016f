"""schemathesis against the whole service: whatever it makes up, no fault, and no answer that is not documented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from lxml import etree
from redis import Redis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.threads import new_thread

EXAMPLES = 12
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
XSD = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
WRAPPED = {"load-start", "load-unzip"}


@pytest.mark.filterwarnings("ignore")  # of schemathesis, about itself and the files of answers that it does not close
def test_no_made_up_request_gets_a_fault_or_an_answer_that_is_not_documented(
    app: Flask, people: People, redis: Redis, store: ThreadStore, tmp_path: Path
) -> None:
    people.acme_folder.write("/documents/a.xml", b"<a/>")
    app.extensions["psthreads"].feed.close()  # A stream then ends at once.
    thread = store.create(new_thread(redis, group=people.acme))
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    known = {"group": "acme", "member": "chief", "thread": thread}
    seen: dict[int, int] = {}
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr] # an error would end the test as well

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def hold(case: Any) -> None:
            # Every second request is about what there is, and so gets further.
            if seen.setdefault(0, 0) % 2:
                case.path_parameters = {
                    **(case.path_parameters or {}),
                    **{name: value for name, value in known.items() if name in (case.path_parameters or {})},
                }
            seen[0] += 1
            response = case.call(headers=people.bearer("chief"))
            seen[response.status_code] = seen.get(response.status_code, 0) + 1
            # Not ready is what it is: no worker runs here.
            assert response.status_code < 500 or case.path == "/readyz", case.as_curl_command()
            case.validate_response(response, checks=CHECKS)
            if (
                response.headers.get("content-type", [""])[0].startswith("application/xml")
                and response.status_code != 304
            ):
                valid(response.content)

        hold()
    assert seen[0] > 500
    assert {200, 202, 400, 404} <= seen.keys()


def valid(content: bytes) -> None:
    root = etree.fromstring(content)
    if str(root.tag).startswith("{http://www.w3.org/2001/XMLSchema}") or root.tag in WRAPPED:
        return
    XSD.assertValid(root)
