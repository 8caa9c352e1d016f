from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import ConnectionPool, Redis, UnixDomainSocketConnection

from psthreads.audit.entries import SETUP
from psthreads.domain.access import Caller, Group, Member, Role
from psthreads.domain.errors import (
    BadParameter,
    Conflict,
    GroupNotFound,
    NotFound,
    NotSignedIn,
)
from psthreads.identity.administration import MOST_TOKENS
from psthreads.identity.credentials import Credential, Password, Session, Token, digest
from psthreads.identity.directory import Directory
from tests.support.counting_passwords import CountingPasswords

PASSWORD = "correct horse"
HOSTILE = [
    *("", " ", "a b", "a\n", "a\0b", "~", "~~jones", "-rf", "..", ".", "../acme", "a/b", "a:b", "a*", "[a]"),
    *("<b>", "é", "\u0430cme", "a\u202e", "\ud800", "x" * 65, "x" * 1_000_000, "ps:member:1", "-1", "١٢", "²"),
]


@pytest.fixture
def passwords() -> CountingPasswords:
    return CountingPasswords()


@pytest.fixture
def directory(redis: Redis, passwords: CountingPasswords) -> Directory:
    return Directory(redis, passwords)


class Counted(UnixDomainSocketConnection):
    """A connection that counts how often something is sent, which is how often an answer is waited for."""

    sent = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 (redis-py's)
        Counted.sent += 1
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]  # redis-py


@pytest.fixture
def counted(redis: Redis) -> Iterator[Directory]:
    path = redis.connection_pool.connection_kwargs["path"]
    with Redis(connection_pool=ConnectionPool(Counted, path=path)) as client:
        yield Directory(client)
        client.connection_pool.disconnect()


@pytest.fixture
def jones(directory: Directory) -> Member:
    return directory.by(SETUP).add_member("jjones", PASSWORD)


@pytest.fixture
def acme(directory: Directory) -> Group:
    return directory.by(SETUP).add_group("acme")


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "It did not happen in time"
        time.sleep(0.01)


def refused(directory: Directory, credential: Credential, group: str | None = None) -> str:
    with pytest.raises(NotSignedIn) as caught:
        directory.identify(credential, group)
    return caught.value.message


def calls(redis: Redis) -> dict[str, int]:
    """How often each command was called by clients and scripts since the statistics were reset."""
    stats = redis.info("commandstats")
    assert isinstance(stats, dict)
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}


def everything(redis: Redis) -> Iterator[bytes]:
    """Every key, field and value in the server."""
    for key in redis.scan_iter("*"):
        yield key
        yield redis.dump(key) or b""
        if redis.type(key) == b"hash":
            pairs: dict[Any, Any] = redis.hgetall(key)
            yield from pairs
            yield from pairs.values()


# Who asks.


def test_each_credential_gives_the_same_sight(directory: Directory, jones: Member, acme: Group) -> None:
    directory.by(SETUP).set_membership(jones, acme, Role.CONTRIBUTOR)
    member, session = directory.sign_in("jjones", PASSWORD)
    assert member == jones
    for credential in (
        Token(directory.by(SETUP).create_token(jones, "t")),
        Password("jjones", PASSWORD),
        session,
    ):
        for ref in ("acme", str(acme.id), "ACME"):
            assert directory.identify(credential, ref) == Caller(jones, acme, Role.CONTRIBUTOR)
        assert directory.identify(credential) == Caller(jones, None, None)


@pytest.mark.parametrize("kind", ["token", "password", "session"])
def test_identify_costs_one_round_trip(counted: Directory, directory: Directory, kind: str) -> None:
    jones, acme = directory.by(SETUP).add_member("jjones", PASSWORD), directory.by(SETUP).add_group("acme")
    directory.by(SETUP).set_membership(jones, acme, Role.CONTRIBUTOR)
    counted.groups()  # opens the connection
    credentials: dict[str, Credential] = {
        "token": Token(directory.by(SETUP).create_token(jones, "t")),
        "password": Password("jjones", PASSWORD),
        "session": directory.sign_in("jjones", PASSWORD)[1],
    }
    before = Counted.sent
    counted.identify(credentials[kind], "acme")
    assert Counted.sent - before == 1


def test_identify_costs_redis_the_same_whatever_is_stored(
    directory: Directory, redis: Redis, jones: Member, acme: Group
) -> None:
    token = Token(directory.by(SETUP).create_token(jones, "t"))

    def cost() -> dict[str, int]:
        redis.config_resetstat()
        assert directory.identify(token, "acme").group == acme
        return calls(redis)

    directory.identify(token)  # That it was used is noted once a minute.
    few = cost()
    for number in range(100):
        directory.by(SETUP).set_membership(jones, directory.by(SETUP).add_group(f"group{number}"), Role.GUEST)
        directory.by(SETUP).create_token(jones, f"t{number}")
    assert cost() == few
    assert few["evalsha"] == 1
    assert few["hget"] + few["hmget"] == 5


