"""The thread services, asked by one of the people; every answer is checked against the schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from flask import Flask
from lxml import etree
from werkzeug.test import TestResponse

from tests.support.checkout import ROOT
from tests.support.people import People

XSD = etree.XMLSchema(etree.parse(ROOT / "schemas" / "thread.xsd"))
JSON_SCHEMA = jsonschema.Draft202012Validator(
    json.loads((ROOT / "schemas" / "thread.schema.json").read_text()),
    format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
)
COUNT = "/members/contributor/groups/acme/samples/count"


class Web:
    """The application, asked by one of the people; every answer is checked against the schemas."""

    def __init__(self, app: Flask, people: People) -> None:
        self._client = app.test_client(use_cookies=False)
        self._people = people

    def __call__(self, method: str, path: str, by: str = "contributor", **more: Any) -> TestResponse:
        headers = {**self._people.bearer(by), **more.pop("headers", {})}
        response = self._client.open(path, method=method, headers=headers, **more)
        if method != "HEAD":
            check(response)
        response.close()
        return response


def check(response: TestResponse) -> None:
    if response.mimetype == "application/xml" and not response.request.path.startswith("/schemas"):
        XSD.assertValid(etree.fromstring(response.data))
    elif response.mimetype == "application/json":
        JSON_SCHEMA.validate(response.json)
    assert response.status_code != 500
    assert b"Traceback" not in response.data


def xml(response: TestResponse) -> etree._Element:
    assert response.mimetype == "application/xml", response.data
    return etree.fromstring(response.data)


@pytest.fixture
def web(app: Flask, people: People) -> Web:
    return Web(app, people)


@pytest.fixture
def thread_id(web: Web) -> str:
    return xml(web("POST", COUNT)).attrib["id"]
