"""Rule 2 of the design, searched for a counter-example: random orders of everything that may happen."""

from __future__ import annotations

import math
import threading
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.domain.config import Config
from psthreads.domain.errors import Conflict, ThreadNotFound
from psthreads.domain.model import Level, Line, Outcome, Ownership, Report, Status
from psthreads.threads.leases import LeaseEntry
from psthreads.threads.store import ThreadStore
from tests.support.thread_rules import ThreadRules
from tests.support.threads import ACME, new_thread

_FINAL = [status for status in Status if status.is_final]
_RUNNING = [status for status in Status if status.is_running]


class Execution:
    """One worker's hold on one thread, which the worker may believe in for too long."""

    def __init__(self, thread_id: str, token: str) -> None:
        self.thread_id = thread_id
        self.token = token
        self.number = 0


class Threads(RuleBasedStateMachine):
    """Three clients do anything in any order; after every step the rules must hold."""

    url: str
    threads = Bundle("threads")
    executions = Bundle("executions")

    @initialize()
    def connect(self) -> None:
        self.redis = Redis.from_url(self.url)
        self.redis.flushall()
        config = Config(redis_url=self.url, log_events=100, restarts=2, group_threads=2)
        self.clients = [ThreadStore(Redis.from_url(self.url), config) for _ in range(3)]
        self.judge = ThreadRules(self.redis, self.clients[0])
        self.owner: dict[str, str] = {}
        self.count = 0

    @rule(
        target=threads,
        client=st.integers(0, 2),
        restartable=st.booleans(),
        in_group=st.booleans(),
        exclusive=st.booleans(),
    )
    def start(self, client: int, restartable: bool, in_group: bool, exclusive: bool) -> str:  # noqa: FBT001 (drawn by name)
        group = ACME if in_group else None
        new = new_thread(self.redis, restartable=restartable, exclusive=exclusive, group=group)
        thread_id = self.clients[client].create(new)
        assert thread_id == new.id
        assert self.clients[client].create(new) == new.id  # its answer was lost, it is sent again
        return thread_id

    @rule(target=executions, client=st.integers(0, 2), thread_id=threads)
    def claim(self, client: int, thread_id: str) -> object:
        self.count += 1
        token = f"token{self.count}"
        before, waits = self.clients[client].fetch(thread_id), self.judge.meta(thread_id).get("waits")
        claim = self.clients[client].claim(thread_id, token, "worker")
        if claim is None:
            return multiple()
        assert before.status is Status.INITIALISED
        assert not waits, "a thread ran before its group's turn"
        assert thread_id not in self.owner, "two executions own a thread"
        assert thread_id not in self.judge.cancelled, "a cancelled thread began to run"
        assert claim.thread == self.clients[client].fetch(thread_id)
        total = self.clients[client].log(thread_id).total
        again = self.clients[client].claim(thread_id, token, "worker")  # its answer was lost, it is sent again
        assert again is not None
        assert (again.thread, again.token, again.lease, again.data) == (claim.thread, token, claim.lease, claim.data)
        assert self.clients[client].log(thread_id).total == total
        self.owner[thread_id] = token
        return Execution(thread_id, token)

    @rule(target=executions, client=st.integers(0, 2), restartable=st.booleans(), in_group=st.booleans())
    def run(self, client: int, restartable: bool, in_group: bool) -> object:  # noqa: FBT001 (drawn by name)
        """What mostly happens, so that what happens to running threads is tried often, too."""
        thread_id = cast("str", self.start(client, restartable, in_group, exclusive=False))
        execution = self.claim(client, thread_id)
        if self.judge.meta(thread_id).get("waits"):
            return multiple()
        assert isinstance(execution, Execution)
        return execution

    @rule(client=st.integers(0, 2), execution=executions)
    def claim_late(self, client: int, execution: Execution) -> None:
        """The answer to its claim was lost, and much has happened before it asks again."""
        if self._is_gone(client, execution):
            return
        thread_id, store = execution.thread_id, self.clients[client]
        before = store.fetch(thread_id)
        if store.claim(thread_id, execution.token, "worker") is not None:
            assert thread_id not in self.judge.cancelled, "a cancelled thread began to run"
            if before.status is Status.INITIALISED:  # It was queued again meanwhile, and nobody else has taken it.
                assert self.owner.setdefault(thread_id, execution.token) == execution.token
            assert self.owner.get(thread_id) == execution.token, "two executions own a thread"
            assert before.status is Status.INITIALISED or store.fetch(thread_id) == before
        elif self.owner.get(thread_id) == execution.token and not before.status.is_final:
            assert store.fetch(thread_id).status is Status.CANCELLED

    @rule(client=st.integers(0, 2), execution=executions)
    def give_back(self, client: int, execution: Execution) -> None:
        """The worker could start no horse: whatever thread it is, another worker can run it."""
        if self._is_gone(client, execution):
            return
        thread_id, store = execution.thread_id, self.clients[client]
        before = store.fetch(thread_id)
        verdict = store.abandon(thread_id, "No process can be started", execution.token, not_begun=True)
        if verdict:
            assert self.owner.pop(thread_id) == execution.token
            after = store.fetch(thread_id)
            assert after.restarts == before.restarts
            assert after.status is (Status.CANCELLED if thread_id in self.judge.cancelled else Status.INITIALISED)
            assert verdict == ("cancelled" if thread_id in self.judge.cancelled else "requeued")
            assert verdict == "cancelled" or self.redis.lindex("rq:queue:psthreads", 0) == thread_id.encode()

    @rule(
        client=st.integers(0, 2),
        execution=executions,
        status=st.sampled_from([None, *_RUNNING]),
        lines=st.integers(0, 70),
        again=st.booleans(),
    )
    def report(self, client: int, execution: Execution, status: Status | None, lines: int, again: bool) -> None:  # noqa: FBT001 (drawn by name)
        if self._is_gone(client, execution):
            return
        execution.number += 1
        report = Report(
            execution.number,
            status=status,
            message=f"at {execution.number}",
            xml="<progress/>",
            warnings=int(status is Status.WARNING),
            errors=int(status is Status.ERROR),
            lines=tuple(Line(1_652_667_241_924, Level.INFO, f"line {n}") for n in range(lines)),
        )
        store = self.clients[client]
        before, total = store.fetch(execution.thread_id), store.log(execution.thread_id).total
        ownership = store.report(execution.thread_id, execution.token, report)
        if again:
            assert store.report(execution.thread_id, execution.token, report) is ownership
        after = store.fetch(execution.thread_id)
        if ownership is Ownership.DISOWNED:
            assert after == before
            lines = 0
        assert store.log(execution.thread_id).total == total + lines
        assert after.warnings - before.warnings <= 1
        if ownership is not Ownership.DISOWNED:
            assert self.owner.get(execution.thread_id) == execution.token, "a dead execution wrote"
        if ownership is Ownership.OWNED:
            assert not after.cancelling
            assert after.status is (status or before.status)

    @rule(client=st.integers(0, 2), execution=executions)
    def beat(self, client: int, execution: Execution) -> None:
        self.clients[client].beat(execution.thread_id, execution.token)

    @rule(
        client=st.integers(0, 2),
        execution=executions,
        status=st.sampled_from(_FINAL),
        lines=st.integers(0, 70),
        again=st.booleans(),
    )
    def finish(self, client: int, execution: Execution, status: Status, lines: int, again: bool) -> None:  # noqa: FBT001 (drawn by name)
        if self._is_gone(client, execution):
            return
        execution.number += 1
        report = Report(
            execution.number, lines=tuple(Line(1_652_667_241_924, Level.INFO, f"line {n}") for n in range(lines))
        )
        store, end = self.clients[client], Outcome(status, "the end")
        before, total = store.fetch(execution.thread_id), store.log(execution.thread_id).total
        verdict = store.finish(execution.thread_id, execution.token, end, report=report)
        written = store.log(execution.thread_id).total - total
        if again:
            assert store.finish(execution.thread_id, execution.token, end, report=report) is verdict
            assert store.log(execution.thread_id).total == total + written
        if verdict is None or before.status.is_final:
            assert written == 0
        else:
            assert written - lines in {1, 2}, "the end's own lines"
        after = self.clients[client].fetch(execution.thread_id)
        assert verdict in {None, after.status}
        if verdict is not None:
            assert after.status.is_final

    @rule(execution=consumes(executions))
    def kill(self, execution: Execution) -> None:
        """The worker is gone, and its lease runs out."""
        self.redis.zadd("ps:leases", {execution.thread_id: 0}, xx=True)

    @rule(execution=executions)
    def stall(self, execution: Execution) -> None:
        """The worker stands still for long enough to be declared lost, but may wake up again."""
        self.redis.zadd("ps:leases", {execution.thread_id: 0}, xx=True)

    @rule(client=st.integers(0, 2))
    def reap(self, client: int) -> None:
        store = self.clients[client]
        survey = store.survey()
        for lease in survey.leases:
            if lease.renewed == b"0" and store.declare_lost(lease, math.inf):
                self.owner.pop(lease.thread_id, None)
        for thread_id in (*survey.taken, *survey.stranded):
            store.recover(thread_id)
        assert not survey.blocked, "a group waits for nothing"

    @rule(client=st.integers(0, 2), execution=executions)
    def shut_down(self, client: int, execution: Execution) -> None:
        if self._is_gone(client, execution):
            return
        if self.clients[client].abandon(execution.thread_id, "Worker restarted", execution.token):
            assert self.owner.pop(execution.thread_id) == execution.token

    @rule(client=st.integers(0, 2), thread_id=threads)
    def judge_in_haste(self, client: int, thread_id: str) -> None:
        """A janitor acts on what it saw a while ago: a lease that was renewed since keeps the thread."""
        store = self.clients[client]
        before = store.fetch(thread_id)
        assert store.declare_lost(LeaseEntry(thread_id, b"17"), math.inf) == ""
        assert store.fetch(thread_id) == before

    @rule(client=st.integers(0, 2))
    def look_for_a_moment(self, client: int) -> None:
        """A janitor that has just begun to look knows of no lease that it has run out."""
        store = self.clients[client]
        for lease in store.survey().leases:
            assert store.declare_lost(lease, 0.0) == ""

    @rule(client=st.integers(0, 2), thread_id=threads, force=st.booleans())
    def cancel(self, client: int, thread_id: str, force: bool) -> None:  # noqa: FBT001 (drawn by name)
        store = self.clients[client]
        before = store.fetch(thread_id)
        after, _ = store.cancel(thread_id, Origin("somebody"), force=force)
        if before.status.is_final:
            assert after == before
        else:
            self.judge.cancelled.add(thread_id)
            assert after.cancelling or after.status is Status.CANCELLED
            assert after.cancelled_by == "somebody"

    @rule(target=threads, client=st.integers(0, 2), thread_id=consumes(threads))
    def delete(self, client: int, thread_id: str) -> object:
        store = self.clients[client]
        if not store.fetch(thread_id).status.is_final:
            before = store.fetch(thread_id)
            with pytest.raises(Conflict):
                store.delete(thread_id, Origin("somebody"))
            assert store.fetch(thread_id) == before
            return thread_id
        store.delete(thread_id, Origin("somebody"))
        self.judge.deleted.add(thread_id)
        assert not store.claim(thread_id, "late", "worker")
        assert not store.recover(thread_id)
        assert store.declare_lost(LeaseEntry(thread_id, b"0"), math.inf) == ""
        for act in (store.delete, store.cancel):
            with pytest.raises(ThreadNotFound):
                act(thread_id, Origin("somebody"))
        return multiple()

    def _is_gone(self, client: int, execution: Execution) -> bool:
        """Whether the thread was deleted; if so, nothing of it can be written any more."""
        thread_id, token, store = execution.thread_id, execution.token, self.clients[client]
        if thread_id not in self.judge.deleted:
            return False
        assert not store.claim(thread_id, token, "worker")
        assert store.report(thread_id, token, Report(1000)) is Ownership.DISOWNED
        assert store.beat(thread_id, token).ownership is Ownership.DISOWNED
        assert store.finish(thread_id, token, Outcome(Status.COMPLETED, "late")) is None
        assert store.abandon(thread_id, "Worker lost", token) == ""
        return True

    @rule()
    def lose_the_queue(self) -> None:
        """Somebody empties RQ's queue, or a job is taken and its worker dies at once."""
        taken = self.redis.lmove("rq:queue:psthreads", "rq:queue:psthreads:intermediate")
        if taken is None:
            self.redis.delete("rq:queue:psthreads")

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "judge"):
            self.judge.hold()

    def teardown(self) -> None:
        if not hasattr(self, "judge"):
            return
        # Whatever happened: with workers and a janitor, every thread ends.
        store = self.clients[0]
        for attempt in range(5 + len(self.judge.ids())):  # one at least has its turn each time
            self.redis.zunionstore("ps:leases", {"ps:leases": 0})  # every lease has run out
            self.reap(0)
            for thread_id in self.judge.ids():
                token = f"last{attempt}"
                if store.claim(thread_id, token, "worker"):
                    store.finish(thread_id, token, Outcome(Status.COMPLETED, "done"))
        for thread_id in self.judge.ids():
            assert store.fetch(thread_id).status.is_final
        self.holds()
        assert not self.redis.exists("ps:leases", "ps:queued", "ps:waiting", f"ps:slots:{ACME.id}")
        for client in self.clients:
            client._redis.close()
        self.redis.close()


