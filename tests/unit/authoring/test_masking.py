"""What looks like a secret never reaches the store; what does not is left as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psthreads.authoring.masking import MASK, Masker


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
