"""The cheap calls that clients make before all others."""

from __future__ import annotations

from flask import Flask

from tests.clients.answers import Caller, basic, bearer, xml
from tests.support.people import People


def test_the_version_is_two_numbers_and_a_text_without_signing_in(app: Flask) -> None:
    """bridge, Version (line 147): major and build; netdox, get_version (458): string, without credentials."""
    client = app.test_client()
    for path in ("/ps/service/version", "/ps/api/version.xml", "/version"):
        root = xml(client.get(path))
        assert root.tag == "version"
        major, build = int(root.get("major", "")), int(root.get("build", ""))
        assert root.get("string") == f"{major}.{build:04}"
        assert float(root.get("string", "")) > 5.95
    found = client.get("/ps/api/version.json").json
    assert found is not None
    assert (type(found["major"]), type(found["build"]), found["product"]) == (int, int, "psthreads")


def test_self_describes_the_caller(app: Flask, people: People) -> None:
    """netdox, sentenceStale (line 284): the id, from JSON; bridge, PSMemberHandler: id and username."""
    caller = basic(app.test_client(), "guest")
    member = people.members["guest"]
    root = xml(caller.get("/ps/service/self"))
    assert (root.get("id"), root.get("username"), root.findtext("fullname")) == (str(member.id), "guest", "guest")
    described = caller.get("/ps/service/self", headers={"Accept": "application/json"}).json
    assert described is not None
    assert described["id"] == member.id
    assert app.test_client().get("/self").status_code == 401


def test_a_group_has_what_pageseeder_rs_requires(app: Flask, people: People, chief: Caller) -> None:
    """pageseeder-rs, model.rs, Group (202): id, name, owner, description, and an access of public or member."""
    for who in ("guest", "contributor", "chief"):
        root = xml(bearer(app.test_client(), people, who).get("/ps/service/groups/~acme"))
        assert (root.tag, int(root.get("id", "")), root.get("name")) == ("group", people.acme.id, "acme")
        assert root.get("access") in {"public", "member"}
        assert {"owner", "description", "common"} <= set(root.attrib)
    assert bearer(app.test_client(), people, "outsider").get("/groups/acme").status_code == 403
    assert chief.get("/groups/nope").status_code == 404
