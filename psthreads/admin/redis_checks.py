"""Checks of Redis and of what it says of the programs. Each looks at one thing; none changes anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from psthreads.admin.problems import Problem, Severity, serious, warning
from psthreads.authoring.registry import Registry
from psthreads.database import shared_settings
from psthreads.database.connection import (
    FULL,
    NEARLY_FULL,
    check_server,
    durability_warning,
    memory,
    translate_errors,
)
from psthreads.database.replicas import connected
from psthreads.documents.installation import Installation
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError
from psthreads.domain.redis_url import sentinels
from psthreads.identity.directory import Directory
from psthreads.identity.quotas import Quotas
from psthreads.telemetry import forwarding
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore

_MOST_DRIFT: Final = 5.0  # seconds


def administrator(redis: Redis) -> Iterator[Problem]:
    """Check that there is an administrator."""
    if not any(member.admin for member in Directory(redis).members()):
        yield serious(
            "There is no administrator.", "Add one: psthreads admin member add NAME --admin, which asks for a password."
        )


def durability(redis: Redis) -> Iterator[Problem]:
    """Check that Redis does not lose acknowledged writes."""
    if sentences := durability_warning(redis):
        what, _, remedy = sentences.partition(". ")
        yield warning(f"{what}.", f"{remedy} ")


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
        yield serious(f"{what}.", f"{remedy[:1].upper()}{remedy[1:]}")


def followers(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that as many replicas follow Redis as have to confirm what is written."""
    count = connected(redis)
    if count < config.replicas:
        yield serious(
            f"{count} of the {config.replicas} replicas that PSTHREADS_REPLICAS asks for follow Redis: nothing can be "
            "started.",
            "Start the replicas, and look whether they reach the primary.",
        )
    elif sentinels(config.redis_url) and not config.replicas:
        yield warning(
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
        yield warning(
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
    yield warning(
        "Our user of Redis has all permissions there.",
        "Give Redis the users of deploy/psthreads.acl, and name them in REDIS_URL.",
    )


def settings(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that no process is set to another value of a shared setting than the one in force."""
    for difference in shared_settings.differences(redis, config):
        yield warning(str(difference), shared_settings.REMEDY)


def installation(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that Redis and the documents belong together, here and for every process."""
    together = Installation(redis, config, "doctor")
    if (mismatch := together.check(pair=False)) is not None:
        yield serious(mismatch.what, mismatch.remedy)
    for sentence in together.refusals():
        yield serious(sentence, "Until that is mended, it does nothing.")


def quotas(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that no group has nearly used up what it may store."""
    for group_id, use in Quotas(redis, config).near():
        yield warning(
            f"The group with the id {group_id} uses {use.used:,} of {use.most:,} "
            f"{'files' if use.what == 'files' else f'bytes of {use.what}'}.",
            f"Remove what it does not need, or raise {use.setting}.",
        )


def proxies(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that requests come through as many proxies as are declared."""
    for fault in forwarding.faults(redis, config.proxies):
        yield warning(fault.what, fault.remedy)


def life(redis: Redis, config: Config) -> Iterator[Problem]:
    """Check that a worker is alive, and a janitor for the threads of lost workers."""
    if not Engine(redis, config, ThreadStore(redis, config), Registry()).workers():
        yield serious("No worker is alive: threads wait.", "Start psthreads worker.")
    for worker in crew.look(redis, config).workers:
        if worker.trouble:
            yield warning(
                f"Worker {worker.name} on {worker.host} takes no threads: it {worker.trouble}.",
                "Raise the limit on processes there (of the container, the user or the service), or end others.",
            )
    if not Janitor.has_leader(redis):
        yield warning(
            "No janitor runs: threads of lost workers stay as they are.", "Start psthreads web or psthreads worker."
        )
