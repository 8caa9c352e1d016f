"""What narrows a request is honoured or refused, whoever sends it: PageSeeder's clients, or people who mistype."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from psthreads.domain.config import Config
from psthreads.web.app import create_app
from tests.clients.answers import Caller, bearer, xml
from tests.support.leaves import Signed, post
from tests.support.people import People

BASE = "/ps/service/members/~contributor/groups/~acme"
UPLOAD = "/ps/servlet/upload?group=~acme"


def is_refused(answer: TestResponse, name: str) -> bool:
    """Return whether the answer is a 400 that names the parameter."""
    return answer.status_code == 400 and f"'{name}'" in (xml(answer).findtext("message") or "")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("export?uris=1", "uris"),
        ("export?path=/&context=/ps/acme", "context"),
        ("export?allurls=true", "allurls"),
        ("validate?uri=1", "uri"),
        ("validate?includes=*.psml", "includes"),
        ("validate?Path=/documents", "Path"),
        ("validate?pth=/documents", "pth"),
        ("export?include=*.psml", "include"),
        ("loadingzone/clear?path=/a.xml", "path"),
        ("loadingzone/clear?filename=a.xml", "filename"),
        ("loadingzone/clear?xlinkid=7", "xlinkid"),
        ("loadingzone/start?overwrites=true", "overwrites"),
        ("publish/start?target=docx", "target"),
        ("move?path=/a&destination=/b&uris=1,2", "uris"),
    ],
)
def test_a_start_or_a_change_refuses_what_would_narrow_it(contributor: Caller, path: str, name: str) -> None:
    """SDK, services.txt: the services; their pages: the parameters. A form is read like the query."""
    assert is_refused(contributor.post(f"{BASE}/{path}"), name)
    route, _, query = path.partition("?")
    form = dict(pair.split("=") for pair in query.split("&"))
    assert is_refused(contributor.post(f"{BASE}/{route}", data=form), name)
    assert len(xml(contributor.get("/groups/acme/threads"))) == 0


def test_nothing_is_cleared_by_a_request_for_less(contributor: Caller) -> None:
    contributor.put(f"{UPLOAD}&filename=a.xml", b"<a/>")
    for name in ("path", "filename", "uris", "xlinkid", "folder"):
        assert is_refused(contributor.post(f"{BASE}/loadingzone/clear?{name}=x"), name)
    assert xml(contributor.post(f"{BASE}/loadingzone/clear")).get("filesremoved") == "1"


def test_the_nearest_name_is_suggested(contributor: Caller) -> None:
    answer = contributor.post(f"{BASE}/loadingzone/start?over-write=true")
    assert xml(answer).findtext("message") == "There is no parameter 'over-write' here: did you mean 'overwrite'?"


def test_reading_refuses_what_would_narrow_it(contributor: Caller) -> None:
    for path, name in (
        ("/groups/acme/threads?state=failed", "state"),
        ("/groups/acme/threads?level=ERROR", "level"),
        ("/groups/acme/threads?pagesize=5", "pagesize"),
        ("/groups/acme/processes?path=/", "path"),
        ("/groups/acme/threads?status=failed&status=completed", "status"),
    ):
        assert is_refused(contributor.get(path), name), path


def test_what_is_harmless_is_ignored_silently(contributor: Caller) -> None:
    """bridge, PSHTTPResource.toURLString (line 291): xformat; netdox, zip_upload (742 and 755)."""
    put = contributor.put(f"{UPLOAD}&filename=a.xml&file=a.zip&xformat=xml", b"<a/>")
    start = contributor.post(f"{BASE}/loadingzone/start?overwrite-properties=true&_=1652667241924&notify=silent")
    assert (put.status_code, start.status_code) == (201, 202)
    assert "Psthreads-Ignored" not in {*put.headers.keys(), *start.headers.keys()}


def test_whatever_else_is_ignored_is_named_in_a_header(contributor: Caller) -> None:
    query = contributor.post(f"{BASE}/validate?colour=red&gr%C3%B6%C3%9Fe%0d%0a=1&warn=true")
    assert query.status_code == 202
    assert query.headers["Psthreads-Ignored"] == "colour, gr%C3%B6%C3%9Fe%0D%0A"
    form = contributor.post(f"{BASE}/validate", data={"colour": "red"})
    assert form.headers["Psthreads-Ignored"] == "colour"
    files = {"group": "acme", "colour": "red", "file": (io.BytesIO(b"<b/>"), "b.xml")}
    upload = contributor.post("/ps/servlet/upload?shade=dark", data=files)
    assert (upload.status_code, upload.headers["Psthreads-Ignored"]) == (201, "shade, colour")
    many = contributor.get("/groups/acme/threads?" + "&".join(f"{'x' * 200}{number}=1" for number in range(90)))
    assert len(many.headers["Psthreads-Ignored"]) < 2_000


def test_a_form_with_files_refuses_what_would_narrow_it(contributor: Caller) -> None:
    for name in ("url", "xlinkid", "uris"):
        form = {"group": "acme", name: "x", "file": (io.BytesIO(b"<b/>"), "b.xml")}
        assert is_refused(contributor.post("/ps/servlet/upload", data=form), name)
    late = {"group": "acme", "file": (io.BytesIO(b"<b/>"), "b.xml"), "uris": "1"}
    assert is_refused(contributor.post("/ps/servlet/upload", data=late), "uris")
    assert xml(contributor.post(f"{BASE}/loadingzone/clear")).get("filesremoved") == "0"


def test_a_file_where_a_text_belongs_is_refused(contributor: Caller) -> None:
    form = {"path": (io.BytesIO(b"/documents"), "path.txt")}
    assert is_refused(contributor.post(f"{BASE}/validate", data=form), "path")


def test_with_the_setting_whatever_is_unknown_is_refused(config: Config, people: People) -> None:
    strict = bearer(create_app(replace(config, strict=True)).test_client(), people, "contributor")
    assert is_refused(strict.post(f"{BASE}/validate?colour=red"), "colour")
    assert is_refused(strict.get("/groups/acme/threads?colour=red"), "colour")
    assert strict.post(f"{BASE}/validate?_=1").status_code == 202


def test_who_may_not_do_it_learns_that_first(people: People, contributor: Caller) -> None:
    outsider = bearer(contributor.client, people, "outsider")
    assert outsider.post(f"{BASE}/export?uris=1").status_code == 403
    assert contributor.client.post(f"{BASE}/export?uris=1").status_code == 401


def test_the_form_of_a_process_refuses_what_it_does_not_know(signed: Signed, people: People) -> None:
    browser, path = signed("contributor"), "/dashboard/groups/acme/start/validate"
    answer = post(browser, path, path, pth="/documents")
    assert (answer.status_code, "did you mean &#39;path&#39;?" in answer.text) == (400, True)
    linked = browser.get(f"{path}?pth=/documents")
    assert "did you mean &#39;path&#39;?" in linked.text
    assert browser.get(f"{path}?path=/documents").text.count("There is no parameter") == 0
    assert post(browser, path, path, warn="true").status_code == 303
