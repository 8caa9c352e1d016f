"""Where PageSeeder's clients follow a thread: at server level, as the member who started it.

bridge, ThreadManager.checkProgress (line 15) by Services.toThreadProgress (1197); pageseeder-rs, services.rs,
thread_progress (167). Their pages say: the starter or an administrator, and in a group reviewers and higher.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.access import TokenScope
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.threads.store import ThreadStore
from psthreads.web.app import create_app
from tests.support.people import People
from tests.support.threads import new_thread

HINT = "PSTHREADS_PAGESEEDER=true"


@pytest.fixture
def thread(store: ThreadStore, people: People, redis: Redis) -> str:
    """A thread of the contributor in acme."""
    starter = people.members["contributor"]
    new = new_thread(redis, group=people.acme)
    return store.create(replace(new, member_id=starter.id, username=starter.username))


@pytest.fixture
def as_pageseeder(config: Config) -> FlaskClient:
    return create_app(replace(config, pageseeder=True)).test_client(use_cookies=False)


@pytest.fixture
def by_default(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


def statuses(client: FlaskClient, people: People, path: str) -> dict[str, int]:
    names = ("guest", "reviewer", "contributor", "manager", "outsider", "chief")
    return {name: client.get(path, headers=people.bearer(name)).status_code for name in names}


def test_with_the_setting_the_starter_follows_at_server_level(
    as_pageseeder: FlaskClient, people: People, thread: str
) -> None:
    assert statuses(as_pageseeder, people, f"/ps/service/threads/{thread}/progress") == {
        **dict.fromkeys(("guest", "reviewer", "manager", "outsider"), 404),
        **dict.fromkeys(("contributor", "chief"), 200),
    }


def test_with_the_setting_reviewers_follow_in_their_group_and_do_nothing_else(
    as_pageseeder: FlaskClient, people: People, thread: str
) -> None:
    base = f"/ps/service/groups/~acme/threads/{thread}"
    for headers in ({}, {"Prefer": "wait=0"}):
        reviewer = as_pageseeder.get(f"{base}/progress", headers=people.bearer("reviewer") | headers)
        assert reviewer.status_code == 200
    assert statuses(as_pageseeder, people, f"{base}/progress") == {
        **dict.fromkeys(("guest", "outsider"), 403),
        **dict.fromkeys(("reviewer", "contributor", "manager", "chief"), 200),
    }
    for path in (f"{base}/logs", "/ps/service/groups/~acme/threads", f"{base}/events", f"{base}/results/x"):
        assert as_pageseeder.get(path, headers=people.bearer("reviewer")).status_code == 403, path
    assert as_pageseeder.post(f"{base}/cancel", headers=people.bearer("reviewer")).status_code == 403
    other = as_pageseeder.get(f"/groups/other/threads/{thread}/progress", headers=people.bearer("chief"))
    assert other.status_code == 404


def test_without_it_the_specification_holds(by_default: FlaskClient, people: People, thread: str) -> None:
    assert statuses(by_default, people, f"/threads/{thread}/progress") == {
        **dict.fromkeys(("guest", "reviewer", "contributor", "manager", "outsider"), 403),
        "chief": 200,
    }
    assert statuses(by_default, people, f"/groups/acme/threads/{thread}/progress") == {
        **dict.fromkeys(("guest", "reviewer", "outsider"), 403),
        **dict.fromkeys(("contributor", "manager", "chief"), 200),
    }


def test_a_refusal_of_ones_own_thread_names_the_setting_and_where_to_go(
    by_default: FlaskClient, people: People, thread: str
) -> None:
    own = by_default.get(f"/threads/{thread}/progress", headers=people.bearer("contributor")).text
    assert HINT in own
    assert f"/groups/acme/threads/{thread}/progress" in own
    reviewer = by_default.get(f"/groups/acme/threads/{thread}/progress", headers=people.bearer("reviewer")).text
    assert HINT in reviewer


def test_nobody_else_learns_of_the_thread(by_default: FlaskClient, people: People, thread: str, config: Config) -> None:
    absent = "f" * 32
    for who in ("manager", "outsider", "reviewer"):
        headers = people.bearer(who)
        there, not_there = (by_default.get(f"/threads/{it}/progress", headers=headers).text for it in (thread, absent))
        assert there.replace(thread, "") == not_there.replace(absent, "")
        assert HINT not in there
    for path in (f"/threads/{thread}/logs", "/threads"):
        assert HINT not in by_default.get(path, headers=people.bearer("contributor")).text
    scope = TokenScope(groups=frozenset({people.other.id}))
    token = people.directory.by(SETUP).create_token(people.members["contributor"], "narrow", None, scope)
    narrow = by_default.get(f"/threads/{thread}/progress", headers={"Authorization": f"Bearer {token}"})
    assert (narrow.status_code, HINT in narrow.text) == (403, False)


@pytest.mark.parametrize("name", ["PSTHREADS_PAGESEEDER", "PSTHREADS_OWN_PROGRESS"])
def test_the_former_name_of_the_setting_still_works(name: str) -> None:
    assert Config.from_env({name: "true"}).pageseeder
    assert Config.from_env(Config.from_env({name: "true"}).to_env()).pageseeder
    with pytest.raises(ConfigError, match=f"{name} is 'perhaps'"):
        Config.from_env({name: "perhaps"})
    both = {"PSTHREADS_PAGESEEDER": "false", "PSTHREADS_OWN_PROGRESS": "true"}
    assert not Config.from_env(both).pageseeder
