from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from psthreads.domain.errors import BadParameter
from psthreads.identity import passwords
from psthreads.identity.passwords import Passwords
from tests.support.counting_passwords import CountingPasswords

PASSWORD = "correct horse"


@pytest.fixture
def checked() -> CountingPasswords:
    return CountingPasswords()


def test_a_password_is_stored_as_argon2id_with_its_cost_and_a_salt_of_its_own(checked: CountingPasswords) -> None:
    first, second = checked.hash(PASSWORD), checked.hash(PASSWORD)
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert PASSWORD not in first


@pytest.mark.parametrize("password", ["", "9 letters", "x" * 1025])
def test_a_password_too_short_or_too_long_is_refused(checked: CountingPasswords, password: str) -> None:
    with pytest.raises(BadParameter, match="10 to 1,024 characters") as caught:
        checked.hash(password)
    assert caught.value.name == "password"


def test_a_right_password_is_verified_once(checked: CountingPasswords) -> None:
    stored = checked.hash(PASSWORD)
    assert all(checked.verify(stored, PASSWORD) for _ in range(10))
    assert checked.verifications == 1


def test_a_wrong_password_costs_a_verification_each_time(checked: CountingPasswords) -> None:
    stored = checked.hash(PASSWORD)
    assert not any(checked.verify(stored, "wrong horse") for _ in range(3))
    assert checked.verifications == 3


def test_no_stored_hash_costs_a_verification_and_never_fits(checked: CountingPasswords) -> None:
    assert not any(checked.verify(None, password) for password in (PASSWORD, PASSWORD, ""))
    assert checked.verifications == 3


def test_the_hash_of_nobody_has_the_same_cost_as_a_real_one(checked: CountingPasswords) -> None:
    real = checked.hash(PASSWORD)
    assert passwords._DUMMY.split("$")[:4] == real.split("$")[:4]
    assert len(passwords._DUMMY) == len(real)
    assert checked._hasher.check_needs_rehash(passwords._DUMMY) is False


def test_another_stored_hash_is_verified_again(checked: CountingPasswords) -> None:
    before, after = checked.hash(PASSWORD), checked.hash(PASSWORD)
    assert checked.verify(before, PASSWORD)
    assert checked.verify(after, PASSWORD)
    assert checked.verifications == 2


def test_what_was_verified_is_forgotten_after_its_time() -> None:
    forgetful = CountingPasswords(seconds=-1)
    stored = forgetful.hash(PASSWORD)
    assert forgetful.verify(stored, PASSWORD)
    assert forgetful.verify(stored, PASSWORD)
    assert forgetful.verifications == 2


def test_the_least_recently_used_password_is_forgotten_first() -> None:
    small = CountingPasswords(size=2)
    old, used, new = (small.hash(PASSWORD) for _ in range(3))
    for stored in (old, used, old, new):  # `used` is now the one not asked for longest
        assert small.verify(stored, PASSWORD)
    assert small.verifications == 3
    assert small.verify(old, PASSWORD)
    assert small.verify(new, PASSWORD)
    assert small.verifications == 3
    assert small.verify(used, PASSWORD)
    assert small.verifications == 4


def test_a_burst_of_first_requests_verifies_a_few_times_only(checked: CountingPasswords) -> None:
    stored = checked.hash(PASSWORD)
    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(lambda _: checked.verify(stored, PASSWORD), range(64)))
    assert checked.verifications <= passwords._AT_ONCE


def test_nothing_that_is_remembered_tells_the_password(checked: CountingPasswords) -> None:
    stored = checked.hash(PASSWORD)
    assert checked.verify(stored, PASSWORD)
    (entry,) = checked._until
    assert entry not in Passwords()._until
    assert PASSWORD.encode() not in entry
    assert stored.encode() not in entry


def test_a_password_may_be_any_text_and_typed_on_any_keyboard(checked: CountingPasswords) -> None:
    for text in ("\0" * 10, "\ud800" * 10, "🐎" * 10, "a:b:c:d:e:"):
        assert checked.verify(checked.hash(text), text)
        assert not checked.verify(checked.hash(text), text + "\0")
    # The same accent composed and decomposed.
    assert checked.verify(checked.hash("caf\u00e9 caf\u00e9 1"), "cafe\u0301 cafe\u0301 1")


def test_a_stored_hash_that_is_none_fits_nothing(checked: CountingPasswords) -> None:
    assert not checked.verify("not a hash", PASSWORD)
    assert not checked.verify("", PASSWORD)


def test_generated_passwords_differ_and_will_do(checked: CountingPasswords) -> None:
    assert len({passwords.generate() for _ in range(100)}) == 100
    assert checked.hash(passwords.generate())