def test_another_read_shares_the_round_trip(counted: Directory, redis: Redis) -> None:
    jones = counted.by(SETUP).add_member("jjones", PASSWORD)
    token = Token(counted.by(SETUP).create_token(jones, "t"))
    redis.hset("other", "field", "value")
    redis.script_flush()
    for field, value in (("field", b"value"), ("absent", None)):
        before = Counted.sent
        caller, found = counted.identify_with(token, None, "other", field)
        assert Counted.sent - before == 1 + (field == "field")  # at first the server does not know the script
        assert (caller.member, found) == (jones, value)


def test_another_read_is_not_given_for_bad_credentials(directory: Directory, redis: Redis) -> None:
    redis.hset("other", "field", "value")
    with pytest.raises(NotSignedIn):
        directory.identify_with(Token("pst_wrong"), None, "other", "field")


def test_every_bad_credential_is_refused_in_the_same_words(directory: Directory, jones: Member) -> None:
    revoked = Token(directory.by(SETUP).create_token(jones, "t"))
    directory.by(SETUP).revoke_token(jones, "t")
    sentences = {
        refused(directory, Password("jjones", "wrong horse")),
        refused(directory, Password("nobody", PASSWORD)),
        refused(directory, Password("1", PASSWORD)),
        refused(directory, Password("~jjones", PASSWORD)),
        refused(directory, Password("", "")),
        refused(directory, Token("pst_" + "x" * 43)),
        refused(directory, revoked),
        refused(directory, Session(jones.id, "")),
        refused(directory, Session(jones.id, "0" * 32)),
        refused(directory, Session(99, "")),
    }
    assert len(sentences) == 1


def test_an_unknown_group_shows_only_to_good_credentials(directory: Directory, jones: Member) -> None:
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    with pytest.raises(GroupNotFound, match="'nope'"):
        directory.identify(token, "nope")
    refused(directory, Token("wrong"), "nope")
    refused(directory, Password("jjones", "wrong horse"), "nope")


def test_an_unknown_member_costs_a_verification_like_a_wrong_password(
    directory: Directory, passwords: CountingPasswords, jones: Member
) -> None:
    for credential in (Password("nobody", PASSWORD), Password("jjones", "wrong horse")):
        before = passwords.verifications
        for _ in range(2):
            refused(directory, credential)
        assert passwords.verifications - before == 2


def test_a_repeated_password_is_not_hashed_again(
    directory: Directory, passwords: CountingPasswords, jones: Member
) -> None:
    for _ in range(10):
        directory.identify(Password("jjones", PASSWORD))
    assert passwords.verifications == 1


def test_a_changed_password_counts_at_once_everywhere(directory: Directory, redis: Redis, jones: Member) -> None:
    elsewhere = Directory(redis)
    _, session = elsewhere.sign_in("jjones", PASSWORD)
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    assert elsewhere.identify(Password("jjones", PASSWORD)).member == jones
    directory.by(SETUP).change_password(jones, "another horse")
    refused(elsewhere, Password("jjones", PASSWORD))
    refused(elsewhere, session)
    assert elsewhere.identify(Password("jjones", "another horse")).member == jones
    assert elsewhere.identify(token).member == jones


def test_a_removed_member_is_nobody_at_once_everywhere(directory: Directory, redis: Redis, jones: Member) -> None:
    elsewhere = Directory(redis)
    _, session = elsewhere.sign_in("jjones", PASSWORD)
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    for credential in (Password("jjones", PASSWORD), session, token):
        assert elsewhere.identify(credential).member == jones
    directory.by(SETUP).remove_member(jones)
    again = directory.by(SETUP).add_member("jjones", "another horse")
    for credential in (Password("jjones", PASSWORD), session, token, Session(again.id, session.stamp)):
        refused(elsewhere, credential)


def test_an_administrator_is_one_from_the_moment_it_is_set(directory: Directory, redis: Redis, jones: Member) -> None:
    elsewhere, token = Directory(redis), Token(directory.by(SETUP).create_token(jones, "t"))
    assert not elsewhere.identify(token).member.admin
    assert directory.by(SETUP).set_admin(jones, admin=True) == Member(1, "jjones", admin=True)
    assert elsewhere.identify(token).member.admin
    directory.by(SETUP).set_admin(jones, admin=False)
    assert not elsewhere.identify(token).member.admin


