"""Threads in a second by two workers, beside the jobs of Celery, RQ, Dramatiq and Huey: work that does nothing at all.

Each has a new Redis server with an append-only file that is synced every second, on a socket; all its jobs are queued
by one program before its workers start; it has two worker processes, each of which does one job at a time, keeps every
result, and acknowledges late where it can. The clock runs from the hundredth job that is done until the last, or until
the window ends. The systems take turns in every round.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any

from redis import Redis

from bench.servers import ROOT, conditions, redis_server
from psthreads.audit.entries import SETUP
from psthreads.authoring.plugins import load
from psthreads.database.connection import connect
from psthreads.domain.access import Group, Member
from psthreads.domain.config import Config
from psthreads.local.programs import SUPERVISOR
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore

JOBS = int(os.environ.get("JOBS", "5000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
WORKERS = 2
GROUPS = 4  # one alone never takes all workers
FIRST = 100  # jobs until the clock runs: by then all workers work
WINDOW_SECONDS = 6.0
START_SECONDS = 60.0
POLL_SECONDS = 0.01
NEIGHBOURS = ROOT / ".venv" / "neighbours" / "bin"
PROCESSES = ("bench.threads.nothing",)


@dataclass(frozen=True)
class System:
    """Something that does jobs: how many are done, by what is in Redis, and the programs that queue and work."""

    name: str
    done: Callable[[Redis], int]
    queue: Callable[[Config], object]
    workers: Sequence[Sequence[str]]
    settings: Mapping[str, Any] = field(default_factory=dict)


def _queue_threads(config: Config) -> None:
    with connect(config.redis_url) as redis:
        registry = load(config.processes)
        engine = Engine(redis, config, ThreadStore(redis, config), registry)
        process = registry.find("nothing")
        assert process is not None
        for number in range(JOBS):
            group = 1 + number % GROUPS
            engine.start(process, {}, member=Member(1, "bench"), by=SETUP, group=Group(group, f"bench{group}"))


def _queue_jobs(module: str, config: Config) -> None:
    command = [str(NEIGHBOURS / "python"), "-m", f"bench.neighbours.{module}", str(JOBS)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "REDIS_URL": config.redis_url}, check=True)


def _number(name: str, *arguments: str) -> Callable[[Redis], int]:
    def count(redis: Redis) -> int:
        answer: Any = redis.execute_command(name, *arguments)  # type: ignore[no-untyped-call] # redis-py's own
        return int(answer)

    return count


def _neighbour(name: str, done: Callable[[Redis], int], *arguments: str, programs: int = 1) -> System:
    program = str(NEIGHBOURS / arguments[0])
    return System(name, done, partial(_queue_jobs, f"{name.lower()}_app"), [[program, *arguments[1:]]] * programs)


OURS = System("psthreads", _number("ZCARD", "ps:threads:server:completed"), _queue_threads, [SUPERVISOR])
ISOLATED = replace(OURS, name="isolated", settings={"isolated": True})  # a fork for each thread
THEIRS: Sequence[System] = (
    _neighbour(
        "Celery",
        _number("DBSIZE"),  # a key for each result
        *("celery", "-A", "bench.neighbours.celery_app", "worker", "--pool", "prefork", "--concurrency", str(WORKERS)),
        *("--without-gossip", "--without-mingle", "--loglevel", "ERROR"),
    ),
    _neighbour(
        "Dramatiq",
        _number("DBSIZE"),
        *("dramatiq", "bench.neighbours.dramatiq_app", "--processes", str(WORKERS), "--threads", "1"),
    ),
    _neighbour(
        "Huey",
        _number("HLEN", "huey.results.bench"),
        *("huey_consumer", "bench.neighbours.huey_app.huey", "--worker-type", "process", "--workers", str(WORKERS)),
        "--quiet",
    ),
    _neighbour(
        "RQ",
        _number("ZCARD", "rq:finished:bench"),
        *("rq", "worker", "bench", "--quiet"),
        programs=WORKERS,
    ),
)


def measure() -> dict[str, float]:
    """Measure the jobs in a second of each system, and ours by Celery's."""
    are_installed = (NEIGHBOURS / "celery").exists()
    systems = [OURS, *(THEIRS if are_installed else ()), ISOLATED]
    if not are_installed:
        print("  Celery, RQ, Dramatiq and Huey are not installed: `make bench-neighbours` installs them.")
    with redis_server() as config, connect(config.redis_url) as redis:
        print(f"  {conditions(redis)}")
    print(f"  {_versions() if are_installed else ''}")
    print(f"  {JOBS:,} jobs, {WORKERS} worker processes, {ROUNDS} rounds in turn, appendonly yes, appendfsync everysec")
    rates: dict[str, list[float]] = {system.name: [] for system in systems}
    for number in range(ROUNDS):
        for system in systems:
            rates[system.name].append(_rate(system))
        print(f"  round {number + 1}: " + ", ".join(f"{name} {each[-1]:,.0f}/s" for name, each in rates.items()))
    figures = {f"throughput_{name.lower()}_per_second": median(each) for name, each in rates.items()}
    if are_installed:
        ratios = [ours / theirs for ours, theirs in zip(rates["psthreads"], rates["Celery"], strict=True)]
        figures["throughput_by_celery"] = median(ratios)
    return figures


def _versions() -> str:
    names = [system.name.lower() for system in THEIRS]
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run([NEIGHBOURS / "python", "-c", code, *names], stdout=subprocess.PIPE, text=True, check=True)
    return ", ".join(f"{name} {version}" for name, version in zip(names, done.stdout.split(), strict=True))


def _rate(system: System) -> float:
    with redis_server("--appendfsync", "everysec") as base, connect(base.redis_url) as redis:
        config = replace(base, processes=PROCESSES, workers=WORKERS, **system.settings)
        system.queue(config)
        empty = system.done(redis)
        environment = {**os.environ, **config.to_env(), "PYTHONPATH": str(ROOT)}
        programs = [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for command in system.workers
        ]
        try:
            begin, first = _await(lambda: system.done(redis) - empty, FIRST, START_SECONDS)
            assert first >= FIRST, f"{system.name} does nothing"
            end, last = _await(lambda: system.done(redis) - empty, JOBS, WINDOW_SECONDS)
        finally:
            for program in programs:
                _end(program)
        return (last - first) / (end - begin)


def _await(count: Callable[[], int], enough: int, seconds: float) -> tuple[float, int]:
    """Return when so many were done, or the seconds over, and how many were."""
    deadline = time.monotonic() + seconds
    while (number := count()) < enough and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return time.monotonic(), number


def _end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    try:
        program.wait(15)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
