"""Guessing is slow: what is wrong is counted, by account and by address, and what is right is not."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Role
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, NotSignedIn, TooManyRequests
from psthreads.identity.credentials import Password, Token
from psthreads.identity.directory import Directory
from psthreads.identity.throttles import Throttles
from psthreads.web.app import create_app
from tests.redis.web.test_round_trips import Trips, trips
from tests.support.command_line import operate
from tests.support.counting_passwords import CountingPasswords
from tests.support.forms import sign_in, token_in
from tests.support.people import PASSWORD, People
from tests.support.waiting import wait_for

__all__ = ["trips"]
_numbers = count()


def wrong() -> str:
    """Another wrong password each time: the same one counts once."""
    return f"wrong horse battery {next(_numbers)}"


@pytest.fixture
def strict(config: Config) -> Config:
    return replace(config, failures_per_account="3/10 seconds", failures_per_address="6/10 seconds", lock_after=0)


class Caller:
    """Somebody at an address."""

    def __init__(self, config: Config, address: str = "192.0.2.1") -> None:
        self.http: FlaskClient = create_app(config).test_client(use_cookies=False)
        self.address = address

    def get(self, headers: dict[str, str], path: str = "/processes", address: str = "") -> TestResponse:
        return self.http.get(path, headers=headers, environ_base={"REMOTE_ADDR": address or self.address})


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


def test_after_some_wrong_passwords_no_more_are_checked_not_even_the_right_one(strict: Config, people: People) -> None:
    caller = Caller(strict)
    assert [caller.get(basic("manager", wrong())).status_code for _ in range(3)] == [401] * 3
    right = caller.get(basic("manager", PASSWORD), address="198.51.100.7")
    assert right.status_code == 429
    assert right.mimetype == "application/xml"
    assert '<error id="0429">' in right.text
    assert "try again in" in right.text
    assert 1 <= int(right.headers["Retry-After"]) <= 11
    as_json = caller.get({**basic("manager", PASSWORD), "Accept": "application/json"})
    assert as_json.json["id"] == "0429"  # type: ignore[index]
    assert caller.get(basic("contributor", PASSWORD)).status_code == 200  # Another account is another one.
    assert caller.get(people.bearer("manager")).status_code == 200  # And a token is not a password.


def test_it_is_over_when_retry_after_says_so(config: Config, people: People) -> None:
    caller = Caller(replace(config, failures_per_account="2/second"))
    for _ in range(3):
        seconds = caller.get(basic("manager", wrong())).headers.get("Retry-After", "2")
        if seconds != "2":
            assert seconds == "1"
    wait_for(lambda: caller.get(basic("manager", PASSWORD)).status_code == 200, 10)


def test_an_unknown_member_is_counted_and_answered_as_a_known_one(strict: Config, people: People) -> None:
    caller, answers = Caller(strict), {}
    for number, name in enumerate(("manager", "nobody")):
        told = []
        for _ in range(5):
            answer = caller.get(basic(name, wrong()), address=f"192.0.2.{number}")
            told.append((answer.status_code, re.sub(r"in \d+ s", "", answer.text), dict(answer.headers).keys()))
        answers[name] = told
    assert answers["manager"] == answers["nobody"]
    assert [status for status, _, _ in answers["manager"]] == [401, 401, 401, 429, 429]


def test_what_is_right_is_never_counted(strict: Config, people: People) -> None:
    caller = Caller(strict)
    for _ in range(20):
        assert caller.get(basic("manager", PASSWORD)).status_code == 200
        assert caller.get(people.bearer("contributor")).status_code == 200
        assert caller.get({}).status_code == 401  # Nobody is nobody's guess.
    for _ in range(3):
        caller.get(basic("manager", wrong()))
    # Who was right a moment ago goes on, however much others guess.
    assert caller.get(basic("manager", PASSWORD)).status_code == 200


def test_one_address_may_not_try_many_accounts(strict: Config, people: People) -> None:
    caller = Caller(strict)
    names = ["guest", "reviewer", "contributor", "manager", "nobody", "nobody2", "moderator", "nobody3"]
    assert [caller.get(basic(name, wrong())).status_code for name in names] == [401] * 6 + [429] * 2
    assert caller.get(basic("chief", PASSWORD)).status_code == 429
    assert caller.get(basic("chief", PASSWORD), address="192.0.2.2").status_code == 200


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff::9", True),
        ("2001:db8:1:1::1", "2001:db8:1:2::1", False),
        ("::ffff:192.0.2.9", "192.0.2.9", True),
        ("", "no address", True),
    ],
)
def test_the_network_of_one_subscriber_counts_as_one_address(
    strict: Config, redis: Redis, first: str, second: str, *, is_one: bool
) -> None:
    throttles = Throttles(redis, strict)
    for number in range(6):
        throttles.count_wrong(first, f"wrong {number}")
    if is_one:
        with pytest.raises(TooManyRequests):
            throttles.count_wrong(second, "another")
    else:
        throttles.count_wrong(second, "another")


def test_wrong_tokens_count_by_address_and_right_ones_always_pass(strict: Config, people: People) -> None:
    caller = Caller(strict)

    def bearer() -> dict[str, str]:
        return {"Authorization": f"Bearer {wrong()}"}

    assert [caller.get(bearer()).status_code for _ in range(8)] == [401] * 6 + [429] * 2
    assert caller.get(people.bearer("manager")).status_code == 200
    assert caller.get(bearer(), address="192.0.2.2").status_code == 401
    # A program with a wrong token keeps nobody at its address from signing in.
    assert caller.get(basic("manager", PASSWORD)).status_code == 200


def test_the_same_wrong_credential_counts_once(strict: Config, people: People) -> None:
    caller, expired, old = Caller(strict), {"Authorization": "Bearer pst_expired"}, wrong()
    assert {caller.get(expired).status_code for _ in range(30)} == {401}
    assert caller.get({"Authorization": f"Bearer {wrong()}"}).status_code == 401
    assert {caller.get(basic("manager", old)).status_code for _ in range(30)} == {401}
    assert caller.get(basic("manager", PASSWORD)).status_code == 200
    assert people.directory.locked() == ()


def test_wrong_secrets_of_clients_count_by_address_and_right_ones_always_pass(strict: Config, people: People) -> None:
    client_id, secret = people.directory.by(SETUP).add_client(people.members["manager"], "program")
    caller = Caller(strict)

    def ask(plain: str) -> TestResponse:
        form, place = {"grant_type": "client_credentials"}, {"REMOTE_ADDR": caller.address}
        return caller.http.post("/ps/oauth/token", data=form, headers=basic(client_id, plain), environ_base=place)

    assert [ask(wrong()).status_code for _ in range(8)] == [401] * 6 + [429] * 2
    refused = ask(wrong())
    assert refused.json["id"] == "0429"  # type: ignore[index]
    assert int(refused.headers["Retry-After"]) >= 1
    assert ask(secret).status_code == 200


def test_the_sign_in_page_is_as_slow_to_guess_at(strict: Config, people: People) -> None:
    browser = create_app(strict).test_client()

    def post(password: str) -> TestResponse:
        token = token_in(browser.get("/sign-in").text)
        return browser.post("/sign-in", data={"csrf_token": token, "username": "chief", "password": password})

    assert [post(wrong()).status_code for _ in range(3)] == [401] * 3
    refused = post(PASSWORD)
    assert refused.status_code == 429
    assert refused.mimetype == "text/html"
    assert "Too many wrong passwords" in refused.text
    assert int(refused.headers["Retry-After"]) >= 1


def test_guesses_at_once_are_checked_no_more_often_than_a_few_beyond_the_limit(
    strict: Config, people: People, redis: Redis
) -> None:
    passwords, loose = CountingPasswords(), replace(strict, failures_per_address="1000/minute")
    directory = Directory(redis, passwords, Throttles(redis, loose))

    def guess(number: int) -> str:
        try:
            directory.identify(Password("manager", wrong()), address="192.0.2.1")
        except (NotSignedIn, TooManyRequests) as error:
            return type(error).__name__
        return "in"

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(guess, range(60)))
    assert answers.count("in") == 0
    assert passwords.verifications <= 3 + 4  # as many as one process checks at once


# Locks.


@pytest.fixture
def locking(config: Config) -> Config:
    loose = "1000/minute"
    return replace(config, failures_per_account=loose, failures_per_address=loose, lock_after=5)


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


# Starts.


def start(caller: Caller, people: People, who: str, group: str = "acme", key: str = "") -> TestResponse:
    headers = people.bearer(who) | ({"Idempotency-Key": key} if key else {})
    return caller.http.post(f"/members/{who}/groups/{group}/samples/count", headers=headers)


def test_a_member_may_start_so_many_threads(config: Config, people: People) -> None:
    caller = Caller(replace(config, starts_per_member="3/hour"))
    assert [start(caller, people, "manager").status_code for _ in range(4)] == [202, 202, 202, 429]
    refused = start(caller, people, "manager")
    assert "Member 'manager' has started" in refused.text
    assert 3_500 < int(refused.headers["Retry-After"]) <= 3_601
    assert start(caller, people, "contributor").status_code == 202


def test_a_group_may_have_so_many_threads_started(config: Config, people: People) -> None:
    caller = Caller(replace(config, starts_per_group="3/hour", starts_per_member="5/hour"))
    told = [start(caller, people, who).status_code for who in ("manager", "manager", "contributor", "contributor")]
    assert told == [202, 202, 202, 429]
    assert "in group 'acme'" in start(caller, people, "contributor").text
    assert start(caller, people, "outsider", "other").status_code == 202
    # What the group's limit refused did not use the member's up.
    people.directory.by(SETUP).set_membership(people.members["manager"], people.other, Role.MANAGER)
    assert [start(caller, people, "manager", "other").status_code for _ in range(2)] == [202, 202]


def test_a_repeat_with_the_same_key_is_no_other_start(config: Config, people: People) -> None:
    caller = Caller(replace(config, starts_per_member="1/hour"))
    first = start(caller, people, "manager", key="k")
    assert first.status_code == 202
    assert [start(caller, people, "manager", key="k").data for _ in range(3)] == [first.data] * 3
    assert start(caller, people, "manager", key="other").status_code == 429


def test_starts_without_a_limit_are_not_counted(config: Config, people: People, redis: Redis) -> None:
    caller = Caller(replace(config, starts_per_member="off"))
    assert start(caller, people, "manager").status_code == 202
    assert not redis.keys("ps:limit*")


# What it costs, and what it leaves.


def test_what_is_right_costs_no_round_trip_more(config: Config, people: People, trips: Trips) -> None:
    caller = Caller(replace(config, starts_per_member="100/hour", starts_per_group="100/hour"))
    for headers in (people.bearer("manager"), basic("manager", PASSWORD)):
        caller.get(headers, "/groups/acme/processes")
        before = trips.count
        assert caller.get(headers, "/groups/acme/processes").status_code == 200
        assert trips.count - before == 1


def test_what_is_kept_of_guesses_is_bounded_and_goes_by_itself(strict: Config, people: People, redis: Redis) -> None:
    caller = Caller(strict)
    for number in range(40):
        caller.get(basic(f"nobody{number}", wrong()))
        caller.get({"Authorization": f"Bearer pst_{number}"})
    kept = redis.keys("ps:limit*")
    assert 1 < len(kept) <= 2 + 6
    assert all(0 < redis.ttl(key) <= 10 for key in kept)
    assert all(redis.llen(key) <= 6 for key in kept)


@pytest.mark.parametrize("rate", ["10", "10/", "0/minute", "-1/minute", "10/fortnight", "x/minute", "1/minute;2/hour"])
def test_a_limit_that_is_none_is_refused_at_the_start(rate: str) -> None:
    for name in ("FAILURES_PER_ACCOUNT", "FAILURES_PER_ADDRESS", "STARTS_PER_MEMBER", "STARTS_PER_GROUP"):
        with pytest.raises(ConfigError, match=f"PSTHREADS_{name}"):
            Config.from_env({f"PSTHREADS_{name}": rate})
        for good in ("10/minute", "10/5 minutes", "10 / second", "500/hour", "3/2 days"):
            Throttles(Redis(), Config.from_env({f"PSTHREADS_{name}": good}))
