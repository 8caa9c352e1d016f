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

OWN_CREDENTIALS = {"/oauth/token", "/oauth/revoke"}  # which are parameters there
ELSEWHERE = {
    "/ps/oauth/token": "/oauth/token",
    "/ps/oauth/revoke": "/oauth/revoke",
    "/ps/servlet/upload": "/upload",
    "/ps/member-resource/{group}/{filename}": "/groups/{group}/threads/{thread}/results/{filename}",
}
"""Routes at PageSeeder's paths, and where the same is below /api/v1."""
FOR_PEOPLE = {"static", "openapi.api", "metrics.metrics"}  # besides the pages; the last is for monitors
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
    below: dict[str, set[tuple[str, str]]] = {"/ps/service": set(), "/ps/api": set(), "/api/v1": set(), "": set()}
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FOR_PEOPLE or rule.endpoint.partition(".")[0].endswith("pages"):
            continue
        path = re.sub(r"<(?:[^<>:]*:)?(\w+)>", r"{\1}", rule.rule)
        if not path.endswith(".{suffix}"):
            prefix = next(prefix for prefix in below if path.startswith(f"{prefix}/"))
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            below[prefix] |= {(method.lower(), path.removeprefix(prefix)) for method in methods}
    documented = {(method, path) for method, path, _ in operations(document)}
    assert [server["url"] for server in document["servers"]] == ["/api/v1"]
    assert not any("servers" in item for item in document["paths"].values())
    assert documented == below["/api/v1"]
    assert below["/ps/service"] <= documented
    assert below["/ps/api"] <= documented
    assert {(method, ELSEWHERE.get(path, path)) for method, path in below[""]} <= documented


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
        is_open = operation["security"] == []
        assert (status != 401) == is_open or path in OWN_CREDENTIALS, (method, path, status)
        assert str(status) in operation["responses"], (method, path, status)


def filled(path: str, thread: str) -> str:
    values = {"group": "acme", "member": "chief", "thread": thread, "filename": "psthreads.css", "suffix": "json"}
    values["process"] = "count"
    return "/api/v1" + re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


def fields(operation: Operation) -> dict[str, Any]:
    """The fields of the operation's form, with their schemas."""
    content = operation.get("requestBody", {}).get("content", {})
    return {name: field for media in content.values() for name, field in media["schema"].get("properties", {}).items()}


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
        if path in OWN_CREDENTIALS | {"/upload"}:
            continue
        declared = {one["name"]: one["schema"] for one in operation["parameters"] if one["in"] == "query"}
        form = fields(operation)
        assert not (declared and form), "each parameter once"
        for name, schema in (declared | form).items():
            values = {other: right(schemas) for other, schemas in (declared | form).items()} | {name: wrong(schema)}
            answer = client.open(
                filled(path, thread),
                method=method.upper(),
                query_string=values if declared else None,
                data=values if form else None,
                headers=people.bearer("chief"),
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
        declared |= set(fields(operation))
        assert Recording.names <= declared, (method, path)
        seen += len(Recording.names)
    assert seen > 20


def test_the_page_shows_every_operation_and_has_no_script_in_it(app: Flask, document: dict[str, Any]) -> None:
    answer = app.test_client().get("/api")
    assert answer.status_code == 200
    assert not re.search(r"<script(?! src=)", answer.text)
    assert " style=" not in answer.text
    for method, path, operation in operations(document):
        assert f"<b>{method.upper()}</b> {path}</code>".replace("/", "/<wbr>").replace("</<wbr>", "</") in answer.text
        assert operation["summary"].partition("'")[0] in answer.text
    assert "curl -sS -H" in answer.text


def schemas_of(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document that is, or may be, a schema."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from schemas_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas_of(inner)


def test_no_constant_and_no_choice_is_without_a_type(document: dict[str, Any]) -> None:
    limited = [schema for schema in schemas_of(document) if {"const", "enum"} & schema.keys()]
    assert len(limited) > 10
    assert [schema for schema in limited if "type" not in schema] == []


def test_the_success_of_a_start_has_its_schema_and_a_file_only_where_there_is_one(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if operation["tags"] != ["process"]:
            continue
        content = operation["responses"]["200"]["content"]
        assert content["application/json"]["schema"]["$ref"].rpartition("/")[2] in {"thread", "wrapper"}
        assert set(content) == {"application/json"} | ({"application/zip"} if path.endswith("/export") else set())
        assert operation["responses"]["202"]["content"]["application/json"]["schema"], (method, path)


def test_a_token_is_described_as_oauth_has_it(document: dict[str, Any]) -> None:
    operation = document["paths"]["/oauth/token"]["post"]
    assert operation["security"] == []
    form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert form["required"] == ["grant_type"]
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/oauth-token")
    assert operation["responses"]["400"]["content"]["application/json"]["schema"]["$ref"].endswith("/oauth-error")
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "/api/v1/oauth/token"
    assert {"oauth2": []} in document["paths"]["/threads"]["get"]["security"]


def test_every_tag_is_declared_and_somebody_can_be_contacted(document: dict[str, Any]) -> None:
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}
    assert document["info"]["contact"]["name"]


def test_what_is_too_long_is_documented(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert "414" in operation["responses"]
        assert ("413" in operation["responses"]) == (method != "get"), (method, path)


@pytest.mark.parametrize("accept", [None, "*/*", "text/html, */*;q=0.8", "application/json"])
def test_below_its_own_prefix_the_api_answers_in_json(app: Flask, people: People, accept: str | None) -> None:
    client = app.test_client(use_cookies=False)
    headers = {**people.bearer("contributor"), **({"Accept": accept} if accept else {})}
    start = client.post("/api/v1/members/contributor/groups/acme/samples/count", headers=headers)
    assert (start.status_code, start.mimetype) == (202, "application/json")
    assert start.headers["Location"] == f"/api/v1/groups/acme/threads/{start.get_json()['id']}/progress"
    for path, status in (("", 200), ("/nothing", 404)):
        answer = client.get(f"/api/v1/groups/acme/threads{path}", headers=headers)
        assert (answer.status_code, answer.mimetype) == (status, "application/json")
    refused = client.delete("/api/v1/threads", headers=headers)
    assert (refused.status_code, refused.mimetype) == (405, "application/json")
    # The old routes keep XML.
    if accept != "application/json":
        assert client.get("/groups/acme/threads", headers=headers).mimetype == "application/xml"


@pytest.mark.parametrize("accept", ["application/xml", "text/xml", "application/xml, */*;q=0.1"])
def test_below_its_own_prefix_the_api_answers_in_xml_where_that_is_asked_for(
    app: Flask, people: People, accept: str
) -> None:
    headers = {**people.bearer("contributor"), "Accept": accept}
    for path in ("/api/v1/groups/acme/threads", "/api/v1/groups/acme/nothing"):
        assert app.test_client().get(path, headers=headers).mimetype == "application/xml"
    suffixed = app.test_client().get("/api/v1/groups/acme/threads.xml", headers=people.bearer("contributor"))
    assert suffixed.mimetype == "application/xml"
