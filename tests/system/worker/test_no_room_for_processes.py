"""A machine that cannot start processes gives its threads to the others, says so, and recovers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from psthreads.admin import doctor
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads import crew
from psthreads.threads.engine import Engine
from psthreads.threads.janitor import Janitor
from psthreads.threads.store import ThreadStore
from tests.support.needs import needs
from tests.support.threads import ended, start
from tests.support.waiting import wait_for
from tests.system.stack import WORKER, Program, worker

# As where the limit on processes is reached: it counts Python threads, too.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static int is_full(const char *name) { return getenv(name) && access(getenv(name), F_OK) == 0; }
pid_t fork(void) {
  if (is_full("NO_PROCESS")) { errno = EAGAIN; return -1; }
  return ((pid_t (*)(void))dlsym(RTLD_NEXT, "fork"))();
}
int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *x) {
  if (is_full("NO_THREAD")) return EAGAIN;
  return ((int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create"))
    (t, a, f, x);
}
"""
CROWDED = {
    "NO_PROCESS": "cannot start processes: Resource temporarily unavailable",
    "NO_THREAD": "cannot start processes: no Python thread can be started",
}


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, group_threads=100)


@pytest.fixture
def crowded(config: Config, tmp_path: Path) -> Callable[[str], Program]:
    """A worker on a machine that is full while there is a file."""
    needs("gcc")
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    def make(kind: str) -> Program:
        environment = {"LD_PRELOAD": str(library), kind: str(tmp_path / "full")}
        return Program(config, [sys.executable, "-c", WORKER, str(os.getpid())], **environment)

    return make


@pytest.fixture(autouse=True)
def janitor(redis: Redis, config: Config, store: ThreadStore) -> Iterator[None]:
    """What gives back a thread that Redis handed to a horse which was killed while it waited for one."""
    janitor = Janitor(redis, config, store)
    janitor.start()
    yield
    janitor.stop()


def kill_horse(program: Program) -> None:
    (horse,) = wait_for(program.children)
    horse.kill()


@pytest.mark.parametrize("kind", CROWDED)
def test_a_thread_waits_where_no_process_can_be_started_and_everybody_is_told(
    kind: str,
    redis: Redis,
    engine: Engine,
    store: ThreadStore,
    config: Config,
    crowded: Callable[[str], Program],
    tmp_path: Path,
) -> None:
    full = tmp_path / "full"
    with crowded(kind) as program:
        ended(store, start(engine, "count"))  # It has all the Python threads that it needs itself.
        full.touch()
        if kind == "NO_PROCESS":
            kill_horse(program)
        threads = [start(engine, "count")]

        def troubles() -> list[str]:
            if store.fetch(threads[-1].id).status.is_final:  # The horse had looked for room just before.
                threads.append(start(engine, "count"))
            return [each.trouble for each in crew.look(redis, config).workers if each.trouble]

        (trouble,) = wait_for(troubles)
        thread = threads[-1]
        assert trouble == CROWDED[kind]
        assert any(trouble in problem.what for problem in doctor.examine(config))
        waiting = store.fetch(thread.id)
        assert (waiting.status, waiting.restarts) == (Status.INITIALISED, 0)
        full.unlink()
        assert ended(store, thread, 60).status is Status.COMPLETED  # It looks again after 30 s at the rarest.
        wait_for(lambda: not crew.look(redis, config).workers[0].trouble)
        assert not any("takes no threads" in problem.what for problem in doctor.examine(config))


def test_a_healthy_machine_runs_the_threads_of_one_that_is_full(
    redis: Redis, engine: Engine, store: ThreadStore, config: Config, crowded: Callable[[str], Program], tmp_path: Path
) -> None:
    with crowded("NO_PROCESS") as program, worker(config):
        wait_for(lambda: engine.workers() == 2)
        wait_for(program.children)
        (tmp_path / "full").touch()
        kill_horse(program)
        threads = [start(engine, "count", to=1) for _ in range(20)]
        assert {ended(store, thread, 15).status for thread in threads} == {Status.COMPLETED}
        assert not any(store.fetch(thread.id).restarts for thread in threads)
