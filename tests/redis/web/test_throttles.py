"""Guessing is slow: what is wrong is counted, by account and by address, and what is right is not."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, NotSignedIn, TooManyRequests
from psthreads.identity.credentials import Password
from psthreads.identity.directory import Directory
from psthreads.identity.start_limits import StartLimits
from psthreads.identity.throttles import Throttles
from psthreads.web.app import create_app
from tests.redis.web.test_round_trips import Trips, trips
from tests.support.counting_passwords import CountingPasswords
from tests.support.forms import token_in
from tests.support.guessing import Caller, basic, wrong
from tests.support.people import PASSWORD, People
from tests.support.waiting import wait_for

__all__ = ["trips"]


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
            config = Config.from_env({f"PSTHREADS_{name}": good})
            assert Throttles(Redis(), config)
            assert StartLimits(config).of(1, "jjones", Group(1, "acme"))
