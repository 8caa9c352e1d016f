"""Checks of the settings and of this machine. Each looks at one thing; none changes anything."""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from redis.connection import parse_url

from psthreads.admin.problems import Problem, serious, warning
from psthreads.domain.config import Config
from psthreads.domain.redis_url import sentinels
from psthreads.system.confinement import FILES, NETWORK, available
from psthreads.system.privileges import ROOT, runs_as_root

_LEAST_KEY: Final = 32  # characters
_LEAST_VARIETY: Final = 10  # different ones
_LEAST_FREE: Final = 1024 * 1024 * 1024
_LEAST_SHARE: Final = 0.05
_GENERATE: Final = "python3 -c 'import secrets; print(secrets.token_hex(32))'"


def secret_key(config: Config) -> Iterator[Problem]:
    """Check that the key of the session cookies is set and hard to guess."""
    remedy = f"Set SECRET_KEY to what {_GENERATE} prints, the same for every web process."
    if not config.secret_key:
        yield serious(
            "SECRET_KEY is not set: the key of the sessions is in Redis, for everybody who can read that.", remedy
        )
    elif len(config.secret_key) < _LEAST_KEY or len(set(config.secret_key)) < _LEAST_VARIETY:
        yield serious("SECRET_KEY is weak: someone who guesses it can sign in as anybody.", remedy)


def address(config: Config) -> Iterator[Problem]:
    """Check that passwords and tokens do not travel unencrypted between machines."""
    if config.certificate or config.proxies or _is_local(config.host):
        return
    yield serious(
        f"HOST is {config.host}, which other machines reach without TLS: passwords and tokens can be read on the way.",
        "Set HOST=127.0.0.1 behind a proxy that speaks TLS, name the number of proxies with PSTHREADS_PROXIES, or give "
        "PSTHREADS_CERTIFICATE and PSTHREADS_PRIVATE_KEY.",
    )


def debug(config: Config) -> Iterator[Problem]:
    """Check that no page shows what only developers should see."""
    if config.debug:
        yield serious("FLASK_DEBUG is on: a fault shows the program's inside.", "Unset FLASK_DEBUG.")


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
        yield serious(
            f"REDIS_URL names {named} without a password: all who reach it are administrators here.",
            "Give Redis the users of deploy/psthreads.acl, and the password in REDIS_URL.",
        )
    if watched and not watched.password:
        yield warning(
            f"REDIS_URL names the Sentinel on {host} without a password: others can have it name another primary.",
            "Set requirepass for the Sentinels, and add sentinel_password to REDIS_URL.",
        )
    if not config.redis_verify:
        yield warning(
            f"PSTHREADS_REDIS_VERIFY is off: whoever is between this machine and the Redis on {host} can pose as it.",
            "Use a certificate that can be checked, with ?ssl_ca_certs=FILE, where the provider of Redis has one.",
        )
    if not config.redis_url.startswith("rediss"):
        yield warning(
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
            yield serious(f"The folder {path} can be written by everybody on this machine.", f"chmod o-w {path}")
    yield from _disk_space(folder)


def user(_config: Config) -> Iterator[Problem]:
    """Check that this program, and so probably the others, has a user of its own."""
    if runs_as_root():
        yield warning(ROOT, "Run it as a user of its own.")


def confinement(_config: Config) -> Iterator[Problem]:
    """Check that the kernel can confine the child that works on documents, schemas and stylesheets."""
    reach = {FILES: ("Landlock", "read files of the workers' user"), NETWORK: ("seccomp", "open connections")}
    for missing in sorted(reach.keys() - available()):
        feature, deed = reach[missing]
        yield warning(
            f"This kernel has no {feature}: a document that takes over a library in C could {deed}.",
            f"Run the workers on Linux with {feature}.",
        )


def _disk_space(folder: Path) -> Iterator[Problem]:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield serious(
            f"The folder {existing} cannot be written by this user.",
            "Give it to the user of the web and the workers, or name another with PSTHREADS_DOCUMENTS.",
        )
    disk = shutil.disk_usage(existing)
    if disk.free < min(_LEAST_FREE, disk.total * _LEAST_SHARE):
        yield warning(
            f"The disk of {existing} is nearly full: {disk.free // 1024**2:,} MiB are free.",
            "Remove what is not needed, shorten PSTHREADS_RETENTION, or use a larger disk.",
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
