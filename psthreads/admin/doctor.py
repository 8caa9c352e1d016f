"""Examines what is unsafe or unwell about a server, before it starts and for `psthreads doctor`.

In production, a serious problem keeps the programs from starting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from psthreads.admin import redis_checks, settings_checks
from psthreads.admin.problems import Problem, Severity, serious
from psthreads.database.connection import connect, ride_out_failover
from psthreads.domain.config import Config
from psthreads.domain.errors import ConfigError, StoreRefuses, Unavailable

_SETTINGS: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (
    settings_checks.redis_url,
    settings_checks.documents,
    settings_checks.user,
    settings_checks.confinement,
)
_OF_WEB: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (
    settings_checks.secret_key,
    settings_checks.address,
    settings_checks.debug,
)
_OF_REDIS: Final[tuple[Callable[[Redis], Iterator[Problem]], ...]] = (
    redis_checks.durability,
    redis_checks.free_memory,
    redis_checks.clock,
    redis_checks.rights,
)


def examine(config: Config) -> list[Problem]:
    """Return all problems, the serious ones first. A Redis that does not answer is a problem, too, and no error."""
    reading = replace(config, replicas=0)  # What is only looked at need not wait for replicas.
    problems = [problem for check in (*_OF_WEB, *_SETTINGS) for problem in check(config)]
    with connect(config.redis_url, connections=2) as redis:
        try:
            ride_out_failover(redis)
            for check in (redis_checks.server, redis_checks.administrator, *_OF_REDIS):
                problems += check(redis)
            problems += (
                *redis_checks.installation(redis, reading),
                *redis_checks.followers(redis, config),
                *redis_checks.settings(redis, config),
                *redis_checks.life(redis, config),
                *redis_checks.proxies(redis, config),
                *redis_checks.quotas(redis, config),
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
                problems += redis_checks.administrator(redis)
        except (StoreRefuses, RedisError) as error:
            problems.append(_unreachable(error))
        except Unavailable:
            pass  # Redis may start later than this program, which waits for it.
    if sentences := [str(problem) for problem in problems if problem.severity is Severity.SERIOUS]:
        listed = "\n".join(f"- {sentence}" for sentence in sentences)
        raise ConfigError(f"This server would not be safe, and PSTHREADS_PRODUCTION is set:\n{listed}")


def _unreachable(error: Exception) -> Problem:
    cause = error.__cause__ or error if isinstance(error, Unavailable) else error
    return serious(f"Redis does not answer as it should: {cause}", "Check REDIS_URL, and that Redis runs.")


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