def test_signing_out_everywhere_ends_sessions_only(directory: Directory, jones: Member) -> None:
    sessions = [directory.sign_in("jjones", PASSWORD)[1] for _ in range(2)]
    token = Token(directory.by(SETUP).create_token(jones, "t"))
    directory.by(SETUP).sign_out_everywhere(jones)
    for session in sessions:
        refused(directory, session)
    assert directory.identify(token) == directory.identify(directory.sign_in("jjones", PASSWORD)[1])


def test_signing_in_needs_the_right_password(directory: Directory, jones: Member) -> None:
    with pytest.raises(NotSignedIn):
        directory.sign_in("jjones", "wrong horse")
    with pytest.raises(NotSignedIn):
        directory.sign_in("nobody", PASSWORD)


# Tokens.


def test_a_token_is_long_random_and_of_safe_characters(directory: Directory, jones: Member) -> None:
    made = {directory.by(SETUP).create_token(jones, f"t{number}") for number in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(r"pst_[a-zA-Z0-9=.+/_-]{43,}", token) for token in made)


def test_neither_token_nor_password_is_anywhere_in_redis(
    directory: Directory, redis: Redis, jones: Member, acme: Group
) -> None:
    token = directory.by(SETUP).create_token(jones, "t", 3600)
    directory.by(SETUP).set_membership(jones, acme, Role.GUEST)
    directory.identify(Token(token), "acme")
    directory.sign_in("jjones", PASSWORD)
    stored = list(everything(redis))
    assert any(b"argon2id" in value for value in stored)
    for value in stored:
        assert PASSWORD.encode() not in value
        assert token.encode() not in value
        assert token.removeprefix("pst_").encode() not in value


def test_a_token_ends_when_it_expires(directory: Directory, redis: Redis, jones: Member) -> None:
    plain = directory.by(SETUP).create_token(jones, "brief", 3600)
    (info,) = directory.tokens(jones)
    assert info.expires == info.created + 3_600_000
    (key,) = redis.keys("ps:token:*")
    assert 3_590_000 < redis.pttl(key) <= 3_600_000
    assert directory.identify(Token(plain)).member == jones
    redis.pexpire(key, 1)
    eventually(lambda: not redis.exists(key))
    refused(directory, Token(plain))
    assert directory.tokens(jones) == ()
    directory.by(SETUP).create_token(jones, "brief")  # the name is free again
    assert [it.expires for it in directory.tokens(jones)] == [0]
    assert redis.hlen("ps:tokens-of:1") == 1


@pytest.mark.parametrize("seconds", [0, -1, 10**9, 10**30])
def test_an_expiry_that_makes_no_sense_is_refused(directory: Directory, jones: Member, seconds: int) -> None:
    with pytest.raises(BadParameter) as caught:
        directory.by(SETUP).create_token(jones, "t", seconds)
    assert caught.value.name == "expires"


def test_a_revoked_token_ends_at_once_everywhere(directory: Directory, redis: Redis, jones: Member) -> None:
    elsewhere = Directory(redis)
    plain, kept = directory.by(SETUP).create_token(jones, "t"), directory.by(SETUP).create_token(jones, "kept")
    assert elsewhere.identify(Token(plain)).member == jones
    directory.by(SETUP).revoke_token(jones, "t")
    refused(elsewhere, Token(plain))
    assert elsewhere.identify(Token(kept)).member == jones
    assert [it.name for it in directory.tokens(jones)] == ["kept"]
    with pytest.raises(NotFound, match="no token 't'"):
        directory.by(SETUP).revoke_token(jones, "t")


def test_a_token_is_named_once_for_each_member(directory: Directory, jones: Member) -> None:
    directory.by(SETUP).create_token(jones, "t")
    with pytest.raises(Conflict, match="revoke it"):
        directory.by(SETUP).create_token(jones, "t")
    assert directory.by(SETUP).create_token(directory.by(SETUP).add_member("ruth", PASSWORD), "t")


def test_a_member_has_so_many_tokens_and_no_more_but_in_place_of_expired_ones(
    directory: Directory, jones: Member, redis: Redis
) -> None:
    changes = directory.by(SETUP)
    brief = changes.create_token(jones, "brief", 3600)
    for number in range(1, MOST_TOKENS):
        changes.create_token(jones, f"t{number}")
    with pytest.raises(Conflict, match="200 tokens"):
        changes.create_token(jones, "more")
    assert len(directory.tokens(jones)) == MOST_TOKENS
    assert redis.delete(f"ps:token:{digest(brief)}")  # as Redis does when it expires
    assert directory.identify(Token(changes.create_token(jones, "more"))).member == jones


@pytest.mark.parametrize("name", HOSTILE)
def test_a_token_with_a_hostile_name_is_refused(directory: Directory, jones: Member, name: str) -> None:
    with pytest.raises(BadParameter):
        directory.by(SETUP).create_token(jones, name)
    with pytest.raises(BadParameter):
        directory.by(SETUP).revoke_token(jones, name)
