"""The address of Redis, with Sentinels or without: what is read from it, and that no message shows a password."""

from __future__ import annotations

import pytest

from psthreads.domain.config import Config
from psthreads.domain.redis_url import sentinels, shown


def test_an_address_of_sentinels_is_read() -> None:
    address = sentinels(
        "rediss+sentinel://web:p%40w@a:1,b,[::1]:3/my-main/2?sentinel_username=s&ssl_ca_certs=%2Fca&sentinel_password=q%26"
    )
    assert address is not None
    assert address.hosts == (("a", 1), ("b", 26379), ("::1", 3))
    assert address.name == "my-main"
    assert address.options_url == "rediss://web:p%40w@sentinels/2?ssl_ca_certs=%2Fca"
    assert (address.username, address.password) == ("s", "q&")
    assert "p%40w" not in repr(address)
    assert "q&" not in repr(address)


@pytest.mark.parametrize("url", ["redis://h/0", "rediss://h/0", "unix:///a+sentinel"])
def test_an_address_of_a_server_names_no_sentinels(url: str) -> None:
    assert sentinels(url) is None


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://u:p@h:1/0?password=x", "redis://h:1/0"),
        ("redis://u:p/w@h:1/0", "redis://h:1/0"),
        ("redis+sentinel://u:p@a:1,b:2/main/0?sentinel_password=x", "redis+sentinel://a:1,b:2/main/0"),
        ("unix://u:p@/run/r.sock?db=1", "unix:///run/r.sock"),
        ("u:p@h:6379", "h:6379"),
    ],
)
def test_no_password_is_shown(url: str, text: str) -> None:
    assert shown(url) == text


def test_an_address_of_sentinels_survives_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis+sentinel://u:p@a:1,b:2/main/3?ssl_ca_certs=ca.pem&sentinel_password=x"
    config = Config(redis_url=url)
    monkeypatch.chdir("/")
    again = Config.from_env(config.to_env())
    assert again.redis_url == config.redis_url
    assert sentinels(again.redis_url) is not None
    assert "ssl_ca_certs=%2F" in again.redis_url
