"""An account is locked after wrong passwords in a row, and nobody is kept out of their own browser by others."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace

from redis import Redis

from psthreads.audit.entries import SETUP
from psthreads.domain.config import Config
from psthreads.identity.credentials import Token
from psthreads.web.app import create_app
from tests.support.command_line import operate
from tests.support.forms import sign_in
from tests.support.guessing import Caller, basic, wrong
from tests.support.people import PASSWORD, People


def test_an_account_is_locked_after_wrong_passwords_in_a_row_until_it_is_unlocked(
    locking: Config, people: People
) -> None:
    home, caller = "198.51.100.7", Caller(locking)
    assert caller.get(basic("manager", PASSWORD), address=home).status_code == 200  # which is remembered
    refused = [caller.get(basic("manager", wrong())) for _ in range(7)]
    locked = caller.get(basic("manager", PASSWORD))
    # Nobody is told of the lock: it would tell that there is such a member, and that the password is right.
    assert {(answer.status_code, answer.data) for answer in [*refused, locked]} == {(401, locked.data)}
    assert caller.get(basic("nobody", wrong())).data == locked.data
    assert caller.get(people.bearer("manager")).status_code == 200
    assert caller.get(basic("manager", PASSWORD), address=home).status_code == 200
    listed = json.loads(operate(locking, "admin member list --json").stdout)
    (since,) = {one["locked"] for one in listed if one["username"] == "manager"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", since)
    assert {one["locked"] for one in listed if one["username"] != "manager"} == {False}
    done = operate(locking, "admin member unlock manager")
    assert "is unlocked" in done.stderr
    assert caller.get(basic("manager", PASSWORD)).status_code == 200
    again = operate(locking, "admin member unlock manager")
    assert (again.exit_code, "was not locked" in again.stderr) == (0, True)


def test_a_lock_ends_by_itself_and_each_further_wrong_password_doubles_it(
    locking: Config, people: People, redis: Redis
) -> None:
    caller, key = Caller(locking), f"ps:member:{people.members['manager'].id}"
    for _ in range(4):
        caller.get(basic("manager", wrong()))
    for seconds in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        caller.get(basic("manager", wrong()))
        assert caller.get(basic("manager", PASSWORD)).status_code == 401
        ends = int(redis.hget(key, "until") or 0)
        assert (seconds - 10) * 1000 < ends - time.time() * 1000 <= seconds * 1000
        redis.hset(key, "until", int(time.time() * 1000) - 1)
    assert people.directory.account("manager").locked == 0
    assert caller.get(basic("manager", PASSWORD)).status_code == 200
    assert not redis.hexists(key, "failures")


def test_a_right_password_begins_the_count_anew(locking: Config, people: People) -> None:
    caller = Caller(locking)
    for _ in range(4):
        for _ in range(4):
            assert caller.get(basic("manager", wrong())).status_code == 401
        assert caller.get(basic("manager", PASSWORD)).status_code == 200
    assert people.directory.locked() == ()


def test_a_lock_is_one_of_passwords_and_a_new_password_does_not_lift_it(locking: Config, people: People) -> None:
    caller, directory = Caller(locking), people.directory
    member, session = directory.sign_in("manager", PASSWORD)
    for _ in range(5):
        caller.get(basic("manager", wrong()))
    assert [one.member for one in directory.locked()] == [member]
    assert directory.identify(session).member == member
    assert directory.identify(Token(people.token("manager"))).member == member
    directory.by(SETUP).change_password(member, "another horse battery")
    assert caller.get(basic("manager", "another horse battery")).status_code == 401
    assert directory.by(SETUP).unlock(member)
    assert caller.get(basic("manager", "another horse battery")).status_code == 200
    assert not directory.by(SETUP).unlock(member)


def test_locks_can_be_switched_off_and_are_never_of_who_is_nobody(config: Config, people: People, redis: Redis) -> None:
    loose = "1000/minute"
    caller = Caller(replace(config, failures_per_account=loose, failures_per_address=loose, lock_after=0))
    before = set(redis.keys("ps:member:*"))
    for _ in range(12):
        caller.get(basic("manager", wrong()))
        caller.get(basic("nobody", wrong()))
    assert people.directory.locked() == ()
    assert caller.get(basic("manager", PASSWORD)).status_code == 200
    assert set(redis.keys("ps:member:*")) == before


# The member's own browser and address.


def attack(config: Config, name: str, number: int = 8) -> Caller:
    """Guess at the account from everywhere."""
    caller = Caller(config)
    for turn in range(number):
        caller.get(basic(name, wrong()), address=f"203.0.113.{turn}")
    return caller


def test_others_guesses_keep_nobody_out_of_a_browser_in_which_they_have_signed_in(
    strict: Config, locking: Config, people: People
) -> None:
    for config, status in ((strict, 429), (locking, 401)):
        app = create_app(config)
        own, other = app.test_client(), app.test_client()
        assert sign_in(own, "chief") == 303
        device = own.get_cookie("device")
        assert device is not None
        assert device.http_only
        assert device.max_age == 180 * 24 * 3600
        attack(config, "chief")
        app = create_app(config)  # Another process, which remembers no password.
        own, other = app.test_client(), app.test_client()
        own.set_cookie("device", device.value)
        own.environ_base["REMOTE_ADDR"] = "198.51.100.8"  # Away from home.
        other.environ_base["REMOTE_ADDR"] = "198.51.100.9"
        assert sign_in(other, "chief") == status
        assert sign_in(own, "chief") == 303
        # It names a limit, and signs nobody in; and it is this member's alone.
        other.set_cookie("device", device.value)
        assert other.get("/dashboard").status_code == 302
        people.directory.by(SETUP).unlock(people.members["chief"])


def test_a_browser_that_knows_another_member_or_has_a_forged_cookie_is_a_stranger(
    strict: Config, people: People
) -> None:
    browser = create_app(strict).test_client()
    browser.environ_base["REMOTE_ADDR"] = "198.51.100.9"
    assert sign_in(browser, "manager") == 303
    attack(strict, "chief")
    assert sign_in(browser, "chief") == 429
    for value in ("x", "e30.x.y", "WyJ4Il0.aaaa.bbbb"):
        browser.set_cookie("device", value)
        assert sign_in(browser, "chief") == 429


def test_an_address_from_which_the_password_was_right_passes(strict: Config, people: People) -> None:
    home = "198.51.100.7"
    assert Caller(strict).get(basic("chief", PASSWORD), address=home).status_code == 200
    attack(strict, "chief")
    caller = Caller(strict)
    assert caller.get(basic("chief", PASSWORD), address="198.51.100.8").status_code == 429
    assert caller.get(basic("chief", PASSWORD), address=home).status_code == 200


def test_a_trusted_address_has_a_limit_of_its_own(strict: Config, people: People) -> None:
    home = "198.51.100.7"
    assert Caller(strict).get(basic("chief", PASSWORD), address=home).status_code == 200
    caller = Caller(strict)
    answers = [caller.get(basic("chief", wrong()), address=home).status_code for _ in range(5)]
    assert answers == [401] * 3 + [429] * 2
    assert caller.get(basic("chief", wrong()), address="198.51.100.8").status_code == 401


def test_what_is_kept_of_addresses_is_bounded(config: Config, people: People, redis: Redis) -> None:
    for number in range(12):
        Caller(config).get(basic("chief", PASSWORD), address=f"198.51.100.{number}")
    key = f"ps:right:{people.members['chief'].id}"
    assert redis.zcard(key) == 8
    assert 0 < redis.ttl(key) <= 30 * 24 * 3600
    people.directory.by(SETUP).remove_member(people.members["chief"])
    assert not redis.exists(key)
