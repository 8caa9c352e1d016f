"""Every setting: its name, default and permitted values; docs/settings.md says what each means.

No other module of the server reads os.environ.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Self

from psthreads.domain import redis_url
from psthreads.domain.errors import ConfigError
from psthreads.domain.redis_url import absolute

DAY: Final = 86_400
NO_RATE: Final = "off"
"""The value of a rate that limits nothing."""

JSON_LINES: Final = "json"
"""The form of log lines that programs read."""

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")
_RATE: Final = re.compile(r"[1-9][0-9]{0,6} ?/ ?([1-9][0-9]{0,3} )?(second|minute|hour|day)s?\Z")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z")
_LEAST_SECRET: Final = 20
_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*\Z")
_ISSUER: Final = re.compile(r"(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)(/[^\s?#]*)?\Z")


_SHORTEST_LINK: Final = 10  # seconds
_LONGEST_LINK: Final = 3_600


def _setting(
    env: str,
    default: Any,
    read: Callable[[str], Any],
    least: float | None = None,
    *,
    for_web: bool = False,
    former: str = "",
) -> Any:
    metadata = {"env": env, "read": read, "least": least, "for_web": for_web, "former": former}
    return field(default=default, metadata=metadata)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("it must be finite")
    return number


def _link_seconds(text: str) -> int:
    seconds = int(text)
    if seconds and not _SHORTEST_LINK <= seconds <= _LONGEST_LINK:
        raise ValueError(f"it must be 0 for none, or {_SHORTEST_LINK} to {_LONGEST_LINK} seconds")
    return seconds


def _truth(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("it must be true or false")
    return text.lower() in _TRUE


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", text) if word)


def _endings(text: str) -> tuple[str, ...]:
    endings = tuple(word.removeprefix(".").lower() for word in _words(text))
    for ending in endings:
        if not re.fullmatch(r"[\w+-]{1,32}", ending):
            raise ValueError(f"'{ending}' is no ending such as xml")
    return endings


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


def _starts(text: str) -> str:
    return text if text == NO_RATE else _rate(text)


def _rate(text: str) -> str:
    if not _RATE.match(text):
        raise ValueError("it must be a number and a time, such as 10/minute or 10/5 minutes")
    return text


def _issuer(text: str) -> str:
    # Whoever can change the provider's answers can sign in as anybody.
    if not _ISSUER.match(text):
        raise ValueError("it must begin with https://, or with http:// on this machine")
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(word.lower().rstrip("/") for word in _words(text))
    for origin in origins:
        if not _ORIGIN.match(origin):
            raise ValueError(f"'{origin}' is no origin such as https://ps.example")
    return origins


def _networks(text: str) -> tuple[str, ...]:
    for network in _words(text):
        ip_network(network)  # It raises ValueError with a sentence.
    return _words(text)


def _secret(text: str) -> str:
    if len(text) < _LEAST_SECRET:
        raise ValueError(f"it must have {_LEAST_SECRET} characters or more")
    return text


def _host(text: str) -> str:
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError(f"it must be one of {', '.join(_LEVELS)}")
    return text.upper()


def _log_format(text: str) -> str:
    if text.lower() not in {"text", JSON_LINES}:
        raise ValueError(f"it must be text or {JSON_LINES}")
    return text.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one process. Durations are in seconds, sizes in bytes."""

    redis_url: str = _setting("REDIS_URL", "redis://localhost:6379/0", str)
    redis_verify: bool = _setting("PSTHREADS_REDIS_VERIFY", True, _truth)
    replicas: int = _setting("PSTHREADS_REPLICAS", 0, int, 0)
    port: int = _setting("PORT", 8000, int, 0)
    host: str = _setting("HOST", "127.0.0.1", _host)
    workers: int = _setting("WORKERS", 2, int, 1)
    origins: tuple[str, ...] = _setting("PSTHREADS_ORIGINS", (), _origins)
    cors_origins: tuple[str, ...] = _setting("PSTHREADS_CORS_ORIGINS", (), _origins)
    secret_key: str = _setting("SECRET_KEY", "", str, for_web=True)
    documents: Path = _setting("PSTHREADS_DOCUMENTS", Path("var/documents"), Path)  # noqa: RUF009 (a path is a frozen value)
    endpoint: str = _setting("AWS_ENDPOINT_URL", "", str)
    scratch: Path = _setting("PSTHREADS_SCRATCH", Path("var/scratch"), Path)  # noqa: RUF009 (as above)
    scratch_bytes: int = _setting("PSTHREADS_SCRATCH_BYTES", 0, int, 0)
    download_links: int = _setting("PSTHREADS_DOWNLOAD_LINKS", 0, _link_seconds)
    queue: str = _setting("PSTHREADS_QUEUE", "psthreads", str)
    processes: tuple[str, ...] = _setting("PSTHREADS_PROCESSES", ("psthreads.processes",), _words)
    xml_endings: tuple[str, ...] = _setting("PSTHREADS_XML_ENDINGS", (), _endings)
    prefixes: tuple[str, ...] = _setting("PSTHREADS_PREFIXES", ("/ps/service", "/ps/api"), _prefixes)
    pageseeder: bool = _setting("PSTHREADS_PAGESEEDER", False, _truth, former="PSTHREADS_OWN_PROGRESS")
    strict: bool = _setting("PSTHREADS_STRICT", False, _truth)
    retention: float = _setting("PSTHREADS_RETENTION", 30 * DAY, _number, 1)
    audit_retention: float = _setting("PSTHREADS_AUDIT_RETENTION", 365 * DAY, _number, 1)
    idempotency: float = _setting("PSTHREADS_IDEMPOTENCY", DAY, _number, 1)
    time_limit: float = _setting("PSTHREADS_TIME_LIMIT", 6 * 3600, _number, 1)
    memory: int = _setting("PSTHREADS_MEMORY", 2 * 1024**3, int, 0)
    isolated: bool = _setting("PSTHREADS_ISOLATED", False, _truth)
    threads_per_horse: int = _setting("PSTHREADS_THREADS_PER_HORSE", 1_000, int, 1)
    horse_growth: int = _setting("PSTHREADS_HORSE_GROWTH", 64 * 1024**2, int, 0)
    check_limit: float = _setting("PSTHREADS_CHECK_LIMIT", 30, _number, 0.1)
    grace: float = _setting("PSTHREADS_GRACE", 10, _number, 0)
    heartbeat: float = _setting("PSTHREADS_HEARTBEAT", 2, _number, 0.05)
    lost_after: float = _setting("PSTHREADS_LOST_AFTER", 15, _number, 0.1)
    outage: float = _setting("PSTHREADS_OUTAGE", 30, _number, 0)
    shutdown: float = _setting("PSTHREADS_SHUTDOWN", 20, _number, 0)
    restarts: int = _setting("PSTHREADS_RESTARTS", 3, int, 0)
    report_interval: float = _setting("PSTHREADS_REPORT_INTERVAL", 0.5, _number, 0.01)
    log_events: int = _setting("PSTHREADS_LOG_EVENTS", 100_000, int, 100)
    log_bytes: int = _setting("PSTHREADS_LOG_BYTES", 32 * 1024 * 1024, int, 100_000)
    log_level: str = _setting("PSTHREADS_LOG_LEVEL", "INFO", _level)
    log_format: str = _setting("PSTHREADS_LOG_FORMAT", "text", _log_format)
    access_log: bool = _setting("PSTHREADS_ACCESS_LOG", False, _truth)
    capture_output: bool = _setting("PSTHREADS_CAPTURE_OUTPUT", True, _truth)
    mask: tuple[str, ...] = _setting("PSTHREADS_MASK", (), _patterns)
    group_threads: int = _setting("PSTHREADS_GROUP_THREADS", 0, int, 0)
    group_changes: int = _setting("PSTHREADS_GROUP_CHANGES", 1, int, 1)
    streams: int = _setting("PSTHREADS_STREAMS", 1_500, int, 1)
    streams_per_member: int = _setting("PSTHREADS_STREAMS_PER_MEMBER", 100, int, 1)
    oauth_expires: int = _setting("PSTHREADS_OAUTH_EXPIRES", 3600, int, 1)
    oidc_issuer: str = _setting("PSTHREADS_OIDC_ISSUER", "", _issuer)
    oidc_client_id: str = _setting("PSTHREADS_OIDC_CLIENT_ID", "", str)
    oidc_client_secret: str = _setting("PSTHREADS_OIDC_CLIENT_SECRET", "", str, for_web=True)
    oidc_username_claim: str = _setting("PSTHREADS_OIDC_USERNAME_CLAIM", "preferred_username", str)
    oidc_admin_claim: str = _setting("PSTHREADS_OIDC_ADMIN_CLAIM", "", str)
    admins_by_provider: bool = _setting("PSTHREADS_ADMINS_BY_PROVIDER", False, _truth)
    session_idle: float = _setting("PSTHREADS_SESSION_IDLE", 8 * 3600, _number, 1)
    session_life: float = _setting("PSTHREADS_SESSION_LIFE", 7 * DAY, _number, 1)
    session_proof: float = _setting("PSTHREADS_SESSION_PROOF", 600, _number, 1)
    failures_per_account: str = _setting("PSTHREADS_FAILURES_PER_ACCOUNT", "10/5 minutes", _rate)
    failures_per_address: str = _setting("PSTHREADS_FAILURES_PER_ADDRESS", "100/5 minutes", _rate)
    lock_after: int = _setting("PSTHREADS_LOCK_AFTER", 100, int, 0)
    starts_per_member: str = _setting("PSTHREADS_STARTS_PER_MEMBER", "1000/hour", _starts)
    starts_per_group: str = _setting("PSTHREADS_STARTS_PER_GROUP", NO_RATE, _starts)
    group_log_bytes: int = _setting("PSTHREADS_GROUP_LOG_BYTES", 1024**3, int, 0)
    group_result_bytes: int = _setting("PSTHREADS_GROUP_RESULT_BYTES", 20 * 1024**3, int, 0)
    group_loading_bytes: int = _setting("PSTHREADS_GROUP_LOADING_BYTES", 20 * 1024**3, int, 0)
    group_files: int = _setting("PSTHREADS_GROUP_FILES", 2_000_000, int, 0)
    max_body: int = _setting("PSTHREADS_MAX_BODY", 1024 * 1024, int, 1024)
    max_upload: int = _setting("PSTHREADS_MAX_UPLOAD", 1024 * 1024 * 1024, int, 1024)
    client_timeout: float = _setting("PSTHREADS_CLIENT_TIMEOUT", 20, _number, 0.1)
    connections_per_address: int = _setting("PSTHREADS_CONNECTIONS_PER_ADDRESS", 1_000, int, 0)

    otlp_endpoint: str = _setting("OTEL_EXPORTER_OTLP_ENDPOINT", "", str)
    otlp_traces_endpoint: str = _setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", str)
    metrics_token: str = _setting("PSTHREADS_METRICS_TOKEN", "", _secret, for_web=True)
    metrics_addresses: tuple[str, ...] = _setting("PSTHREADS_METRICS_ADDRESSES", (), _networks)
    metrics_groups: int = _setting("PSTHREADS_METRICS_GROUPS", 100, int, 0)

    production: bool = _setting("PSTHREADS_PRODUCTION", False, _truth)
    proxies: int = _setting("PSTHREADS_PROXIES", 0, int, 0)
    certificate: str = _setting("PSTHREADS_CERTIFICATE", "", str, for_web=True)
    private_key: str = _setting("PSTHREADS_PRIVATE_KEY", "", str, for_web=True)
    debug: bool = _setting("FLASK_DEBUG", False, _truth)

    explicit: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The names of the settings that the environment gives; the others have their defaults."""

    def __post_init__(self) -> None:
        # The code of a process or of a check may change the working directory.
        self._find_folders()
        url = redis_url.with_absolute_files(self.redis_url)
        object.__setattr__(self, "redis_url", url if self.redis_verify else redis_url.unverified(url))
        for name in ("certificate", "private_key"):
            if path := getattr(self, name):
                object.__setattr__(self, name, str(absolute(Path(path))))
        redis_url.check(self.redis_url)
        for setting in SETTINGS:
            least = setting.metadata["least"]
            if least is not None and getattr(self, setting.name) < least:
                raise ConfigError(f"{setting.metadata['env']} must be at least {least:g}.")
        if bool(self.certificate) != bool(self.private_key):
            raise ConfigError("PSTHREADS_CERTIFICATE and PSTHREADS_PRIVATE_KEY must be given together.")
        if self.lost_after < 3 * self.heartbeat:
            raise ConfigError("PSTHREADS_LOST_AFTER must be at least three times PSTHREADS_HEARTBEAT.")
        if self.oidc_issuer and not self.oidc_client_id:
            raise ConfigError("PSTHREADS_OIDC_ISSUER needs PSTHREADS_OIDC_CLIENT_ID: set it to the id there.")
        if self.admins_by_provider and not self.oidc_issuer:
            raise ConfigError("PSTHREADS_ADMINS_BY_PROVIDER needs PSTHREADS_OIDC_ISSUER: nobody could sign in.")

    def _find_folders(self) -> None:
        """Have whole paths of folders. Raises ConfigError."""
        object.__setattr__(self, "scratch", absolute(self.scratch))
        if not self.store_url:
            object.__setattr__(self, "documents", absolute(self.documents))
        elif not _BUCKET.match(self.store_url):
            raise ConfigError(
                f"PSTHREADS_DOCUMENTS is '{self.store_url}', but must be s3://bucket or s3://bucket/prefix."
            )

    @property
    def store_url(self) -> str:
        """The address of the object store that the documents are in, s3://bucket/prefix; empty for a folder."""
        scheme, *names = self.documents.parts or ("",)  # A path has no two slashes in a row.
        return f"s3://{'/'.join(names)}" if scheme == "s3:" else ""

    @property
    def is_placed(self) -> bool:
        """True where the environment names the web process's port and not its address, as platforms do.

        Their router reaches it from another machine.
        """
        return "port" in self.explicit and "host" not in self.explicit

    @property
    def address(self) -> str:
        """The host and the port, as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from the environment; those that are not set have their defaults.

        Raises ConfigError, which names the variable that is wrong and says what it must be.
        """
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            names = filter(None, (setting.metadata["env"], setting.metadata["former"]))
            name, text = next(((it, text) for it in names if (text := environ.get(it, "").strip())), ("", ""))
            if text:
                try:
                    values[setting.name] = setting.metadata["read"](text)
                except ValueError as error:
                    # int and float say "invalid literal" and "could not convert".
                    is_number = "convert" in str(error) or "literal" in str(error)
                    reason = f"it must be a number: {error}" if is_number else error
                    raise ConfigError(f"{name} is '{text}', but {reason}.") from None
        return cls(**values, explicit=frozenset(values))

    def to_env(self) -> dict[str, str]:
        """Return the settings as an environment from which `from_env` reads the same settings."""
        own = {"PSTHREADS_DOCUMENTS": self.store_url} if self.store_url else {}
        return own | {
            # Blanks separate words everywhere, and a regular expression may hold a comma.
            setting.metadata["env"]: " ".join(value) if isinstance(value, tuple) else str(value)
            for setting in SETTINGS
            if (value := getattr(self, setting.name)) not in {"", ()} and setting.metadata["env"] not in own
        }


SETTINGS: Final[tuple[Field[Any], ...]] = tuple(each for each in fields(Config) if "env" in each.metadata)
"""The fields of Config that are settings.

Their `metadata` has the variable, `env`, its `former` name if it has one, and the least value, `least`.
"""

FOR_WEB: Final = frozenset(each.metadata["env"] for each in SETTINGS if each.metadata["for_web"])
"""The variables that only web processes may see: workers run the code of plug-ins."""
