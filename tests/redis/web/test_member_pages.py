"""The pages of members and groups: what each form does, whom it serves, and what it leaves in the audit."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
from flask import Flask
from markupsafe import escape
from redis import Redis

from psthreads.audit.entries import SETUP, Audit
from psthreads.domain.access import Role, TokenScope
from psthreads.domain.config import Config
from psthreads.domain.errors import MemberNotFound, NotSignedIn
from psthreads.identity.credentials import Password, Token
from psthreads.identity.directory import Directory
from psthreads.web.app import create_app
from tests.redis.identity.test_directory_lists import Quick
from tests.support.desk import HOSTILE, MEMBER, Desk, desk, texts
from tests.support.forms import sign_in
from tests.support.people import PASSWORD, People

__all__ = ["desk"]


# A member.


def test_an_administrator_adds_a_member_with_a_password_that_is_shown_once(desk: Desk) -> None:
    page = desk.post("/dashboard/members/add", 200, username="Ruth", reason="New here").text
    (password,) = re.findall(r"<code>([^<]{24})</code>", page)
    assert desk.people.directory.identify(Password("ruth", password)).member.username == "Ruth"
    assert password not in desk.get("/dashboard/members/Ruth")
    assert desk.one() == ("member.add", "Ruth", "", "", "New here")


def test_an_administrator_adds_another_with_a_given_password(desk: Desk) -> None:
    answer = desk.post("/dashboard/members/add", username="ruth", password=PASSWORD, admin="true")
    assert answer.headers["Location"] == "/dashboard/members/ruth?done=added"
    assert "Member added." in desk.get(answer.headers["Location"])
    assert desk.people.directory.identify(Password("ruth", PASSWORD)).member.admin
    assert desk.one() == ("member.add", "ruth", "", "administrator", "")


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"username": "manager"}, 409, "There is a member 'manager' already"),
        ({"username": HOSTILE}, 400, "cannot be a name"),
        ({"username": "123"}, 400, "would look like an id"),
        ({"username": "ruth", "password": "short"}, 400, "10 to 1,024 characters"),
        ({}, 400, "'username' is missing"),
    ],
)
def test_a_member_that_cannot_be_added_says_why_keeps_what_was_typed_and_leaves_no_entry(
    desk: Desk, fields: dict[str, str], status: int, sentence: str
) -> None:
    page = desk.post("/dashboard/members/add", status, reason="Because", **fields).text
    assert sentence in texts(page)
    assert 'value="Because"' in page
    assert HOSTILE not in page
    assert fields.get("password", "no such") not in page
    assert desk.new() == []


def test_every_form_of_a_members_page_does_what_it_says_and_leaves_one_entry(desk: Desk) -> None:
    directory, manager = desk.people.directory, desk.people.members["manager"]

    desk.post(f"{MEMBER}/roles", group="OTHER", role="approver", reason="Helps out")
    assert desk.one() == ("role.set", "manager", "other", "approver", "Helps out")
    assert directory.find_memberships(manager, "other").items[0].role is Role.APPROVER
    desk.post(f"{MEMBER}/roles/remove", confirmed="true", group="other")
    assert desk.one() == ("role.remove", "manager", "other", "approver", "")
    assert directory.find_memberships(manager, "other").items == ()

    desk.post(f"{MEMBER}/administrator", confirmed="true", admin="on")
    assert desk.one() == ("member.admin", "manager", "", "on", "")
    desk.post(f"{MEMBER}/administrator", confirmed="true", admin="off", reason="No longer")
    assert desk.one() == ("member.admin", "manager", "", "off", "No longer")
    assert not directory.find_member("manager").admin

    session = directory.sign_in("manager", PASSWORD)[1]
    desk.new()
    desk.post(f"{MEMBER}/sign-out")
    assert desk.one() == ("session.end-all", "manager", "", "", "")
    with pytest.raises(NotSignedIn):
        directory.identify(session)

    page = desk.post(f"{MEMBER}/password", 200, password="", confirmed="true").text
    (password,) = re.findall(r"<code>([^<]{24})</code>", page)
    assert desk.one() == ("member.password", "manager", "", "", "")
    assert directory.identify(Password("manager", password)).member == manager
    desk.post(f"{MEMBER}/password", password=PASSWORD)
    assert desk.one()[0] == "member.password"
    assert directory.identify(Password("manager", PASSWORD)).member == manager


def test_a_token_is_made_narrow_shown_once_and_revoked(desk: Desk) -> None:
    directory, manager = desk.people.directory, desk.people.members["manager"]
    fields = {"name": "laptop", "expires": "30d", "read": "true", "groups": "acme, other", "reason": "Reports"}
    page = desk.post(f"{MEMBER}/tokens", 200, **fields).text
    (plain,) = re.findall(r"<code>(pst_[^<]+)</code>", page)
    groups = frozenset({desk.people.acme.id, desk.people.other.id})
    assert directory.identify(Token(plain)).token_scope == TokenScope(act=False, groups=groups)
    (info,) = (one for one in directory.tokens(manager) if one.name == "laptop")
    assert info.expires == info.created + 30 * 24 * 3600 * 1000
    assert "read group:acme group:other" in page
    assert plain not in desk.get(MEMBER)
    assert desk.one() == ("token.create", "laptop", "", "of manager: read group:1 group:2", "Reports")
    desk.post(f"{MEMBER}/tokens", 409, **fields)
    desk.post(f"{MEMBER}/tokens/revoke", confirmed="true", name="laptop", reason="Lost")
    assert desk.one() == ("token.revoke", "laptop", "", "of manager", "Lost")
    with pytest.raises(NotSignedIn):
        directory.identify(Token(plain))
    desk.post(f"{MEMBER}/tokens/revoke", 404, confirmed="true", name="laptop")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": "t", "expires": "90d"}, 400),
        ({"name": "t", "expires": "soon", "read": "true"}, 400),
        ({"name": "t", "read": "true"}, 400),
        ({"name": HOSTILE, "expires": "90d", "read": "true"}, 400),
        ({"expires": "90d", "read": "true"}, 400),
        ({"name": "t", "expires": "90d", "read": "true", "groups": f"acme {HOSTILE}"}, 404),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(desk: Desk, fields: dict[str, str], status: int) -> None:
    page = desk.post(f"{MEMBER}/tokens", status, **fields).text
    assert 'role="alert"' in page
    assert HOSTILE not in page
    assert len(desk.people.directory.tokens(desk.people.members["manager"])) == 1
    assert desk.new() == []


def test_a_form_that_was_refused_comes_back_as_it_was_sent(desk: Desk) -> None:
    fields = {"name": "laptop", "expires": "never", "read": "true", "groups": "acme, nowhere", "reason": "Reports"}
    page = desk.post(f"{MEMBER}/tokens", 404, **fields).text
    assert re.search(r'id="read-tokens"[^>]* checked', page)
    # What was not ticked is not ticked now: the token must not become more than was wanted.
    assert not re.search(r'id="act-tokens"[^>]* checked', page)
    for held in ('name="groups" type="text" value="acme, nowhere"', 'value="never" selected', 'value="Reports"'):
        assert held in page
    assert re.search(r'id="act-clients"[^>]* checked', page)


@pytest.mark.parametrize(
    ("act", "fields", "question"),
    [
        ("roles/remove", {"group": "acme"}, "Remove manager from acme?"),
        ("administrator", {"admin": "on"}, "Make manager an administrator?"),
        ("administrator", {"admin": "off"}, "Remove the administrator rights of manager?"),
        ("password", {"password": ""}, "Generate a new password for manager?"),
        ("tokens/revoke", {"name": "tests"}, "Revoke token tests of manager?"),
        ("clients/remove", {"name": HOSTILE}, f"Remove client {HOSTILE} of manager?"),
    ],
)
def test_what_a_slip_of_the_finger_must_not_do_is_asked_first(
    desk: Desk, act: str, fields: dict[str, str], question: str
) -> None:
    page = desk.post(f"{MEMBER}/{act}", 200, reason="Because", **fields).text
    assert question in texts(page)
    assert desk.new() == []
    assert HOSTILE not in page
    form = page[page.index("panel confirm") :]
    assert 'name="confirmed" value="true"' in form
    assert 'value="Because"' in form
    for name, value in fields.items():
        assert f'name="{name}" value="{escape(value)}"' in form


def test_the_end_of_a_membership_is_asked_on_the_groups_page_too(desk: Desk) -> None:
    own = "/dashboard/groups/acme/members"
    page = desk.post(f"{own}/remove", 200, member="manager").text
    assert "Remove manager from acme?" in texts(page)
    assert desk.new() == []
    desk.post(f"{own}/remove", confirmed="true", member="manager", reason="Left")
    assert desk.one() == ("role.remove", "manager", "acme", "manager", "Left")


def test_a_client_is_made_shown_once_and_removed(desk: Desk) -> None:
    directory, manager = desk.people.directory, desk.people.members["manager"]
    page = desk.post(f"{MEMBER}/clients", 200, name="nightly", read="true", act="true").text
    (client,) = directory.clients.of(manager)
    (secret,) = re.findall(r"<code>(pss_[^<]+)</code>", page)
    found = directory.clients.find(client.id)
    assert client.id in page
    assert found is not None
    assert found.has_secret(secret)
    assert found.token_scope is None
    assert secret not in desk.get(MEMBER)
    assert desk.one() == ("client.add", "nightly", "", "of manager: all", "")
    desk.post(f"{MEMBER}/clients", 409, name="nightly", read="true")
    desk.post(f"{MEMBER}/clients/remove", confirmed="true", name="nightly", reason="Done with it")
    assert directory.clients.of(manager) == ()
    assert desk.one() == ("client.remove", "nightly", "", "of manager", "Done with it")


def test_a_locked_account_is_seen_among_the_members_and_unlocked(people: People, redis: Redis, config: Config) -> None:
    app = create_app(replace(config, lock_after=3))
    browser, guesser = app.test_client(), app.test_client()
    assert sign_in(browser, "chief") == 303
    desk = Desk(browser, people, Audit(redis))
    assert "Locked after" not in desk.get("/dashboard/members")
    for turn in range(3):
        sign_in(guesser, "manager", f"wrong {turn}")
    for path in ("/dashboard/members", MEMBER):
        assert "Locked since" in texts(desk.get(path))
    desk.new()
    desk.post(f"{MEMBER}/unlock", reason="Called me")
    assert desk.one() == ("account.unlocked", "manager", "", "", "Called me")
    assert "Locked since" not in texts(desk.get(MEMBER))


def test_a_member_is_removed_only_when_the_name_is_typed(desk: Desk) -> None:
    assert "cannot be undone" in desk.get(f"{MEMBER}/remove")
    for typed in ("", "other", "manage"):
        assert "Nothing was removed" in desk.post(f"{MEMBER}/remove", 400, typed=typed).text
    assert desk.new() == []
    answer = desk.post(f"{MEMBER}/remove", typed=" Manager ", reason="Left")
    assert "Member removed." in desk.get(answer.headers["Location"])
    assert desk.one() == ("member.remove", "manager", "", "", "Left")
    desk.get(MEMBER, 404)
    with pytest.raises(MemberNotFound):
        desk.people.directory.find_member("manager")


def test_an_administrator_stays_one_until_another_says_otherwise(desk: Desk) -> None:
    own = "/dashboard/members/chief"
    assert "You cannot remove yourself" in desk.post(f"{own}/remove", 409, typed="chief").text
    page = desk.post(f"{own}/administrator", 409, confirmed="true", admin="off").text
    assert "You cannot take the administrator's rights from yourself" in texts(page)
    assert desk.new() == []


def test_a_member_whose_name_is_a_word_of_the_addresses_has_a_page(desk: Desk) -> None:
    answer = desk.post("/dashboard/members/add", username="add", password=PASSWORD)
    assert "Member added." in desk.get(answer.headers["Location"])
    (path,) = set(re.findall(r'href="(/dashboard/members/\d+)"', desk.get("/dashboard/members?name=add")))
    desk.post(f"{path}/remove", typed="add")


# Members and groups.


def test_members_are_found_by_how_their_names_begin_and_by_id(desk: Desk) -> None:
    for name, found in (("MOD", {"moderator", "moderator-and-approver"}), ("~guest", {"guest"}), ("1", {"guest"})):
        page = desk.get(f"/dashboard/members?name={name}")
        assert set(re.findall(r'href="/dashboard/members/([\w-]+)"><bdi>', page)) == found
    for name in ("nobody", HOSTILE, "999", "%00x"[3:], "é"):
        page = desk.browser.get("/dashboard/members", query_string={"name": name}).text
        assert "No members match" in page
        assert HOSTILE not in page


def test_a_long_list_is_read_in_parts_and_no_page_is_heavy(desk: Desk, redis: Redis) -> None:
    changes = Directory(redis, Quick()).by(SETUP)
    chief = desk.people.members["chief"]
    for number in range(120):
        member = changes.add_member(f"{'m' * 60}{number:03}", PASSWORD)
        group = changes.add_group(f"{'g' * 60}{number:03}")
        changes.set_membership(member, desk.people.acme, Role.MODERATOR_AND_APPROVER)
        changes.set_membership(chief, group, Role.MODERATOR_AND_APPROVER)
        far = TokenScope(groups=frozenset(range(1, 51)))
        changes.create_token(chief, f"{'t' * 60}{number:03}", token_scope=far)
        changes.add_client(chief, f"{'c' * 60}{number:03}", far)
    for path, on, letter, number in (
        ("/dashboard/members?name=m", "after", "m", 120),
        ("/dashboard/groups?name=g", "after", "g", 120),
        ("/dashboard/groups/acme/members?name=m", "after", "m", 120),
        ("/dashboard/members/chief", "after", "g", 120),
        ("/dashboard/members/chief", "tokens", "t", 120),
        ("/dashboard/members/chief", "clients", "c", 120),
        ("/dashboard/account", "after", "g", 120),
        ("/dashboard/account", "tokens", "t", 120),
    ):
        following, found, pages = path, set[str](), 0
        while following and pages < 20:
            pages += 1
            page = desk.get(following)
            assert len(page.encode()) < 60_000, following
            found |= set(re.findall(rf"\b{letter}{{60}}\d{{3}}\b", page))
            older = re.search(rf'<a href="([^"]+[?;]{on}=[^"]+)" rel="next">', page)
            following = unescape(older[1]) if older else ""
        assert len(found) == number, (path, on)


def test_groups_are_added_and_their_members_given_roles(desk: Desk) -> None:
    answer = desk.post("/dashboard/groups", group="news", reason="A new desk")
    assert answer.headers["Location"] == "/dashboard/groups/news/members?done=added"
    assert "No members yet" in desk.get(answer.headers["Location"])
    assert desk.one() == ("group.add", "news", "news", "", "A new desk")
    assert "already" in desk.post("/dashboard/groups", 409, group="NEWS").text
    assert HOSTILE not in desk.post("/dashboard/groups", 400, group=HOSTILE).text
    path = "/dashboard/groups/news/members"
    desk.post(path, member="~Loner", role="manager", reason="Leads it")
    assert desk.one() == ("role.set", "loner", "news", "manager", "Leads it")
    assert re.search(r">loner<.*>manager<", desk.get(path), re.DOTALL)
    assert "does not exist" in desk.post(path, 404, member="nobody", role="manager").text
    assert "There is no role" in desk.post(path, 400, member="loner", role="king").text
    desk.post(f"{path}/remove", confirmed="true", member="loner", reason="Moved on")
    assert desk.one() == ("role.remove", "loner", "news", "manager", "Moved on")
    assert "no membership" in desk.post(f"{path}/remove", 404, confirmed="true", member="loner").text
    desk.post("/dashboard/groups/news/remove", 400, typed="acme")
    desk.post("/dashboard/groups/news/remove", typed="news")
    assert desk.one() == ("group.remove", "news", "news", "", "")
    desk.get(path, 404)


@pytest.mark.parametrize(("who", "opens"), [("guest", 403), ("reviewer", 403), ("contributor", 200)])
def test_others_see_their_own_groups_and_a_way_into_those_that_are_open_to_them(
    app: Flask, people: People, who: str, opens: int
) -> None:
    with app.test_client() as browser:
        assert sign_in(browser, who) == 303
        page = browser.get("/dashboard/groups")
        assert page.status_code == 200
        assert "acme" in page.text
        assert who in page.text
        assert ('href="/dashboard/groups/acme"' in page.text) == (opens == 200)
        assert browser.get("/dashboard/groups/acme").status_code == opens
        assert "other" not in texts(page.text)
        assert "/members" not in page.text
        assert "Add a group" not in page.text


def test_who_is_in_no_group_is_told_so(app: Flask, people: People) -> None:
    with app.test_client() as browser:
        assert sign_in(browser, "loner") == 303
        assert "You are not in any group" in browser.get("/dashboard/groups").text
