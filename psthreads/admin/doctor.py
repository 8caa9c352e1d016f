"""Checks for what is unsafe or unwell about a server, made before it starts and by `psthreads doctor`.

Each check looks at one thing and yields its problems; none changes anything. In production, a serious problem keeps the
programs from starting.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.connection import parse_url
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from psthreads.authoring.registry import Registry
from psthreads.database import shared_settings
from psthreads.database.connection import (
    FULL,
    NEARLY_FULL,
    check_server,
    connect,
    durability_warning,
    memory,
    ride_out_failover,
    translate_errors,
)
from psthreads.database.replicas import connected
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, StoreRefuses, Unavailable
from psthreads.domain.redis_url import sentinels
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.system.confinement import FILES, NETWORK, available
from psthreads.system.privileges import ROOT, runs_as_root
from psthreads.telemetry import forwarding
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore

_LEAST_KEY: Final = 32  # characters
_LEAST_VARIETY: Final = 10  # different ones
_LEAST_FREE: Final = 1024 * 1024 * 1024
_LEAST_SHARE: Final = 0.05
_MOST_DRIFT: Final = 5.0  # seconds
_GENERATE: Final = "python3 -c 'import secrets; print(secrets.token_hex(32))'"


class Severity(StrEnum):
    """How bad a problem is: a serious one keeps a server in production from starting."""

    SERIOUS = "serious"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of this installation: one sentence that names it, and one with the remedy."""

    severity: Severity
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


def _serious(what: str, remedy: str) -> Problem:
    return Problem(Severity.SERIOUS, what, remedy)


def _warning(what: str, remedy: str) -> Problem:
    return Problem(Severity.WARNING, what, remedy)


# Checks of the settings.


def secret_key(config: Config) -> Iterator[Problem]:
    """Check that the key of the session cookies is set and hard to guess."""
    remedy = f"Set SECRET_KEY to what {_GENERATE} prints, the same for every web process."
    if not config.secret_key:
        yield _serious(
            "SECRET_KEY is not set: the key of the sessions is in Redis, for everybody who can read that.", remedy
        )
    elif len(config.secret_key) < _LEAST_KEY or len(set(config.secret_key)) < _LEAST_VARIETY:
        yield _serious("SECRET_KEY is weak: someone who guesses it can sign in as anybody.", remedy)


def address(config: Config) -> Iterator[Problem]:
    """Check that passwords and tokens do not travel unencrypted between machines."""
    if config.certificate or config.proxies or _is_local(config.host):
        return
    yield _serious(
        f"HOST is {config.host}, which other machines reach without TLS: passwords and tokens can be read on the way.",
        "Set HOST=127.0.0.1 behind a proxy that speaks TLS, name the number of proxies with PSTHREADS_PROXIES, or give "
        "PSTHREADS_CERTIFICATE and PSTHREADS_PRIVATE_KEY.",
    )


def debug(config: Config) -> Iterator[Problem]:
    """Check that no page shows what only developers should see."""
    if config.debug:
        yield _serious("FLASK_DEBUG is on: a fault shows the program's inside.", "Unset FLASK_DEBUG.")


def redis_url(config: Config) -> Iterator[Problem]:
    """Check that a remote Redis asks for a password, and that the connection is encrypted."""
    watched = sentinels(config.redis_url)
    parts: dict[str, Any] = parse_url(watched.options_url if watched else config.redis_url)  # type: ignore[no-untyped-call] # redis-py's own
    hosts = [host for host, _ in watched.hosts] if watched else [str(parts.get("host") or "localhost")]
    host = next((host for host in hosts if not _is_local(host)), "")
    if "path" in parts or not host:
        return
    if not parts.get("password"):
        named = f"the Redis of the Sentinel on {host}" if watched else f"the Redis on {host}"
        yield _serious(
            f"REDIS_URL names {named} without a password: all who reach it are administrators here.",
            "Give Redis the users of deploy/psthreads.acl, and the password in REDIS_URL.",
        )
    if watched and not watched.password:
        yield _warning(
            f"REDIS_URL names the Sentinel on {host} without a password: others can have it name another primary.",
            "Set requirepass for the Sentinels, and add sentinel_password to REDIS_URL.",
        )
    if not config.redis_verify:
        yield _warning(
            f"PSTHREADS_REDIS_VERIFY is off: whoever is between this machine and the Redis on {host} can pose as it.",
            "Use a certificate that can be checked, with ?ssl_ca_certs=FILE, where the provider of Redis has one.",
        )
    if not config.redis_url.startswith("rediss"):
        yield _warning(
            f"What travels to the Redis on {host} can be read on the way.",
            "Use rediss:// with ?ssl_ca_certs=FILE, or a network that nobody else is in.",
        )


