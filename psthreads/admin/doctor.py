"""What is unsafe or unwell about a server: found before it starts, and when somebody asks.

Each check looks at one thing and gives its findings; none changes anything. In production, a serious finding keeps
the programs from starting.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.connection import parse_url
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from psthreads.authoring.registry import Registry
from psthreads.database.connection import connect, durability_warning, translated
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, Unavailable
from psthreads.identity.directory import Directory
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore

_LEAST_KEY: Final = 32  # characters
_LEAST_VARIETY: Final = 10  # different ones
_LEAST_FREE: Final = 1024 * 1024 * 1024
_LEAST_SHARE: Final = 0.05
_MOST_DRIFT: Final = 5.0  # seconds
_LEAST_VERSION: Final = (7, 0)
_GENERATE: Final = "python3 -c 'import secrets; print(secrets.token_hex(32))'"


class Severity(StrEnum):
    """How bad it is: a serious finding keeps a server in production from starting."""

    SERIOUS = "serious"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, as a sentence, and how to mend it, as another."""

    severity: Severity
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


def _serious(what: str, remedy: str) -> Problem:
    return Problem(Severity.SERIOUS, what, remedy)


def _warning(what: str, remedy: str) -> Problem:
    return Problem(Severity.WARNING, what, remedy)


# What the settings alone tell.


def secret_key(config: Config) -> Iterator[Problem]:
    """The key of the session cookies: given, and not to be guessed."""
    remedy = f"Set SECRET_KEY to what {_GENERATE} prints, the same for every web process."
    if not config.secret_key:
        yield _serious("SECRET_KEY is not set: the key of the sessions is in Redis, for whoever reads it.", remedy)
    elif len(config.secret_key) < _LEAST_KEY or len(set(config.secret_key)) < _LEAST_VARIETY:
        yield _serious("SECRET_KEY is weak: whoever guesses it can sign in as anybody.", remedy)


def address(config: Config) -> Iterator[Problem]:
    """Whether passwords and tokens would travel readable between machines."""
    if config.certificate or config.proxies or _is_local(config.host):
        return
    yield _serious(
        f"HOST is {config.host}, which other machines reach without TLS: passwords and tokens can be read on the way.",
        "Set HOST=127.0.0.1 behind a proxy that speaks TLS, name the number of proxies with PSTHREADS_PROXIES, or give "
        "PSTHREADS_CERTIFICATE and PSTHREADS_PRIVATE_KEY.",
    )


def debug(config: Config) -> Iterator[Problem]:
    """Whether people would see what is meant for those who write the program."""
    if config.debug:
        yield _serious("FLASK_DEBUG is on: a fault shows the program's inside.", "Unset FLASK_DEBUG.")


def redis_url(config: Config) -> Iterator[Problem]:
    """Whether Redis takes orders from anybody, and whether they travel readable."""
    given: dict[str, Any] = parse_url(config.redis_url)  # type: ignore[no-untyped-call] # redis-py's own
    host = str(given.get("host") or "localhost")
    if "path" in given or _is_local(host):
        return
    if not given.get("password"):
        yield _serious(
            f"REDIS_URL names the Redis on {host} without a password: whoever reaches it is an administrator here.",
            "Give Redis the users of deploy/psthreads.acl, and the password in REDIS_URL.",
        )
    if not config.redis_url.startswith("rediss://"):
        yield _warning(
            f"What travels to the Redis on {host} can be read on the way.",
            "Use rediss:// with ?ssl_ca_certs=FILE, or a network that nobody else is in.",
        )


def documents(config: Config) -> Iterator[Problem]:
    """Whether other users of the machine can change the documents, and whether there is room for more."""
    folder = config.documents.absolute()
    for path in (folder, *(folder / name for name in ("groups", "results", "loading", "tmp"))):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH:
            yield _serious(f"The folder {path} can be written by everybody on this machine.", f"chmod o-w {path}")
    yield from _room(folder)


