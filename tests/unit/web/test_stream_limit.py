"""Claims about who may have how many event streams and long polls."""

from __future__ import annotations

import pytest

from psthreads.domain.access import Caller, Group, Member, Role
from psthreads.domain.errors import TooManyRequests, Unavailable
from psthreads.web.http.stream_limit import StreamLimit

ACME, OTHER = Group(1, "acme"), Group(2, "other")
ADMINISTRATOR = Caller(Member(999, "chief", admin=True))


def caller(number: int, group: Group = ACME) -> Caller:
    return Caller(Member(number, f"m{number}"), group, Role.CONTRIBUTOR)


def test_a_member_has_a_share() -> None:
    limit = StreamLimit(100, 3)
    for _ in range(3):
        limit.acquire(caller(1))
    with pytest.raises(TooManyRequests, match="3 event streams"):
        limit.acquire(caller(1, OTHER))
    with limit.slot(caller(1)) as is_free:
        assert not is_free
    limit.acquire(caller(2))
    limit.release(caller(1))
    with limit.slot(caller(1)) as is_free:
        assert is_free


def test_a_group_has_a_share() -> None:
    limit = StreamLimit(20, 5)
    for number in range(10):
        limit.acquire(caller(number))
    with pytest.raises(TooManyRequests, match="group"):
        limit.acquire(caller(11))
    limit.acquire(caller(11, OTHER))
    limit.acquire(ADMINISTRATOR)


def test_administrators_keep_a_reserve() -> None:
    limit = StreamLimit(20, 20)
    for number in range(18):
        limit.acquire(Caller(Member(number, "m")))
    with pytest.raises(Unavailable):
        limit.acquire(caller(100))
    limit.acquire(ADMINISTRATOR)
    limit.acquire(ADMINISTRATOR)
    with pytest.raises(Unavailable):
        limit.acquire(ADMINISTRATOR)