@pytest.fixture
def machine(redis: Redis, config: Config) -> type[Threads]:
    Threads.url = config.redis_url
    return Threads


def test_no_order_of_events_breaks_the_rules(machine: type[Threads]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=settings().max_examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_only_one_of_many_finishes_and_cancels_at_once_decides(
    redis: Redis, store: ThreadStore, config: Config
) -> None:
    for _ in range(20):
        thread_id = store.create(new_thread(redis))
        assert store.claim(thread_id, "t", "w")
        clients = [ThreadStore(Redis.from_url(config.redis_url), config) for _ in range(6)]
        ready = threading.Barrier(6)
        verdicts: list[Status | None] = []

        def race(number: int, client: ThreadStore) -> None:
            ready.wait()  # noqa: B023 (joined within the loop)
            if number % 2:
                client.cancel(thread_id, Origin(f"member{number}"), force=True)  # noqa: B023 (joined within the loop)
            else:
                status = Status.COMPLETED if number else Status.FAILED
                verdicts.append(client.finish(thread_id, "t", Outcome(status, f"by {number}")))  # noqa: B023 (as above)

        racers = [threading.Thread(target=race, args=pair) for pair in enumerate(clients)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        final = store.fetch(thread_id).status
        assert final.is_final
        assert set(verdicts) == {final}
        for client in clients:
            client._redis.close()