def _room(folder: Path) -> Iterator[Problem]:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield _serious(
            f"The folder {there} cannot be written by this user.",
            "Give it to the user of the web and the workers, or name another with PSTHREADS_DOCUMENTS.",
        )
    disk = shutil.disk_usage(there)
    if disk.free < min(_LEAST_FREE, disk.total * _LEAST_SHARE):
        yield _warning(
            f"The disk of {there} is nearly full: {disk.free // 1024**2:,} MiB are free.",
            "Remove what is not needed, shorten PSTHREADS_RETENTION, or use a larger disk.",
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


# What Redis tells.


def administrator(redis: Redis) -> Iterator[Problem]:
    """Whether anybody could manage the server."""
    if not any(member.admin for member in Directory(redis).members()):
        yield _serious(
            "There is no administrator.", "Add one: flask --app app member add NAME --admin, which asks for a password."
        )


def durability(redis: Redis) -> Iterator[Problem]:
    """Whether Redis may lose what it has acknowledged."""
    if warning := durability_warning(redis):
        what, _, remedy = warning.partition(". ")
        yield _warning(f"{what}.", f"{remedy} ")


def version(redis: Redis) -> Iterator[Problem]:
    """Whether Redis is one that this was tried with."""
    with translated(redis):
        try:
            told = redis.info("server")
        except NoPermissionError:
            return
    text = str(told.get("redis_version", "0"))
    if tuple(int(part) for part in text.split(".")[:2] if part.isdecimal()) < _LEAST_VERSION:
        yield _serious(f"Redis is of version {text}, and too old.", "Use Redis 7.0 or newer, or Valkey.")


def clock(redis: Redis) -> Iterator[Problem]:
    """Whether this machine and Redis's agree on the time."""
    with translated(redis):
        before = time.time()
        seconds, micros = redis.time()
        drift = seconds + micros / 1e6 - (before + time.time()) / 2
    if abs(drift) > _MOST_DRIFT:
        yield _warning(
            f"Redis's clock differs from this machine's by {drift:+.0f} s: times in logs do not fit together.",
            "Keep both by NTP.",
        )


def rights(redis: Redis) -> Iterator[Problem]:
    """Whether this user of Redis may do more than it needs."""
    with translated(redis):
        try:
            # Who may ask this may do anything: no user of deploy/psthreads.acl may.
            redis.execute_command("ACL", "LIST")  # type: ignore[no-untyped-call] # redis-py's own
        except (NoPermissionError, ResponseError):
            return
    yield _warning(
        "This user of Redis may do everything there, for nothing narrows it.",
        "Give Redis the users of deploy/psthreads.acl, and name them in REDIS_URL.",
    )


def life(redis: Redis, config: Config) -> Iterator[Problem]:
    """Whether somebody works on threads, and looks after those that nobody works on."""
    if not Engine(redis, config, ThreadStore(redis, config), Registry()).workers():
        yield _warning("No worker is alive: threads wait.", "Start python worker.py.")
    if not Janitor.leads_somewhere(redis):
        yield _warning(
            "No janitor runs: threads of lost workers stay as they are.", "Start the web process or python worker.py."
        )


_SETTINGS: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (redis_url, documents)
_OF_WEB: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (secret_key, address, debug)
_OF_REDIS: Final[tuple[Callable[[Redis], Iterator[Problem]], ...]] = (durability, version, clock, rights)


def examine(config: Config) -> list[Problem]:
    """Everything that can be found, the serious first. Never raises for what it looks at."""
    found = [finding for check in (*_OF_WEB, *_SETTINGS) for finding in check(config)]
    with connect(config.redis_url, connections=2) as redis:
        try:
            for check in (administrator, *_OF_REDIS):
                found += check(redis)
            found += life(redis, config)
        except (Unavailable, RedisError) as error:
            found.append(_unreachable(error))
    return sorted(found, key=lambda finding: finding.severity is not Severity.SERIOUS)


def refuse_unless_safe(config: Config, *, for_web: bool) -> None:
    """In production, raise ConfigError with every serious finding about a program that is about to start.

    Only the web process needs an administrator and keeps sessions; the workers may not even read the members.
    """
    if not config.production:
        return
    found = [finding for check in (*(_OF_WEB if for_web else ()), *_SETTINGS) for finding in check(config)]
    with connect(config.redis_url, connections=2) as redis:
        try:
            if for_web:
                found += administrator(redis)
        except Unavailable:
            pass  # Redis may come later than this, and everything waits for it.
        except RedisError as error:
            found.append(_unreachable(error))
    if serious := [str(finding) for finding in found if finding.severity is Severity.SERIOUS]:
        listed = "\n".join(f"- {one}" for one in serious)
        raise ConfigError(f"This server would not be safe, and PSTHREADS_PRODUCTION is set:\n{listed}")


def _unreachable(error: Exception) -> Problem:
    told = error.__cause__ or error if isinstance(error, Unavailable) else error
    return _serious(f"Redis does not answer as it should: {told}", "Check REDIS_URL, and that Redis runs.")


def main() -> int:
    """Say on standard error why the web process must not start; returns the exit code."""
    try:
        refuse_unless_safe(Config.from_env(), for_web=True)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
