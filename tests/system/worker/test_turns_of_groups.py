"""Groups take turns at a real worker."""

from __future__ import annotations

from dataclasses import replace

from redis import Redis

from psthreads.authoring.plugins import load
from psthreads.domain.access import Group
from psthreads.domain.config import Config
from psthreads.domain.model import Status
from psthreads.threads.engine import Engine
from psthreads.threads.store import ThreadStore
from tests.support.threads import ended, start
from tests.system.stack import worker


def test_a_crowded_group_delays_another_groups_first_thread_by_no_more_than_what_runs(
    redis: Redis, config: Config
) -> None:
    config = replace(config, group_threads=1)
    store = ThreadStore(redis, config)
    engine = Engine(redis, config, store, load(config.processes))
    crowd = [start(engine, "count", to=1) for _ in range(300)]
    theirs = start(engine, "count", group=Group(8, "other"), to=1)
    with worker(config):
        found = ended(store, theirs)
        assert found.status is Status.COMPLETED
        sooner = [each for each in map(store.fetch, (thread.id for thread in crowd)) if 0 < each.ended < found.started]
        assert len(sooner) < 10, "it had to wait for a crowd"
        for thread in crowd[:20]:
            assert ended(store, thread).status is Status.COMPLETED
