"""The OpenAPI document, held against the routes in both directions, and against what the views really read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.threads.store import ThreadStore
from tests.support.checkout import ROOT
from tests.support.people import People
from tests.support.recording import Recording, RecordingRequest
from tests.support.threads import new_thread

OWN_CREDENTIALS = {"/ps/oauth/token", "/ps/oauth/revoke"}  # which are parameters there
FOR_PEOPLE = {"static", "openapi.api"}  # besides the pages
METHODS = {"get", "put", "post", "delete", "patch"}
Operation = dict[str, Any]


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    found = app.test_client().get("/openapi.json")
    assert (found.status_code, found.mimetype) == (200, "application/json")
    told: dict[str, Any] = found.get_json()
    return told


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method, path, operation


def test_the_document_has_every_route_and_method_of_the_api_and_no_page(app: Flask, document: dict[str, Any]) -> None:
    routes = set()
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FOR_PEOPLE or rule.endpoint.partition(".")[0].endswith("pages"):
            continue
        path = re.sub(r"<(?:[^<>:]*:)?(\w+)>", r"{\1}", rule.rule)
        routes |= {(method.lower(), path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    told = {
        (method, (server["url"].rstrip("/") + path))
        for path, item in document["paths"].items()
        for method in METHODS & item.keys()
        for server in item["servers"]
    }
    assert told == routes


def test_the_document_is_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert document["info"]["version"] == version
    for reference in re.findall(r"'\$ref': '#/([^']+)'", str(document)):
        at: Any = document
        for part in reference.split("/"):
            at = at[part]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for method, path, operation in operations(document):
        assert operation["summary"], path
        named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), path
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)


def test_everything_that_is_not_open_says_how_to_sign_in(app: Flask, document: dict[str, Any]) -> None:
    client = app.test_client(use_cookies=False)
    for method, path, operation in operations(document):
        with client.open(filled(path, "0" * 32), method=method.upper()) as answer:
            status = answer.status_code
        is_open = "security" not in operation
        assert (status != 401) == is_open or path in OWN_CREDENTIALS, (method, path, status)
        assert str(status) in operation["responses"], (method, path, status)


def filled(path: str, thread: str) -> str:
    values = {"group": "acme", "member": "chief", "thread": thread, "filename": "psthreads.css", "suffix": "json"}
    values["process"] = "count"
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


def right(schema: dict[str, Any]) -> str:
    """A text that this schema takes."""
    if "enum" in schema:
        return str(schema["enum"][0])
    return str(schema.get("default", {"string": "a.xml", "boolean": "true"}.get(schema["type"], "1")))


def wrong(schema: dict[str, Any]) -> str:
    """A text that this schema refuses."""
    if schema.get("type") == "string" and "enum" not in schema:
        return "\x07"
    if schema.get("type") == "boolean" or "enum" in schema:
        return "perhaps"
    return str(int(schema["maximum"]) + 1) if "maximum" in schema else "many"


def test_every_declared_parameter_is_read(
    app: Flask, people: People, redis: Redis, store: ThreadStore, document: dict[str, Any]
) -> None:
    people.acme_folder.write("/a.xml", b"<a/>")
    client = app.test_client(use_cookies=False)
    thread = store.create(new_thread(redis, group=people.acme))
    checked = 0
    for method, path, operation in operations(document):
        if path.startswith("/ps/servlet") or "suffix" in path:
            continue
        declared = {one["name"]: one["schema"] for one in operation["parameters"] if one["in"] == "query"}
        for name, schema in declared.items():
            answer = client.open(
                filled(path, thread),
                method=method.upper(),
                query_string={other: right(schemas) for other, schemas in declared.items()} | {name: wrong(schema)},
                headers={**people.bearer("chief"), "Accept": "application/json"},
            )
            assert answer.status_code == 400, (method, path, name)
            assert f"'{name}'" in answer.get_json()["message"], (path, name)
            checked += 1
    assert checked > 50


def test_no_view_reads_a_parameter_that_is_not_declared(
    app: Flask, people: People, redis: Redis, store: ThreadStore, document: dict[str, Any]
) -> None:
    app.request_class = RecordingRequest
    app.extensions["psthreads"].feed.close()  # A stream then ends at once.
    client: FlaskClient = app.test_client(use_cookies=False)
    thread = store.create(new_thread(redis, group=people.acme))
    seen = 0
    for method, path, operation in operations(document):
        Recording.names.clear()
        client.open(filled(path, thread), method=method.upper(), headers=people.bearer("chief")).close()
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            declared |= set(content["schema"].get("properties", {}))
        assert Recording.names <= declared, (method, path)
        seen += len(Recording.names)
    assert seen > 20


def test_the_page_shows_every_operation_and_has_no_script_in_it(app: Flask, document: dict[str, Any]) -> None:
    answer = app.test_client().get("/api")
    assert answer.status_code == 200
    assert not re.search(r"<script(?! src=)", answer.text)
    assert " style=" not in answer.text
    for method, path, operation in operations(document):
        if "{suffix}" not in path:
            assert f"<b>{method.upper()}</b> {path}</code>" in answer.text
            assert operation["summary"].partition("'")[0] in answer.text
    assert "curl -sS -H" in answer.text
