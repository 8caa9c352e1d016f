"""The address of Redis, as REDIS_URL has it: that of one server, or of the Sentinels that know the primary.

redis-py reads the address of a server. The form with Sentinels is
`redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME/DATABASE?sentinel_username=…&sentinel_password=…`, where
the user and the password are those of Redis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from psthreads.domain.errors import ConfigError

_OF_SENTINELS: Final = "+sentinel"
_SCHEMES: Final = ("redis://", "rediss://", "unix://", f"redis{_OF_SENTINELS}://", f"rediss{_OF_SENTINELS}://")
_SENTINEL_PORT: Final = 26379
_MOST_PORT: Final = 65535
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s\[\]:/]+))(?::(?P<port>[0-9]{1,5}))?")
_DATABASE: Final = re.compile(r"/?[0-9]{0,9}/?")
_FILES: Final = frozenset({"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"})
_TLS: Final = frozenset({"ssl_cert_reqs", "ssl_check_hostname"})
_UNVERIFIED: Final = "ssl_cert_reqs=none&ssl_check_hostname=false"
_EXAMPLE: Final = "redis+sentinel://HOST:26379,HOST:26379/NAME/0"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The hosts and ports of Sentinels, and the name by which they know the primary.

    `options_url` holds all that is said of the connection to Redis itself, as redis-py reads it; its host is none.
    """

    hosts: tuple[tuple[str, int], ...]
    name: str
    options_url: str = field(repr=False)
    username: str
    password: str = field(repr=False)


def check(url: str) -> None:
    """Raise ConfigError where this can be no address of Redis, in a sentence without the password in it."""
    if not url.startswith(_SCHEMES):
        raise ConfigError(
            f"REDIS_URL is '{shown(url)}', but must start with {', '.join(_SCHEMES[:-1])} or {_SCHEMES[-1]}."
        )
    if (address := sentinels(url)) is not None:
        url = address.options_url
    elif "," in url.partition("//")[2].partition("/")[0].rpartition("@")[2]:
        raise ConfigError(
            f"REDIS_URL names several servers: name a single Redis, no cluster, or its Sentinels as {_EXAMPLE}."
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"REDIS_URL cannot be used: {error}.") from None
    # redis-py would take database 0 in place of a path that is no number.
    if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path):
        raise ConfigError(f"REDIS_URL ends with '{parts.path}': its path is the number of a database, such as /0.")


def sentinels(url: str) -> SentinelAddress | None:
    """Return what the address says of Sentinels, None for the address of a server. Raises ConfigError."""
    scheme, _, rest = url.partition("://")
    if not scheme.endswith(_OF_SENTINELS):
        return None
    address, _, query = rest.partition("?")
    place, _, path = address.partition("/")
    user, at, hosts = place.rpartition("@")
    name, _, database = path.partition("/")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"REDIS_URL names Sentinels, but no primary that they watch: write it as {_EXAMPLE}.")
    options = parse_qsl(query, keep_blank_values=True)
    own = {key: value for key, value in options if key in {"sentinel_username", "sentinel_password"}}
    others = urlencode([(key, value) for key, value in options if key not in own])
    return SentinelAddress(
        tuple(_host(text) for text in hosts.split(",")),
        name,
        f"{scheme.removesuffix(_OF_SENTINELS)}://{user}{at}sentinels/{database}{'?' if others else ''}{others}",
        own.get("sentinel_username", ""),
        own.get("sentinel_password", ""),
    )


def shown(url: str) -> str:
    """Return the address without users, passwords and options, for messages."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.partition('?')[0].rpartition('@')[2]}" if mark else url.rpartition("@")[2]


def with_absolute_files(url: str) -> str:
    """Return the address with whole paths of the certificates that it names. Raises ConfigError."""
    address, question, query = url.partition("?")
    options = [
        (name, str(absolute(Path(value))) if name in _FILES and value else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    if options == parse_qsl(query, keep_blank_values=True):
        return url
    return f"{address}{question}{urlencode(options)}"


def unverified(url: str) -> str:
    """Return the address of a Redis whose certificate nobody checks; what the address itself says of it counts more."""
    address, _, query = url.partition("?")
    if not address.startswith("rediss") or _TLS & {name for name, _ in parse_qsl(query)}:
        return url
    return f"{address}?{query}&{_UNVERIFIED}" if query else f"{address}?{_UNVERIFIED}"


def absolute(path: Path) -> Path:
    """Return the whole path; raise ConfigError where that cannot be known."""
    try:
        return path.absolute()
    except FileNotFoundError:
        raise ConfigError(
            f"The path '{path}' is relative, but the working directory is gone: give a whole path."
        ) from None


def _host(text: str) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or (port := int(match["port"] or _SENTINEL_PORT)) > _MOST_PORT:
        raise ConfigError(
            f"REDIS_URL names the Sentinel '{text}', which is no host with a port: write them as {_EXAMPLE}."
        )
    return match["v6"] or match["host"], port
