"""Who may do what: everybody, in their own group, another one and none, times every route of the service."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.routing import Rule

from psthreads.audit.entries import SETUP
from psthreads.documents.layout import Documents
from psthreads.domain.access import Role, TokenScope
from psthreads.domain.config import Config
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from psthreads.web.http.routing import API_PREFIX
from tests.support.forms import sign_in, token_in
from tests.support.people import INSIDE, People
from tests.support.threads import new_thread

EVERYBODY = ["anonymous", *INSIDE, "outsider", "loner", "chief"]
GROUPS = ["acme", "other", "nope"]
STRONG = {role.value for role in Role if role.allows(Role.CONTRIBUTOR)}
OPEN = {
    "static",
    "schemas.xsd",
    "schemas.json_schema",
    "openapi.openapi",
    "openapi.api",
    "health.healthz",
    "health.readyz",
    "pages.sign_in",
    "pages.sign_in_post",
}
OF_MEMBERS = {"home", "sign_out", "groups"}
IN_GROUP = ("group_members", "group_remove")


@dataclass(frozen=True)
class World:
    app: Flask
    people: People
    store: ThreadStore
    redis: Redis
    documents: Documents

    def thread(self, group: str, member: str = "manager") -> str:
        found = {"acme": self.people.acme, "other": self.people.other}.get(group)
        new = replace(new_thread(self.redis, group=found), member_id=self.people.members[member].id, username=member)
        return self.store.create(new)

    def result(self, group: str, thread: str) -> str:
        """The name of a file that the thread made."""
        name = f"result-{thread}.zip"
        if group != "nope":
            with self.documents.results(self.people.group(group).id).write(name) as file:
                file.write(b"zip")
        return name


@pytest.fixture
def world(app: Flask, people: People, store: ThreadStore, redis: Redis, config: Config) -> World:
    documents = Documents(config.documents)
    for group in (people.acme, people.other):
        documents.group(group).write("/documents/a.xml", b"<a/>")
    return World(app, people, store, redis, documents)


def rules(app: Flask) -> list[tuple[Rule, str]]:
    return [(rule, method) for rule in app.url_map.iter_rules() for method in sorted(rule.methods or ())]


def is_upload(endpoint: str) -> bool:
    return endpoint.partition(".")[0].rstrip("0123456789") in {"uploads", "servlet"}


def expected(endpoint: str, who: str, group: str, method: str = "GET") -> int | set[int]:  # noqa: C901, PLR0911 (a line for each rule)
    """The HTTP status that the contract gives; what is allowed is a set, as its answer depends on the service."""
    name = endpoint.partition(".")[2]
    blueprint = endpoint.partition(".")[0].rstrip("0123456789")
    allowed = {200, 202, 302, 303, 304, 400} | (
        {415} if is_upload(endpoint) or endpoint == "group-pages.zone_upload" else set()
    )
    is_page = blueprint.endswith("pages")
    if blueprint == "oauth":
        return {400, 401}  # Whoever asks must be a client, and nobody here is one.
    if endpoint == "metrics.metrics":
        return 403  # Without the settings no monitor may read them, and no member.
    if endpoint in {"pages.oidc", "pages.oidc_callback"}:
        return 404  # Without the setting there is no provider.
    if endpoint in OPEN or blueprint == "version":
        return allowed | {503, 403}  # 403: a sign-in without the page's own token
    if who == "anonymous":
        return 302 if is_page else 401
    if blueprint == "pages" and name.startswith("account"):
        return 403  # No token makes another one.
    if blueprint == "pages" and method != "GET" and name not in OF_MEMBERS and group != "nope":
        return 403  # No token changes members, roles, groups or credentials.
    # A browser's other pages know sessions, too; here everybody comes with a token, which is as good.
    if blueprint == "pages" and (name in OF_MEMBERS or (name.startswith(IN_GROUP) and group == "nope")):
        return allowed if name in OF_MEMBERS else 404
    if blueprint in {"pages", "server", "server-pages", "server-streams", "server-operations", "server-results"} or (
        blueprint == "starts" and name == "server-wide"
    ):
        return allowed if who == "chief" else 403
    if (blueprint, name) in {("processes", "server"), ("self", "own")}:
        return allowed
    if group == "nope":
        return 404
    if blueprint in {"processes", "self"}:  # Every member of the group may look.
        return allowed if who == "chief" or (who in INSIDE if group == "acme" else who == "outsider") else 403
    inside = who == "chief" or (group == "acme" and who in STRONG) or (group == "other" and who == "outsider")
    return allowed if inside else 403


def test_the_table_of_who_may_do_what(world: World) -> None:
    checked = 0
    for rule, method in rules(world.app):
        if method == "HEAD":
            continue
        groups = GROUPS if "group" in rule.arguments or is_upload(rule.endpoint) else ["acme"]
        for who in EVERYBODY:
            client = world.app.test_client(use_cookies=False)
            for group in groups:
                path = path_of(world, rule, who, group)
                response = client.open(path, method=method, headers=world.people.bearer(who))
                wanted = expected(rule.endpoint, who, group, method)
                wanted = wanted if isinstance(wanted, set) else {wanted}
                assert response.status_code in wanted, f"{who}: {method} {path} gave {response.status}"
                response.close()
                checked += 1
    assert checked > 2_000


def path_of(world: World, rule: Rule, who: str, group: str) -> str:
    is_result = rule.endpoint == "files.member_resource" or "-results" in rule.endpoint
    thread = world.thread(group) if group != "nope" and (is_result or "thread" in rule.arguments) else "0" * 32
    values = {
        "group": group,
        "member": "contributor" if who == "anonymous" else who,
        "thread": thread,
        "filename": world.result(group, thread) if is_result else "psthreads.css",
        "suffix": "xml",
        "process": "count",
    }
    with world.app.test_request_context():
        built = rule.build({name: values[name] for name in rule.arguments}, append_unknown=False)
    assert built is not None
    # Parameters that the samples must have, so that a 400 cannot hide a refusal.
    if is_upload(rule.endpoint):
        return f"{built[1]}?group={group}"
    return f"{built[1]}?mark=m&how=warn&text=t" if rule.endpoint.startswith("starts") else built[1]


def test_a_thread_of_another_group_looks_absent(world: World) -> None:
    foreign, own = world.thread("other"), world.thread("acme")
    client = world.app.test_client(use_cookies=False)
    for who in ("contributor", "chief"):
        headers = world.people.bearer(who)
        for service in ("progress", "logs"):
            assert client.get(f"/groups/acme/threads/{own}/{service}", headers=headers).status_code == 200
            missing = client.get(f"/groups/acme/threads/{foreign}/{service}", headers=headers)
            absent = client.get(f"/groups/acme/threads/{'f' * 32}/{service}", headers=headers)
            assert missing.status_code == absent.status_code == 404
            assert missing.data.replace(foreign.encode(), b"") == absent.data.replace(b"f" * 32, b"")
        cancelled = client.post(f"/groups/acme/threads/{foreign}/cancel", headers=headers)
        assert b"<thread-cancel/>" in cancelled.data
        assert foreign.encode() not in client.get("/groups/acme/threads", headers=headers).data
    assert not world.store.fetch(foreign).status.is_final


def test_the_threads_own_starter_may_read_its_progress_at_server_level_only_with_the_setting(
    world: World, config: Config
) -> None:
    with_setting = create_app(replace(config, pageseeder=True)).test_client(use_cookies=False)
    without = world.app.test_client(use_cookies=False)
    thread = world.thread("acme", member="contributor")
    own, manager, root = (world.people.bearer(who) for who in ("contributor", "manager", "chief"))
    path = f"/ps/service/threads/{thread}/progress"
    assert without.get(path, headers=own).status_code == 403
    assert with_setting.get(path, headers=own).status_code == 200
    assert with_setting.get(path, headers=manager).status_code == 404
    assert with_setting.get(path, headers=root).status_code == 200
    for method, service in (("GET", f"{thread}/logs"), ("POST", f"{thread}/cancel"), ("GET", "")):
        path = f"/threads/{service}".rstrip("/")
        assert with_setting.open(path, method=method, headers=own).status_code == 403


def test_nobody_acts_under_another_name_but_an_administrator(world: World) -> None:
    client = world.app.test_client(use_cookies=False)
    for who in EVERYBODY[1:]:
        for member in ("manager", "outsider"):
            path = f"/members/~{member.upper()}/groups/acme/samples/count"
            status = client.post(path, headers=world.people.bearer(who)).status_code
            if who == "chief" or (who == member and who in STRONG):
                assert status == 202, (who, member)
            else:
                assert status == 403, (who, member)


def test_bad_credentials_of_every_kind_are_401(world: World, engine: Engine) -> None:
    client = world.app.test_client(use_cookies=False)
    people = world.people
    bad = [
        {"Authorization": value}
        for value in (
            "",
            "Bearer",
            "Bearer ",
            "Bearer nope",
            f"Bearer {people.token('chief')}x",
            f"Token {people.token('chief')}",
            "Basic",
            "Basic !!!",
            "Basic cm9vdA==",
            "Digest username=root",
            "Bearer \u00ff",
        )
    ]
    bad += [people.basic("chief", "wrong password"), people.basic("nobody"), people.basic("chief:x"), people.basic("")]
    bad += [{"Cookie": "session=forged.value.here"}]
    for headers in bad:
        response = client.get("/threads", headers=headers)
        assert response.status_code == 401, headers
        assert "Basic" in response.headers["WWW-Authenticate"]
    wrong, unknown = (
        client.get("/threads", headers=headers).data
        for headers in (people.basic("chief", "wrong!!!"), people.basic("x"))
    )
    assert wrong == unknown
    assert client.get("/threads", headers=people.basic("chief")).status_code == 200


def test_every_blueprint_has_a_guard(world: World) -> None:
    for name, blueprint in world.app.blueprints.items():
        own = blueprint.before_request_funcs.get(None, [])
        assert own, f"blueprint {name} lets everybody in"


def test_a_route_outside_every_blueprint_is_only_the_static_files(world: World) -> None:
    assert {rule.endpoint for rule, _ in rules(world.app) if "." not in rule.endpoint} == {"static"}


# The same table for every kind of credential, and for what a browser says of the site that it comes from.

SITES = {
    "program": {},
    "own page": {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    "own page, old browser": {"Origin": "http://localhost"},
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "another host": {"Sec-Fetch-Site": "same-site", "Origin": "http://evil.localhost"},
    "another site, old browser": {"Origin": "https://evil.example"},
}
KINDS = ("cookie", "basic", "narrow token", "oauth")


def credential_of(world: World, kind: str, who: str) -> tuple[FlaskClient, dict[str, str]]:
    """A client, and the headers of a request that does no more than the kind lets it."""
    client, member = world.app.test_client(), world.people.members[who]
    if kind == "basic":
        return client, world.people.basic(who)
    if kind == "cookie":
        assert sign_in(client, who) == 303
        return client, {"X-CSRFToken": token_in(client.get("/dashboard/account").text)}
    changes = world.people.directory.by(SETUP)
    if kind == "narrow token":
        token = changes.create_token(member, "narrow", token_scope=TokenScope(act=False))
    else:
        client_id, secret = changes.add_client(member, "program")
        form = {"grant_type": "client_credentials", "scope": "act"}
        answer = client.post("/ps/oauth/token", data=form, headers=world.people.basic(client_id, secret))
        token = answer.json["access_token"]  # type: ignore[index]
    return client, {"Authorization": f"Bearer {token}"}


def expected_of(  # noqa: PLR0911 (a line for each rule)
    kind: str, site: str, rule: Rule, method: str, who: str, group: str
) -> set[int]:
    endpoint, is_safe = rule.endpoint, method in {"GET", "OPTIONS"}
    acts = not is_safe or endpoint.startswith("starts.")
    is_page = endpoint.partition(".")[0].endswith("pages")
    if kind in {"cookie", "basic"} and not is_safe and site.startswith("another"):
        return {403}
    is_bearer = kind in {"narrow token", "oauth"}
    plain = expected(endpoint, who, group, method if is_bearer else "GET")
    plain = plain if isinstance(plain, set) else {plain}
    if endpoint in OPEN or endpoint.startswith(("oauth.", "pages.oidc", "version")):
        return plain | {401} if endpoint == "pages.sign_in_post" else plain
    if (kind == "narrow token" and acts) or (kind == "oauth" and not acts):
        return {403}
    if kind == "basic" and is_page:
        return {302}
    if kind == "basic" and acts and site.startswith("another"):
        return {403}
    if kind == "cookie":
        if is_safe and acts:
            return {403}
        if endpoint.startswith("pages.account"):
            return {200, 303, 400}
        return plain | {404, 409} if is_page and plain != {403} else plain
    return plain


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_holds_for_every_kind_of_credential_and_every_site(
    redis: Redis, people: People, store: ThreadStore, config: Config, kind: str
) -> None:
    app, documents = create_app(replace(config, prefixes=())), Documents(config.documents)
    for group in (people.acme, people.other):
        documents.group(group).write("/documents/a.xml", b"<a/>")
    world, checked = World(app, people, store, redis, documents), 0
    for who in ("contributor", "chief"):
        client, headers = credential_of(world, kind, who)
        for rule, method in rules(app):
            if method == "HEAD" or rule.rule.startswith(API_PREFIX):  # There the same blueprints answer.
                continue
            sites = ("program", "another site") if method in {"GET", "OPTIONS"} else SITES
            for group_name in ("acme", "other") if "group" in rule.arguments else ("acme",):
                for site in sites:
                    if kind == "cookie" and method not in {"GET", "OPTIONS"}:  # It may end the session.
                        client, headers = credential_of(world, kind, who)
                    path = path_of(world, rule, who, group_name)
                    answer = client.open(path, method=method, headers=headers | SITES[site])
                    wanted = expected_of(kind, site, rule, method, who, group_name)
                    assert answer.status_code in wanted, f"{who}, {site}: {method} {path} gave {answer.status}"
                    answer.close()
                    checked += 1
    assert checked > 500
