"""Scopes of tokens: each narrows what its member may do, on every route, in streams and downloads too."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from click.testing import Result
from flask import Flask
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain import access
from psthreads.domain.access import Caller, Group, Member, Role, TokenScope
from psthreads.domain.config import Config
from psthreads.domain.errors import NotAllowed
from psthreads.domain.model import Level, Line, Report, Status, Thread
from psthreads.identity.credentials import Token, read_token_scope, write_token_scope
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from psthreads.web.auth.guard import Watch
from tests.redis.web.test_proof import rules_that_change_access
from tests.redis.web.test_who_may_do_what import World, path_of, rules, world
from tests.support.command_line import operate
from tests.support.people import People
from tests.support.threads import new_thread

__all__ = ["world"]
OPEN = {"static", "schemas", "health", "metrics", "openapi", "oauth", "version"}
SIGN_IN = {"pages.sign_in", "pages.sign_in_post", "pages.oidc", "pages.oidc_callback"}
OF_MEMBERS = {"pages.sign_out", "pages.home", "pages.groups"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def scoped(people: People, who: str, name: str, token_scope: TokenScope) -> dict[str, str]:
    return bearer(people.directory.by(SETUP).create_token(people.members[who], name, token_scope=token_scope))


def test_a_scope_only_ever_takes_away_on_every_route_and_says_which(world: World) -> None:
    """Whatever a token of an administrator cannot reach is 403, and what it reaches is answered as without a scope."""
    people = world.people
    client = world.app.test_client(use_cookies=False)
    read = scoped(people, "chief", "read", TokenScope(act=False))
    act = scoped(people, "chief", "act", TokenScope(read=False))
    acme = scoped(people, "chief", "acme", TokenScope(groups=frozenset({people.acme.id})))
    checked, changes = 0, rules_that_change_access(world.app)
    for rule, method in rules(world.app):
        blueprint = rule.endpoint.partition(".")[0].rstrip("0123456789")
        if method in {"HEAD", "OPTIONS"} or blueprint in OPEN or rule.endpoint in SIGN_IN:
            continue
        if rule.endpoint.startswith("pages.account") or rule in changes:
            continue  # No token reaches it: test_account_page.py and test_proof.py.
        acts = method not in {"GET", "OPTIONS"} or blueprint == "starts"
        # Who has which role in a group is for the administrators of the whole server.
        in_group = ("group" in rule.arguments and blueprint != "pages") or blueprint in {"uploads", "servlet"}
        for group in ("acme", "other") if in_group else ("acme",):
            for headers, is_reached in (
                (read, not acts),
                (act, acts),
                (
                    acme,
                    group == "acme"
                    if in_group
                    else rule.endpoint.startswith(("processes", "self")) or rule.endpoint in OF_MEMBERS,
                ),
            ):
                path = path_of(world, rule, "chief", group)
                with client.open(path, method=method, headers=headers) as response:
                    where = f"{method} {path} gave {response.status}"
                    if is_reached:
                        assert response.status_code in {200, 202, 302, 303, 304, 400, 415}, where
                    else:
                        assert response.status_code == 403, where
                        assert "This token" in response.get_data(as_text=True), where
                        assert len(response.data) < 4_000
                checked += 1
    assert checked > 300


@pytest.mark.parametrize("who", ["guest", "reviewer", "outsider", "loner"])
def test_a_scope_gives_nothing_that_the_member_has_not(world: World, who: str) -> None:
    headers = scoped(world.people, who, "all", TokenScope(True, True, frozenset({world.people.acme.id})))
    client = world.app.test_client(use_cookies=False)
    for path in ("/groups/acme/threads", "/groups/acme/threads/events", "/threads", "/dashboard"):
        assert client.get(path, headers=headers).status_code == 403


def test_the_pure_rules_never_allow_more_with_a_reach_than_without() -> None:
    group, other = Group(1, "acme"), Group(2, "other")
    thread = Thread("0" * 32, "t", "p", "m", 1, 1, "acme", Status.INPROGRESS)
    reaches = [
        TokenScope(r, a, g) for r, a in product((True, False), repeat=2) for g in (None, frozenset({1}), frozenset({2}))
    ]
    for admin, place, role, token_scope in product((True, False), (None, group, other), (None, *Role), reaches):
        free = Caller(Member(1, "m", admin), place, role)
        narrow = replace(free, token_scope=token_scope)
        for rule in (
            access.may_use_server,
            access.may_use_group,
            lambda caller: access.may_start(caller, Role.CONTRIBUTOR),
            lambda caller: access.shows(caller, thread),
            lambda caller: access.shows(caller, thread, follows=True),
        ):
            assert rule(narrow) <= rule(free)
        if token_scope.groups is not None and place is not None and place.id not in token_scope.groups:
            assert not access.may_use_group(narrow)
            assert access.scope_problem(narrow, acts=False)
            assert access.scope_problem(narrow, acts=True)
        assert bool(access.scope_problem(narrow, acts=True)) >= (not token_scope.act)
        assert bool(access.scope_problem(narrow, acts=False)) >= (not token_scope.read)


def test_a_reach_is_stored_and_read_as_it_was() -> None:
    for read, act, groups in product((True, False), (True, False), (None, frozenset({3}), frozenset({1, 22, 333}))):
        token_scope = TokenScope(read, act, groups)
        assert read_token_scope(write_token_scope(token_scope)) == (
            None if token_scope == TokenScope() else token_scope
        )
        assert " " not in write_token_scope(token_scope)
    assert read_token_scope(":") == TokenScope(read=False, act=False, groups=frozenset())


def test_what_can_be_started_is_listed_within_the_groups_of_the_token(world: World) -> None:
    people = world.people
    people.directory.by(SETUP).set_membership(people.members["contributor"], people.other, Role.MANAGER)
    client = world.app.test_client(use_cookies=False)
    listed = {}
    for name, groups in (("both", {people.acme.id, people.other.id}), ("acme", {people.acme.id}), ("none", {99})):
        headers = scoped(people, "contributor", name, TokenScope(groups=frozenset(groups)))
        found = client.get("/processes.json", headers=headers).json
        assert found is not None
        listed[name] = {one["name"] for one in found["processes"]}
    everything = client.get("/processes.json", headers=people.bearer("contributor")).json
    assert everything is not None
    assert listed["both"] == {one["name"] for one in everything["processes"]}
    assert listed["acme"] <= listed["both"]
    assert not listed["none"]
    administrator = scoped(people, "chief", "acme", TokenScope(groups=frozenset({people.acme.id})))
    found = client.get("/processes.json", headers=administrator).json
    assert found is not None
    assert not [one for one in found["processes"] if one["scope"] == "server"]


def test_ones_own_progress_at_server_level_stays_within_the_groups_of_the_token(
    config: Config, people: People, store: ThreadStore, redis: Redis
) -> None:
    own = create_app(replace(config, pageseeder=True)).test_client(use_cookies=False)
    new = replace(new_thread(redis, group=people.acme), member_id=people.members["manager"].id, username="manager")
    thread = store.create(new)
    inside, outside = (
        scoped(people, "manager", str(group.id), TokenScope(groups=frozenset({group.id})))
        for group in (people.acme, people.other)
    )
    assert own.get(f"/threads/{thread}/progress", headers=inside).status_code == 200
    assert own.get(f"/threads/{thread}/progress", headers=outside).status_code == 404


def test_a_stream_and_a_download_of_a_token_that_only_acts_never_begin(
    app: Flask, people: People, store: ThreadStore, redis: Redis
) -> None:
    thread = store.create(new_thread(redis, group=people.acme))
    assert store.claim(thread, "t", "w")
    store.report(thread, "t", Report(1, lines=(Line(1_652_667_241_924, Level.INFO, "secret line"),)))
    client = app.test_client(use_cookies=False)
    base = f"/groups/acme/threads/{thread}"
    acting = scoped(people, "manager", "act", TokenScope(read=False))
    for path in (f"{base}/events", f"{base}/logs/download", "/groups/acme/threads/events", f"{base}/logs"):
        refused = client.get(path, headers=acting)
        assert refused.status_code == 403
        assert "secret line" not in refused.text
    reading = scoped(people, "manager", "read", TokenScope(act=False))
    assert "secret line" in client.get(f"{base}/logs/download", headers=reading).text
    cancelled = client.post(f"{base}/cancel", headers=reading)
    assert cancelled.status_code == 403
    assert not store.fetch(thread).cancelling
    assert client.post(f"{base}/cancel", headers=acting).status_code == 200
    assert store.fetch(thread).cancelling


def test_whoever_follows_is_asked_again_with_the_scope_that_they_came_with(
    people: People, store: ThreadStore, redis: Redis
) -> None:
    credential = Token(
        people.directory.by(SETUP).create_token(
            people.members["chief"], "t", token_scope=TokenScope(groups=frozenset({people.acme.id}))
        )
    )
    caller = people.directory.identify(credential, "acme")
    Watch(people.directory, store, caller, lambda: credential).recheck()
    everywhere = Watch(people.directory, store, replace(caller, group=None), lambda: credential)
    with pytest.raises(NotAllowed):
        everywhere.recheck()
    other = Watch(people.directory, store, replace(caller, group=people.other), lambda: credential)
    with pytest.raises(NotAllowed):
        other.recheck()


def test_a_narrowed_token_is_made_and_shown_on_the_command_line(config: Config, people: People) -> None:
    def shell(line: str) -> Result:
        return operate(config, f"admin {line}")

    made = shell("token create ci --member manager --read-only --group acme --group other")
    token = Token(made.stdout.strip())
    groups = frozenset({people.acme.id, people.other.id})
    assert people.directory.identify(token).token_scope == TokenScope(act=False, groups=groups)
    assert "read group:acme group:other" in shell("token list --member manager").stdout
    client = shell("client add ci --member manager --act-only --group acme")
    client_id, secret = client.stdout.split()
    assert secret not in client.stderr
    listed = shell("client list --member manager").stdout
    assert client_id in listed
    assert secret not in listed
    assert "act group:acme" in listed
    assert shell("client remove ci --member manager").exit_code == 0
    assert client_id not in shell("client list --member manager").stdout
    assert shell("token create x --member manager --read-only --act-only").exit_code == 2
