"""Below the prefix the application's sign-in counts, and no other."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from flask import request
from redis import Redis

from psthreads import Psthreads, User
from psthreads.audit.entries import Audit, AuditQuery
from psthreads.domain.config import Config
from psthreads.domain.errors import NotSignedIn
from psthreads.web.app import create_app
from psthreads.web.auth.guard import Guard, Watch
from psthreads.web.auth.host import HostCredentials
from tests.redis.web.host.conftest import Host, new_host
from tests.support.forms import token_in
from tests.support.people import People

PAGE = {"Accept": "text/html"}
START = "/jobs/dashboard/groups/acme/start/count"
ADDRESS = re.compile(r"""(href|action|src|hx-get)=["'](/[^"']*)["']""")


def test_whoever_is_nobody_is_led_to_the_applications_sign_in_and_programs_are_refused(host: Host) -> None:
    nobody = host.browser()
    answer = nobody.get("/jobs/dashboard/groups/acme?page=2", headers=PAGE)
    assert answer.headers["Location"] == "/login?next=%2Fjobs%2Fdashboard%2Fgroups%2Facme%3Fpage%3D2"
    answer = nobody.get("/jobs/groups/acme/threads")
    assert answer.status_code == 401
    assert "Basic" not in answer.headers["WWW-Authenticate"]


def test_without_a_page_to_sign_in_at_there_is_a_page_that_says_so(config: Config) -> None:
    app, _ = new_host()
    Psthreads(app, identify=lambda: None, config=config)
    answer = app.test_client().get("/jobs/dashboard", headers=PAGE)
    assert answer.status_code == 401
    assert "Sign in first" in answer.text


def test_roles_are_those_that_the_application_says_now(host: Host) -> None:
    manager, guest, chief = host.browser("jjones"), host.browser("asmith"), host.browser("root")
    assert manager.get("/jobs/groups/acme/threads").status_code == 200
    assert guest.get("/jobs/groups/acme/threads").status_code == 403
    assert guest.get("/jobs/groups/other/threads").status_code == 200
    assert manager.get("/jobs/groups/other/threads").status_code == 403
    assert manager.get("/jobs/threads").status_code == 403
    assert chief.get("/jobs/threads").status_code == 200
    host.users["jjones"] = User("jjones", groups={"new": "contributor"})
    assert manager.get("/jobs/groups/acme/threads").status_code == 403
    assert manager.get("/jobs/groups/new/threads").status_code == 200
    host.users["root"] = User("root")
    assert chief.get("/jobs/threads").status_code == 403
    del host.users["jjones"]
    assert manager.get("/jobs/groups/new/threads").status_code == 401


def test_the_audit_names_the_application_that_has_given_roles(host: Host, redis: Redis) -> None:
    host.browser("jjones").get("/jobs/groups/acme/threads")
    entries = [(entry.act, entry.subject) for entry in Audit(redis).export(AuditQuery(by="program:shop"))]
    assert sorted(entries) == [("group.add", "acme"), ("member.add", "jjones"), ("role.set", "jjones")]


def test_psthreads_own_passwords_and_tokens_open_nothing(host: Host, people: People) -> None:
    nobody = host.app.test_client(use_cookies=False)
    for headers in (people.bearer("chief"), people.basic("chief")):
        assert nobody.get("/jobs/threads", headers=headers).status_code == 401
    # Nor does a member whom the application has made get a password that opens a server of its own.
    host.browser("root").get("/jobs/threads")
    for password in ("", "!"):
        assert create_app(host.app.extensions["psthreads"].services.config).test_client().get(
            "/threads", headers=people.basic("root", password)
        ).status_code in {401, 429}


def test_no_page_of_accounts_passwords_or_tokens_is_there(host: Host, config: Config) -> None:
    own, part = create_app(config), host.app.extensions["psthreads"].application
    missing = {rule.endpoint for rule in own.url_map.iter_rules()} - {
        rule.endpoint for rule in part.url_map.iter_rules()
    }
    words = ("sign", "oidc", "account", "token", "member", "oauth", "group_add", "group_remove")
    assert all(any(word in endpoint for word in words) for endpoint in missing)
    left = {rule.endpoint for rule in part.url_map.iter_rules() if any(word in rule.endpoint for word in words)}
    assert left <= {endpoint for endpoint in left if endpoint.startswith(("starts", "files", "loading", "first"))}, left
    document = host.browser().get("/jobs/openapi.json").get_json()
    assert list(document["components"]["securitySchemes"]) == ["application"]
    assert document["paths"]["/groups/{group}/threads"]["get"]["security"] == [{"application": []}]
    chief = host.browser("root")
    for path in ("sign-in", "dashboard/account", "dashboard/members", "oauth/token", "dashboard/groups/acme/members"):
        assert chief.get(f"/jobs/{path}").status_code == 404, path
        assert chief.post(f"/jobs/{path}").status_code in {404, 405}, path


@pytest.mark.parametrize("name", ["root", "jjones"])
def test_every_address_of_every_page_leads_below_the_prefix_or_back_home(host: Host, name: str) -> None:
    browser = host.browser(name)
    with host.app.app_context():
        thread = host.jobs.start("count", group="acme", member=host.users["jjones"], to=1)
        assert host.jobs.url() == "/jobs/"
        waiting, seen = ["/jobs/", host.jobs.url(thread)], set[str]()
    while waiting and len(seen) < 80:
        path = waiting.pop(0)
        shape = re.sub(r"\d+|[0-9a-f]{32}", "#", path.split("?")[0])
        if shape in seen or "/download" in path:
            continue
        seen.add(shape)
        answer = browser.get(path, headers=PAGE)
        assert answer.status_code < 400, f"{path}: {answer.text}"
        addresses = ADDRESS.findall(answer.text) if answer.mimetype == "text/html" else []
        if answer.status_code in {302, 303}:
            addresses = [("href", answer.headers["Location"])]
        answer.close()
        for attribute, address in addresses:
            place = urlsplit(urljoin("http://localhost", address)).path
            assert place.startswith("/jobs/") or place == "/", f"{address} on {path}"
            if attribute != "action" and place != "/":
                waiting.append(address.replace("&amp;", "&"))
    assert len(seen) > 12


def test_a_form_needs_the_token_of_its_page_and_a_page_of_another_site_starts_nothing(host: Host) -> None:
    browser = host.browser("jjones")
    form = {"to": "1"}
    assert browser.post(START, data=form).status_code == 403
    assert browser.post("/jobs/members/jjones/groups/acme/samples/count", data=form).status_code == 403
    form["csrf_token"] = token_in(browser.get(START).text)
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert browser.post(START, data=form, headers=foreign).status_code == 403
    answer = browser.post(START, data=form)
    assert answer.status_code == 303
    assert browser.get(answer.headers["Location"], headers=PAGE).status_code == 200
    assert browser.post(START, data={**form, "csrf_token": "x" * 5}).status_code == 403


def test_a_program_with_a_bearer_token_of_the_applications_own_needs_no_form(redis: Redis, config: Config) -> None:
    redis.ping()
    app, _ = new_host()

    def identify() -> User | None:
        is_right = request.headers.get("Authorization") == "Bearer of-the-shop"
        return User("robot", groups={"acme": "contributor"}) if is_right else None

    Psthreads(app, identify=identify, config=config)
    program, path = app.test_client(), "/jobs/members/robot/groups/acme/samples/count?to=1"
    answer = program.post(path, headers={"Authorization": "Bearer of-the-shop"})
    assert answer.status_code == 202
    assert answer.headers["Location"].startswith("/jobs/groups/acme/threads/")
    assert program.post(path, headers={"Authorization": "Bearer other"}).status_code == 401


def test_a_stream_asks_the_application_again_whether_its_user_is_still_there(host: Host) -> None:
    browser = host.browser("jjones")
    browser.get("/jobs/groups/acme/threads")
    mounted = host.app.extensions["psthreads"]
    checks: list[Watch] = []
    guard = Guard(mounted.services, HostCredentials(mounted.host, mounted.services.service.users))

    def begin(**_: str) -> str:
        checks.append(guard.watch())
        return "It streams."

    mounted.application.view_functions["group.threads"] = begin
    assert browser.get("/jobs/groups/acme/threads").status_code == 200
    (check,) = checks
    check.recheck()
    del host.users["jjones"]
    with pytest.raises(NotSignedIn):
        check.recheck()


@pytest.mark.parametrize(
    "answer", [lambda: "jjones", lambda: User("two words"), lambda: User("jjones", groups={"acme": "boss"})]
)
def test_an_identify_that_is_wrong_is_logged_and_shown_as_an_error_of_the_server(
    config: Config, answer: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = new_host()
    Psthreads(app, identify=answer, config=config)
    with caplog.at_level(logging.ERROR):
        response = app.test_client().get("/jobs/dashboard", headers=PAGE)
    assert response.status_code == 500
    assert response.headers["X-Request-Id"] in response.text
    assert "The shop" not in response.text
    logged = " ".join(record.getMessage() for record in caplog.records)
    assert any(words in logged for words in ("returned str", "'two words' cannot be a name", "There is no role 'boss'"))


def test_names_that_differ_in_case_alone_are_not_taken_for_each_other(host: Host) -> None:
    assert host.browser("jjones").get("/jobs/groups/acme/threads").status_code == 200
    host.users["JJones"] = User("JJones", groups={"acme": "manager"})
    answer = host.browser("JJones").get("/jobs/groups/acme/threads")
    assert answer.status_code == 403
    assert "differs from" in answer.text


def test_what_psthreads_takes_of_nobody_holds_below_the_prefix_alone(host: Host) -> None:
    nobody, override = host.browser(), {"X-HTTP-Method-Override": "DELETE"}
    assert nobody.post("/jobs/members/jjones/groups/acme/samples/count", headers=override).status_code == 400
    assert nobody.get("/login", headers=override).status_code == 200
