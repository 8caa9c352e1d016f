"""Every setting: its name, its default, what it means and what it may be. The only reader of os.environ."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from psthreads.domain.errors import ConfigError

DAY: Final = 86_400
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")
_RATE: Final = re.compile(r"[1-9][0-9]{0,6} ?/ ?([1-9][0-9]{0,3} )?(second|minute|hour|day)s?\Z")
_ISSUER: Final = re.compile(r"(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)(/[^\s?#]*)?\Z")


def _setting(env: str, default: Any, meaning: str, read: Callable[[str], Any], least: float | None = None) -> Any:
    return field(default=default, metadata={"env": env, "meaning": meaning, "read": read, "least": least})


def _truth(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise ValueError("it must be true or false")
    return words[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def _prefixes(text: str) -> tuple[str, ...]:
    prefixes = _words(text)
    for prefix in prefixes:
        if not _PREFIX.match(prefix):
            raise ValueError(f"'{prefix}' is no path such as /ps/service")
    return prefixes


def _patterns(text: str) -> tuple[str, ...]:
    for pattern in text.split():
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"'{pattern}' is no regular expression: {error}") from None
    return tuple(text.split())


def _rate(text: str) -> str:
    if not _RATE.match(text):
        raise ValueError("it must be a number and a time, such as 10/minute or 10/5 minutes")
    return text


def _issuer(text: str) -> str:
    # Whoever could change what the provider answers could sign in as anybody.
    if not _ISSUER.match(text):
        raise ValueError("it must begin with https://, or with http:// on this machine")
    return text


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError(f"it must be one of {', '.join(_LEVELS)}")
    return text.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one process. Durations are in seconds, sizes in bytes."""

    redis_url: str = _setting(
        "REDIS_URL", "redis://localhost:6379/0", "the Redis to use: redis://, rediss:// or unix://", str
    )
    port: int = _setting("PORT", 8000, "the port that the web process listens on", int, 0)
    host: str = _setting("HOST", "127.0.0.1", "the address that the web process listens on", str)
    workers: int = _setting("WORKERS", 2, "how many worker processes worker.py keeps running", int, 1)
    secret_key: str = _setting(
        "SECRET_KEY",
        "",
        "signs the session cookies; when empty, a random one is made once and shared through Redis",
        str,
    )
    documents: Path = _setting(  # noqa: RUF009 (a path is a frozen value)
        "PSTHREADS_DOCUMENTS",
        Path("var/documents"),
        "the folder of the groups' documents and results",
        Path,
    )
    queue: str = _setting("PSTHREADS_QUEUE", "psthreads", "the name of the RQ queue", str)
    processes: tuple[str, ...] = _setting(
        "PSTHREADS_PROCESSES",
        ("psthreads.processes",),
        "the modules or packages whose processes can be started, with commas between them",
        _words,
    )
    prefixes: tuple[str, ...] = _setting(
        "PSTHREADS_PREFIXES",
        ("/ps/service", "/ps/api"),
        "the paths below which the routes answer, too, besides the root, with commas between them",
        _prefixes,
    )
    own_progress: bool = _setting(
        "PSTHREADS_OWN_PROGRESS",
        False,
        "whether the member who started a thread may read its progress at server level",
        _truth,
    )
    retention: float = _setting(
        "PSTHREADS_RETENTION", 30 * DAY, "how long a finished thread and its log are kept", float, 1
    )
    audit_retention: float = _setting(
        "PSTHREADS_AUDIT_RETENTION", 365 * DAY, "how long it is kept who did what: the audit", float, 1
    )
    idempotency: float = _setting("PSTHREADS_IDEMPOTENCY", DAY, "how long an Idempotency-Key is remembered", float, 1)
    time_limit: float = _setting(
        "PSTHREADS_TIME_LIMIT", 6 * 3600, "how long a thread may run whose process names no limit", float, 1
    )
    grace: float = _setting(
        "PSTHREADS_GRACE", 10, "how long an interrupted process may clean up before it is killed", float, 0
    )
    heartbeat: float = _setting(
        "PSTHREADS_HEARTBEAT", 2, "how often a worker shows that a running thread lives", float, 0.05
    )
    lost_after: float = _setting(
        "PSTHREADS_LOST_AFTER",
        6,
        "how long after its last sign of life a thread is declared lost",
        float,
        0.1,
    )
    shutdown: float = _setting(
        "PSTHREADS_SHUTDOWN",
        20,
        "how long a worker that is told to stop waits for its thread to clean up",
        float,
        0,
    )
    restarts: int = _setting(
        "PSTHREADS_RESTARTS",
        3,
        "how often a restartable thread is queued again after its worker was lost",
        int,
        0,
    )
    report_interval: float = _setting(
        "PSTHREADS_REPORT_INTERVAL",
        0.5,
        "how often at most a running thread writes its progress",
        float,
        0.01,
    )
    log_events: int = _setting(
        "PSTHREADS_LOG_EVENTS", 100_000, "how many lines of a log are kept: its head and its tail", int, 100
    )
    log_bytes: int = _setting(
        "PSTHREADS_LOG_BYTES",
        32 * 1024 * 1024,
        "how many bytes of a log are kept: its head and its tail",
        int,
        100_000,
    )
    log_level: str = _setting(
        "PSTHREADS_LOG_LEVEL",
        "INFO",
        "the least level at which Python's logging inside a process goes to its thread's log",
        _level,
    )
    capture_output: bool = _setting(
        "PSTHREADS_CAPTURE_OUTPUT",
        False,
        "whether what a process writes to stdout and stderr goes to its thread's log",
        _truth,
    )
    mask: tuple[str, ...] = _setting(
        "PSTHREADS_MASK",
        (),
        "regular expressions with blanks between them: what matches is masked in logs and messages, besides what looks "
        "like a secret anyway",
        _patterns,
    )
    group_threads: int = _setting(
        "PSTHREADS_GROUP_THREADS", 4, "how many threads of one group run at once; the others wait their turn", int, 1
    )
    group_changes: int = _setting(
        "PSTHREADS_GROUP_CHANGES",
        1,
        "how many threads of one group that change its documents run at once",
        int,
        1,
    )
    streams: int = _setting(
        "PSTHREADS_STREAMS", 1_500, "how many event streams one web process keeps open at once", int, 1
    )
    oauth_expires: int = _setting(
        "PSTHREADS_OAUTH_EXPIRES", 3600, "how long an access token lives that a client is given", int, 1
    )
    oidc_issuer: str = _setting(
        "PSTHREADS_OIDC_ISSUER",
        "",
        "the OpenID Connect provider at which people may sign in, as it names itself; none when empty",
        _issuer,
    )
    oidc_client_id: str = _setting("PSTHREADS_OIDC_CLIENT_ID", "", "the id that the provider knows this server by", str)
    oidc_client_secret: str = _setting("PSTHREADS_OIDC_CLIENT_SECRET", "", "the secret that goes with that id", str)
    oidc_username_claim: str = _setting(
        "PSTHREADS_OIDC_USERNAME_CLAIM", "preferred_username", "the provider's claim that is the username here", str
    )
    oidc_admin_claim: str = _setting(
        "PSTHREADS_OIDC_ADMIN_CLAIM",
        "",
        "the provider's claim that makes administrators, when it is true, or as claim=value; when empty, none does",
        str,
    )
    session_idle: float = _setting(
        "PSTHREADS_SESSION_IDLE", 8 * 3600, "how long a browser's session lasts without a request", float, 1
    )
    session_life: float = _setting(
        "PSTHREADS_SESSION_LIFE", 7 * DAY, "how long a browser's session lasts at the most", float, 1
    )
    failures_per_account: str = _setting(
        "PSTHREADS_FAILURES_PER_ACCOUNT",
        "10/5 minutes",
        "how many wrong passwords are checked for one username; never counts what is right",
        _rate,
    )
    failures_per_address: str = _setting(
        "PSTHREADS_FAILURES_PER_ADDRESS",
        "100/5 minutes",
        "how many wrong passwords, secrets and tokens are taken from one address",
        _rate,
    )
    lock_after: int = _setting(
        "PSTHREADS_LOCK_AFTER",
        100,
        "after how many wrong passwords in a row an account is locked until an administrator unlocks it; 0 for never",
        int,
        0,
    )
    starts_per_member: str = _setting(
        "PSTHREADS_STARTS_PER_MEMBER", "", "how many threads one member may start, such as 100/minute", _rate
    )
    starts_per_group: str = _setting(
        "PSTHREADS_STARTS_PER_GROUP", "", "how many threads may be started in one group, such as 500/hour", _rate
    )
    max_body: int = _setting("PSTHREADS_MAX_BODY", 1024 * 1024, "the largest body of a request", int, 1024)
    max_upload: int = _setting(
        "PSTHREADS_MAX_UPLOAD",
        1024 * 1024 * 1024,
        "the most that one request may upload into a loading zone",
        int,
        1024,
    )

    production: bool = _setting(
        "PSTHREADS_PRODUCTION",
        False,
        "whether the programs refuse to start where that would be unsafe, instead of only saying so when asked",
        _truth,
    )
    proxies: int = _setting(
        "PSTHREADS_PROXIES",
        0,
        "how many proxies stand before the web process, each of which sets the X-Forwarded headers",
        int,
        0,
    )
    certificate: str = _setting(
        "PSTHREADS_CERTIFICATE", "", "the file of the TLS certificate, where the web process itself speaks TLS", str
    )
    private_key: str = _setting("PSTHREADS_PRIVATE_KEY", "", "the file of that certificate's key", str)
    debug: bool = _setting("FLASK_DEBUG", False, "Flask's own debug mode, which shows what goes wrong inside", _truth)

    def __post_init__(self) -> None:
        if not self.redis_url.startswith(("redis://", "rediss://", "unix://")):
            raise ConfigError(f"REDIS_URL is '{self.redis_url}', but must start with redis://, rediss:// or unix://.")
        for setting in fields(self):
            least = setting.metadata["least"]
            if least is not None and getattr(self, setting.name) < least:
                raise ConfigError(f"{setting.metadata['env']} must be at least {least:g}.")
        if bool(self.certificate) != bool(self.private_key):
            raise ConfigError("PSTHREADS_CERTIFICATE and PSTHREADS_PRIVATE_KEY must be given together.")
        if self.lost_after < 2 * self.heartbeat:
            raise ConfigError("PSTHREADS_LOST_AFTER must be at least twice PSTHREADS_HEARTBEAT.")
        if self.oidc_issuer and not self.oidc_client_id:
            raise ConfigError("PSTHREADS_OIDC_ISSUER needs PSTHREADS_OIDC_CLIENT_ID: set it to the id there.")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings that the environment gives, and the defaults for the rest.

        Raises ConfigError, naming the variable and what it must be, for one that is wrong.
        """
        given: dict[str, Any] = {}
        for setting in fields(cls):
            text = environ.get(setting.metadata["env"], "").strip()
            if text:
                try:
                    given[setting.name] = setting.metadata["read"](text)
                except ValueError as error:
                    reason = (
                        f"it must be a number: {error}" if "convert" in str(error) or "literal" in str(error) else error
                    )
                    raise ConfigError(f"{setting.metadata['env']} is '{text}', but {reason}.") from None
        return cls(**given)

    def to_env(self) -> dict[str, str]:
        """The settings as an environment from which `from_env` makes the same settings again."""
        return {
            # Blanks separate words everywhere, and a regular expression may hold a comma.
            setting.metadata["env"]: " ".join(value) if isinstance(value, tuple) else str(value)
            for setting in fields(self)
            if (value := getattr(self, setting.name)) not in {"", ()}
        }
