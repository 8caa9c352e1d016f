"""The forms that start processes: what they say of parameters, and what they help to fill in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from psthreads.domain.config import Config
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.forms import sign_in
from tests.support.leaves import Signed, texts
from tests.support.people import People

START = "/dashboard/groups/acme/start"


def fields_of(page: str) -> dict[str, str]:
    (form,) = html.fromstring(page).xpath("//main//form[.//input[@name='csrf_token']]")
    return dict(form.form_values())


@pytest.fixture
def sealed(config: Config, people: People) -> FlaskClient:
    """A contributor on a server that has a process with secrets."""
    assert people
    app: Flask = create_app(replace(config, processes=("tests.support.sealed_processes",)))
    client = app.test_client()
    assert sign_in(client, "contributor") == 303
    return client


def test_a_secret_is_typed_unseen_and_never_shown_and_an_empty_one_means_the_default(
    sealed: FlaskClient, store: ThreadStore
) -> None:
    page = sealed.get(f"{START}/sealed?password=swordfish&api-key=herring").text
    kinds = {each.get("name"): each.get("type") for each in html.fromstring(page).xpath("//input[@name]")}
    assert (kinds["password"], kinds["api-key"], kinds["label"]) == ("password", "password", "text")
    assert "swordfish" not in page
    assert "herring" not in page
    assert "built-in" not in page
    fields = {**fields_of(page), "password": "swordfish", "api-key": ""}
    refused = sealed.post(f"{START}/sealed", data={**fields, "tries": "12"})
    assert refused.status_code == 400
    assert "swordfish" not in refused.text
    assert sealed.post(f"{START}/sealed", data=fields).status_code == 303
    (thread,) = store.page("active").threads
    assert store.values(thread.id) == {"password": "swordfish", "api_key": "built-in", "tries": 3, "label": ""}


def test_bounds_are_said_in_words(sealed: FlaskClient) -> None:
    hints = texts(sealed.get(f"{START}/sealed").text, "//p[@class='hint']")
    assert "How often it tries. From 1 to 9." in hints
    assert "At most 20 characters." in [hint.strip() for hint in hints]


def test_a_path_is_chosen_among_the_groups_documents_and_the_form_loses_nothing(signed: Signed, people: People) -> None:
    for path in ("/reports/2026/may.xml", "/reports/june.xml", "/top.xml"):
        people.acme_folder.write(path, b"<a/>")
    client, address = signed("contributor"), f"{START}/move"
    form = {**fields_of(client.get(address).text), "destination": "/kept"}

    def press(fields: dict[str, str], name: str, value: str) -> str:
        answer = client.post(address, data={**fields, name: value})
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    page = press(form, "browse.for", "path")
    assert texts(page, "//ul/li")[0] == "reports/"
    assert "top.xml" in texts(page, "//ul/li")
    page = press(fields_of(page), "browse.at", "/reports")
    assert texts(page, "//ul/li") == ["2026/", "june.xml"]
    nowhere = press(fields_of(page), "browse.go", "/nowhere/else")
    assert texts(nowhere, "//*[@role='alert']") != []
    chosen = fields_of(press(fields_of(page), "browse.chosen", "/reports/june.xml"))
    assert chosen["path"] == "/reports/june.xml"
    assert {name: value for name, value in chosen.items() if name not in {"path", "csrf_token", "key"}} == {
        name: value for name, value in form.items() if name not in {"path", "csrf_token", "key"}
    }
    # What the field holds is where it begins; a document's folder, where it is one.
    page = press({**form, "path": "/reports/june.xml"}, "browse.for", "path")
    assert texts(page, "//form/h2") == ["/reports"]
    # Paths that lead out are refused as everywhere, and unzip's path is none of the documents.
    assert texts(press({**form, "path": "/../.."}, "browse.for", "path"), "//form/h2") == ["/"]
    assert 'name="browse.for"' not in client.get(f"{START}/unzip").text
    assert client.post(f"{START}/unzip", data={**form, "browse.for": "path"}).status_code == 400


def test_a_large_folder_costs_a_page_no_more(signed: Signed, people: People) -> None:
    for number in range(1_100):
        people.acme_folder.write(f"/many/{number:040}.xml", b"<a/>")
    client, address = signed("chief"), "/dashboard/start/validate"
    form = {**fields_of(client.get(address).text), "browse.for": "path", "browse.at": "/many"}
    assert client.post(address, data=form).status_code == 400  # No group was named.
    page = client.post(address, data={**form, "group": "acme"})
    assert len(page.data) < 60_000
    assert "Not all entries" in page.text


def test_names_are_suggested_to_administrators_alone(signed: Signed) -> None:
    chief = signed("chief")
    assert chief.get("/dashboard/names?kind=groups&prefix=AC").json == ["acme"]
    assert chief.get("/dashboard/names?kind=members&prefix=contrib").json == ["contributor"]
    assert chief.get("/dashboard/names?kind=members&prefix=zzz").json == []
    page = html.fromstring(chief.get("/dashboard/threads").text)
    for field in page.xpath("//input[@data-suggest]"):
        assert page.xpath("//datalist/@id").count(field.get("list")) == 1
        assert chief.get(field.get("data-suggest")).status_code == 200
    assert len(page.xpath("//input[@data-suggest]")) == 2
    contributor = signed("contributor")
    assert contributor.get("/dashboard/names?kind=groups").status_code == 403
    assert "data-suggest" not in contributor.get("/dashboard/groups/acme/threads").text
