"""What can be started here: listed for whoever is signed in, in XML and JSON, below every prefix."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from flask import Flask
from lxml import etree
from werkzeug.test import TestResponse

from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.web.app import create_app
from tests.support.checkout import ROOT
from tests.support.people import INSIDE, People

JSON_SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / "thread.schema.json").read_text()))


@pytest.fixture
def app(config: Config, people: People) -> Flask:
    return create_app(replace(config, processes=("tests.support.listed_processes",)))


class Web:
    def __init__(self, app: Flask, people: People) -> None:
        self._client = app.test_client(use_cookies=False)
        self._people = people
        self._xsd = etree.XMLSchema(etree.fromstring(self._client.get("/schemas/thread.xsd").data))

    def __call__(self, path: str, by: str, method: str = "GET") -> TestResponse:
        response = self._client.open(path, method=method, headers=self._people.bearer(by))
        if response.mimetype == "application/xml":
            self._xsd.assertValid(etree.fromstring(response.data))
        else:
            JSON_SCHEMA.validate(response.json)
        return response

    def names(self, path: str, by: str) -> list[str]:
        response = self(path, by)
        assert response.status_code == 200, response.data
        return [str(one.get("name")) for one in etree.fromstring(response.data)]


@pytest.fixture
def ask(app: Flask, people: People) -> Web:
    return Web(app, people)


def test_a_group_lists_what_the_role_there_allows(ask: Web) -> None:
    for who, role in INSIDE.items():
        allowed = ["plain"] if role.allows(Role.CONTRIBUTOR) else []
        allowed += ["for-guests"]
        allowed += ["for-approvers"] if role.allows(Role.APPROVER) else []
        assert ask.names("/groups/acme/processes", who) == allowed, who
    assert ask.names("/groups/acme/processes", "chief") == ["plain", "for-guests", "for-approvers"]
    for who in ("outsider", "loner"):
        assert ask("/groups/acme/processes", who).status_code == 403
    assert ask("/groups/acme/processes", "anonymous").status_code == 401
    assert ask("/groups/nope/processes", "chief").status_code == 404


def test_what_is_listed_can_be_started_and_what_is_not_is_refused(ask: Web) -> None:
    for who in (*INSIDE, "chief"):
        listed = {one["name"]: one for one in ask("/groups/acme/processes.json", who).json["processes"]}  # type: ignore[index]
        everything = ask("/groups/acme/processes.json", "chief").json["processes"]  # type: ignore[index]
        for one in everything:
            route = listed.get(one["name"], one)["route"].replace("chief", who)
            status = ask(f"{route}?path=x" if one["name"] == "plain" else route, who, "POST").status_code
            assert status == (202 if one["name"] in listed else 403), (who, route)


def test_the_server_lists_what_may_be_started_in_one_of_the_members_groups_at_least(ask: Web) -> None:
    assert ask.names("/processes", "chief") == ["plain", "for-guests", "for-approvers", "everywhere"]
    assert ask.names("/processes", "guest") == ["for-guests"]
    assert ask.names("/processes", "outsider") == ["plain", "for-guests"]
    assert ask.names("/processes", "loner") == []
    assert ask("/processes", "anonymous").status_code == 401
    by_name = {one["name"]: one for one in ask("/processes.json", "chief").json["processes"]}  # type: ignore[index]
    assert by_name["plain"]["route"] == "/members/chief/groups/{group}/listed/plain"
    assert by_name["everywhere"]["route"] == "/members/chief/listed/server"
    assert (by_name["everywhere"]["scope"], by_name["everywhere"]["role"]) == ("server", "administrator")


@pytest.mark.parametrize("prefix", ["", "/ps/service", "/ps/api"])
def test_both_formats_tell_all_of_a_process(ask: Web, prefix: str, people: People) -> None:
    path = f"{prefix}/groups/{people.acme.id}/processes"
    told: dict[str, Any] = ask(f"{path}.json", "contributor").json["processes"][0]  # type: ignore[index]
    assert told == {
        "name": "plain",
        "title": "Ünfriendly \ufffd <title> & {path}",
        "scope": "group",
        "role": "contributor",
        "methods": ["POST"],
        "route": f"{prefix}/members/contributor/groups/acme/listed/plain",
        "template": f"{prefix}/members/{{member}}/groups/{{group}}/listed/plain",
        "restartable": True,
        "timeLimit": 1.5,
        "summary": "Does it & more.",
        "parameters": [
            {"name": "path", "type": "string", "required": True, "greatest": 4096, "description": "where <it> is"},
            {"name": "up-to", "type": "integer", "required": False, "default": 5, "least": 1, "greatest": 10_000_000},
            {"name": "share", "type": "number", "required": False, "default": 0.25},
            {"name": "how", "type": "string", "required": False, "default": "a&b", "choices": ["a&b", "c"]},
            {"name": "quick", "type": "boolean", "required": False, "default": True},
        ],
    }
    one = etree.fromstring(ask(path, "contributor").data)[0]
    assert {name: one.get(name) for name in ("title", "route", "restartable", "time-limit", "methods")} == {
        "title": told["title"],
        "route": told["route"],
        "restartable": "true",
        "time-limit": "1.5",
        "methods": "POST",
    }
    parameters = {str(parameter.get("name")): parameter for parameter in one.findall("parameter")}
    assert parameters["path"].findtext("description") == "where <it> is"
    assert dict(parameters["up-to"].attrib) == {
        "name": "up-to",
        "type": "integer",
        "required": "false",
        "default": "5",
        "least": "1",
        "greatest": "10000000",
    }
    assert parameters["quick"].get("default") == "true"
    assert [choice.text for choice in parameters["how"].findall("choice")] == ["a&b", "c"]


def test_a_wrapper_of_ones_own_is_in_the_answer_and_in_the_schema(ask: Web) -> None:
    path = "/members/guest/groups/acme/listed/guests"
    answer = etree.fromstring(ask(path, "guest", "POST").data)  # which was held against the schema
    assert (answer.tag, answer[0].tag) == ("for-guests", "thread")
    assert ask(f"{path}.json", "guest", "POST").json.keys() == {"forGuests"}  # type: ignore[union-attr]
