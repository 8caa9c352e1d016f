"""What looks like a secret never reaches the store; what does not is left as it is."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psthreads.domain.masking import MASK, Masker


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """End the test where the block takes longer."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("It takes too long"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "db_password: hunter2, and more",
        'Password = "hunter2"',
        "{'client_secret': 'hunter2'}",
        '{"api_key":"hunter2"}',
        "?token=hunter2&page=1",
        "Authorization: Basic hunter2",
        "authorization: bearer hunter2hunter2",
        "Bearer hunter2hunter2",
        "redis://:hunter2@localhost:6379/0",
        "https://jones:hunter2@example.org/",
        "passphrase => hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2, cut off",
        "it is pst_hunter2hunter2hunter2",
        "eyJhbGciOiJI.eyJodW50ZXIyIjoxfQ.hunter2",
        "aws_secret_access_key=hunter2",
        "accesstoken=hunter2",
        "my api key: hunter2",
        "db.password: hunter2",
        "passwordHash=hunter2",
        "passwords=hunter2",
        "/settings/password=hunter2",
        'password="hunter2 and it was cut',
        "jdbc:postgresql://db/x?user=a&password=hunter2",
    ],
)
def test_a_secret_is_masked(text: str) -> None:
    masked = Masker()(text)
    assert "hunter2" not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "Document /documents/keys/passwords.xml is valid.",
        "The token is expired",
        "Basic documents were moved",
        "jones@example.org has 3 keys",
        "http://example.org/a:b/c@d",
        "Moving /documents/secret.psml",
        "/etc/passwd: No such file or directory",
        r"C:\\keys\\token: access denied",
        "FileNotFoundError: [Errno 2] No such file or directory: '/run/secrets/x'",
        "Secretary: Jones",
        "tokens: 3, tokenizer: fast",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Masker()(text) == text


def test_what_surrounds_a_secret_stays() -> None:
    assert (
        Masker()("login(user='jones', password='x y', tries=3)") == f"login(user='jones', password='{MASK}', tries=3)"
    )


def test_further_patterns_mask_their_first_group_or_all_they_match() -> None:
    masker = Masker((r"card\s(\d{4})", "sesame"))
    assert masker("card 1234, open sesame") == f"card {MASK}, open {MASK}"


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(re.error):
        Masker(("(",))


@given(st.text(max_size=200))
def test_any_text_is_taken_and_masking_twice_changes_nothing_more(text: str) -> None:
    masker = Masker()
    once = masker(text)
    assert "hunter2" not in masker(f"{text}\npassword=hunter2")
    assert masker.may_hold_secret(text) or once == text


@pytest.mark.parametrize(
    "piece",
    [
        "pass",
        "password",
        "password-",
        "secret_",
        "token ",
        "api key ",
        "password=",
        'password="',
        "password='\"",
        "bearer ",
        "bearer  ",
        "eyJ",
        "-eyJaaaaaaaa",
        ".eyJaaaaaaaaa.",
        "://",
        "://a:",
        "://:b",
        "-----BEGIN ",
        "PRIVATE KEY",
        "-----BEGIN PRIVATE KEY-----",
        "pst_",
        "ghp_",
        "AKIA",
        "authorization",
        "authorization: basic ",
        "a/",
        "/",
        ".",
        "-",
        " ",
        "\\",
    ],
)
@pytest.mark.parametrize("prefix", ["", "password"])
def test_any_text_takes_time_in_proportion_to_its_length(prefix: str, piece: str) -> None:
    text = prefix + piece * (150_000 // len(piece)) + "key"
    # In proportion to the square it would take hours.
    with alarm(30):
        Masker()(text)