def documents(config: Config) -> Iterator[Problem]:
    """Check that only our user can change the documents, and that there is disk space for more."""
    if config.store_url:  # Whether it can be used is seen where Redis is compared with it.
        yield from _disk_space(config.scratch)
        return
    folder = config.documents.absolute()
    for path in (folder, *(folder / name for name in ("groups", "results", "loading", "tmp"))):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH:
            yield _serious(f"The folder {path} can be written by everybody on this machine.", f"chmod o-w {path}")
    yield from _disk_space(folder)


def _disk_space(folder: Path) -> Iterator[Problem]:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield _serious(
            f"The folder {existing} cannot be written by this user.",
            "Give it to the user of the web and the workers, or name another with PSTHREADS_DOCUMENTS.",
        )
    disk = shutil.disk_usage(existing)
    if disk.free < min(_LEAST_FREE, disk.total * _LEAST_SHARE):
        yield _warning(
            f"The disk of {existing} is nearly full: {disk.free // 1024**2:,} MiB are free.",
            "Remove what is not needed, shorten PSTHREADS_RETENTION, or use a larger disk.",
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


# Checks of Redis.


def administrator(redis: Redis) -> Iterator[Problem]:
    """Check that there is an administrator."""
    if not any(member.admin for member in Directory(redis).members()):
        yield _serious(
            "There is no administrator.", "Add one: psthreads admin member add NAME --admin, which asks for a password."
        )


def durability(redis: Redis) -> Iterator[Problem]:
    """Check that Redis does not lose acknowledged writes."""
    if warning := durability_warning(redis):
        what, _, remedy = warning.partition(". ")
        yield _warning(f"{what}.", f"{remedy} ")


def free_memory(redis: Redis) -> Iterator[Problem]:
    """Check that Redis has memory left for more threads."""
    used = memory(redis)
    if used.percentage >= NEARLY_FULL:
        severity = Severity.SERIOUS if used.percentage >= FULL else Severity.WARNING
        what = f"Redis is {used}." + (" No thread can be started." if severity is Severity.SERIOUS else "")
        yield Problem(
            severity, what, "Delete threads that nobody needs, shorten PSTHREADS_RETENTION, or raise Redis's maxmemory."
        )


def server(redis: Redis) -> Iterator[Problem]:
    """Check that Redis is a single one, and recent enough."""
    try:
        check_server(redis)
    except ConfigError as error:
        what, _, remedy = error.message.partition(": ")
        yield _serious(f"{what}.", f"{remedy[:1].upper()}{remedy[1:]}")


def followers(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that as many replicas follow Redis as have to confirm what is written."""
    count = connected(redis)
    if count < config.replicas:
        yield _serious(
            f"{count} of the {config.replicas} replicas that PSTHREADS_REPLICAS asks for follow Redis: nothing can be "
            "started.",
            "Start the replicas, and look whether they reach the primary.",
        )
    elif sentinels(config.redis_url) and not config.replicas:
        yield _warning(
            "REDIS_URL names Sentinels, and PSTHREADS_REPLICAS is 0: a failover may lose threads, or run them twice.",
            "Set PSTHREADS_REPLICAS to the number of replicas that the Sentinels may make the primary.",
        )


def clock(redis: Redis) -> Iterator[Problem]:
    """Check that the clocks of this machine and of Redis agree."""
    with translate_errors():
        before = time.time()
        seconds, micros = redis.time()
        drift = seconds + micros / 1e6 - (before + time.time()) / 2
    if abs(drift) > _MOST_DRIFT:
        yield _warning(
            f"Redis's clock differs from this machine's by {drift:+.0f} s: times in logs do not fit together.",
            "Keep both by NTP.",
        )


def rights(redis: Redis) -> Iterator[Problem]:
    """Check that our user of Redis has only the permissions that it needs."""
    with translate_errors():
        try:
            # Only a user without limits may call this: none of deploy/psthreads.acl may.
            redis.execute_command("ACL", "LIST")  # type: ignore[no-untyped-call] # redis-py's own
        except (NoPermissionError, ResponseError):
            return
    yield _warning(
        "Our user of Redis has all permissions there.",
        "Give Redis the users of deploy/psthreads.acl, and name them in REDIS_URL.",
    )


def settings(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that no process is set to another value of a shared setting than the one in force."""
    for difference in shared_settings.differences(redis, config):
        yield _warning(str(difference), shared_settings.REMEDY)


def installation(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that Redis and the documents belong together, here and for every process."""
    together = Installation(redis, config, "doctor")
    if (mismatch := together.check(pair=False)) is not None:
        yield _serious(mismatch.what, mismatch.remedy)
    for sentence in together.refusals():
        yield _serious(sentence, "Until that is mended, it does nothing.")


def quotas(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that no group has nearly used up what it may store."""
    for group_id, use in Quotas(redis, config).near():
        yield _warning(
            f"The group with the id {group_id} uses {use.used:,} of {use.most:,} "
            f"{'files' if use.what == 'files' else f'bytes of {use.what}'}.",
            f"Remove what it does not need, or raise {use.setting}.",
        )


def proxies(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that requests come through as many proxies as are declared."""
    for fault in forwarding.faults(redis, config.proxies):
        yield _warning(fault.what, fault.remedy)


def life(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that a worker is alive, and a janitor for the threads of lost workers."""
    if not Engine(redis, config, ThreadStore(redis, config), Registry()).workers():
        yield _serious("No worker is alive: threads wait.", "Start psthreads worker.")
    for worker in crew.look(redis, config).workers:
        if worker.trouble:
            yield _warning(
                f"Worker {worker.name} on {worker.host} takes no threads: it {worker.trouble}.",
                "Raise the limit on processes there (of the container, the user or the service), or end others.",
            )
    if not Janitor.has_leader(redis):
        yield _warning(
            "No janitor runs: threads of lost workers stay as they are.", "Start psthreads web or psthreads worker."
        )


def user(_config: Config) -> Iterator[Problem]:
    """Check that this program, and so probably the others, has a user of its own."""
    if runs_as_root():
        yield _warning(ROOT, "Run it as a user of its own.")


def confinement(_config: Config) -> Iterator[Problem]:
    """Check that the kernel can confine the child that works on documents, schemas and stylesheets."""
    reach = {FILES: ("Landlock", "read files of the workers' user"), NETWORK: ("seccomp", "open connections")}
    for missing in sorted(reach.keys() - available()):
        feature, deed = reach[missing]
        yield _warning(
            f"This kernel has no {feature}: a document that takes over a library in C could {deed}.",
            f"Run the workers on Linux with {feature}.",
        )


_SETTINGS: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (redis_url, documents, user, confinement)
_OF_WEB: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (secret_key, address, debug)
_OF_REDIS: Final[tuple[Callable[[Redis], Iterator[Problem]], ...]] = (durability, free_memory, clock, rights)


def examine(config: Config) -> list[Problem]:
    """Return all problems, the serious ones first. A Redis that does not answer is a problem, too, and no error."""
    reading = replace(config, replicas=0)  # What is only looked at need not wait for replicas.
    problems = [problem for check in (*_OF_WEB, *_SETTINGS) for problem in check(config)]
    with connect(config.redis_url, connections=2) as redis:
        try:
            ride_out_failover(redis)
            for check in (server, administrator, *_OF_REDIS):
                problems += check(redis)
            problems += (
                *installation(redis, reading),
                *followers(redis, config),
                *settings(redis, config),
                *life(redis, config),
                *proxies(redis, config),
                *quotas(redis, config),
            )
        except (Unavailable, RedisError) as error:
            problems.append(_unreachable(error))
    return sorted(problems, key=lambda problem: problem.severity is not Severity.SERIOUS)


def refuse_unless_safe(config: Config, *, for_web: bool) -> None:
    """In production, raise ConfigError with every serious problem of a program that is about to start.

    Only the web process needs an administrator and keeps sessions; the workers' user of Redis cannot read the members.
    """
    if not config.production:
        return
    problems = [problem for check in (*(_OF_WEB if for_web else ()), *_SETTINGS) for problem in check(config)]
    with connect(config.redis_url, connections=2) as redis:
        try:
            if for_web:
                problems += administrator(redis)
        except (StoreRefuses, RedisError) as error:
            problems.append(_unreachable(error))
        except Unavailable:
            pass  # Redis may start later than this program, which waits for it.
    if serious := [str(problem) for problem in problems if problem.severity is Severity.SERIOUS]:
        listed = "\n".join(f"- {problem}" for problem in serious)
        raise ConfigError(f"This server would not be safe, and PSTHREADS_PRODUCTION is set:\n{listed}")


def _unreachable(error: Exception) -> Problem:
    cause = error.__cause__ or error if isinstance(error, Unavailable) else error
    return _serious(f"Redis does not answer as it should: {cause}", "Check REDIS_URL, and that Redis runs.")


def main() -> int:
    """Print on standard error why the web process must not start; return the exit code."""
    try:
        refuse_unless_safe(Config.from_env(), for_web=True)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
