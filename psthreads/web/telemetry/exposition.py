"""What monitors read: the figures as Prometheus's metrics, with labels whose number is bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from psthreads.database.connection import Memory
from psthreads.telemetry import logs
from psthreads.threads.crew import Crew
from psthreads.threads.figures import figures
from psthreads.threads.figures.figures import Figures
from psthreads.web.telemetry import request_counts
from psthreads.web.telemetry.request_counts import Request

Values = Mapping[tuple[str, ...], float]
"""The values of a metric by those of its labels."""

OTHER: Final = "other"
"""The label of all groups, and all processes, that have none of their own."""

_KILLED: Final = "killed:"


def build() -> Iterator[Metric]:
    """Yield which release this is."""
    yield _gauge("psthreads_build_info", "The release, as a label; always 1.", {(logs.release(),): 1}, ["version"])


def reach(*, is_up: bool) -> Iterator[Metric]:
    """Yield whether Redis answers, without which there are no other figures."""
    yield _gauge("psthreads_redis_up", "Whether Redis has answered.", {(): int(is_up)})


def of_threads(now: Figures) -> Iterator[Metric]:
    """Yield the metrics of threads."""
    active = [status for status in now.threads if status not in {"completed", "failed", "cancelled"}]
    yield _gauge(
        "psthreads_threads",
        "The threads that are stored, by status; those that have ended are kept for PSTHREADS_RETENTION.",
        {(status,): count for status, count in now.threads.items()},
        ["status"],
    )
    groups = Counter[tuple[str, ...]](
        {(name, status): sizes[status] for name, sizes in now.groups.items() for status in active}
    )
    for status in active:
        rest = now.threads[status] - sum(sizes[status] for sizes in now.groups.values())
        groups[OTHER, status] += rest
    yield _gauge("psthreads_group_threads", "The active threads of each group, by status.", groups, ["group", "status"])
    ended = Counter[tuple[str, ...]]()
    for end, count in now.ended.items():
        ended[_process(now, end.process), end.status] += count
    accepted = Counter[tuple[str, ...]]({(process,): count for process, count in now.active.items()})
    accepted[OTHER,] += sum(now.threads[status] for status in active) - sum(now.active.values())
    yield _gauge("psthreads_process_threads", "The active threads of each process.", dict(accepted), ["process"])
    for (process, _), count in ended.items():
        accepted[process,] += count
    yield _counter("psthreads_threads_accepted", "The threads that were accepted.", accepted, ["process"])
    yield _counter("psthreads_threads_ended", "The threads that have ended.", ended, ["process", "status"])
    waited, ran = Counter[tuple[tuple[str, ...], int]](), Counter[tuple[tuple[str, ...], int]]()
    for end, count in now.ended.items():
        if end.waited:
            waited[(_process(now, end.process),), end.waited - 1] += count
            ran[(_process(now, end.process),), end.ran - 1] += count
    about = "of threads that have ended, in seconds"
    limits = figures.LIMITS
    yield _histogram(
        "psthreads_thread_wait_seconds", f"From acceptance to begin, {about}.", waited, limits, ["process"]
    )
    yield _histogram("psthreads_thread_run_seconds", f"From begin to end, {about}.", ran, limits, ["process"])
    yield _gauge(
        "psthreads_oldest_waiting_seconds", "For how long the oldest waiting thread has waited.", {(): now.oldest}
    )
    yield _gauge(
        "psthreads_queue_threads", "The threads that wait for a worker alone, not for a slot.", {(): now.queued}
    )
    killed: Values = {
        (name.removeprefix(_KILLED),): count for name, count in now.workers.items() if name.startswith(_KILLED)
    }
    yield _counter("psthreads_horses_killed", "The processes of threads that were killed or died.", killed, ["reason"])
    yield _counter("psthreads_threads_requeued", "Executions that were given up.", {(): now.workers.get("requeued", 0)})
    yield _counter(
        "psthreads_lease_renewals_late",
        "Leases that were renewed later than after two heartbeats.",
        {(): now.workers.get("late", 0)},
    )


def of_workers(crew: Crew) -> Iterator[Metric]:
    """Yield the metrics of workers."""
    states = Counter[tuple[str, ...]]({(state,): 0 for state in ("idle", "busy", "troubled")})
    for worker in crew.workers:
        states["troubled" if worker.trouble else "busy" if worker.is_busy else "idle",] += 1
    yield _gauge("psthreads_workers", "The workers that are alive, by what they do.", states, ["state"])
    late = sum(worker.is_late for worker in crew.workers)
    yield _gauge("psthreads_workers_late", "Those whose heartbeat is late.", {(): late})
    yield _gauge("psthreads_workers_lost", "The workers that were lost within a day, up to ten.", {(): len(crew.lost)})


def of_redis(memory: Memory) -> Iterator[Metric]:
    """Yield the metrics of Redis."""
    yield _gauge("psthreads_redis_memory_bytes", "The memory that Redis uses.", {(): memory.used})
    yield _gauge("psthreads_redis_memory_limit_bytes", "Redis's maxmemory; 0 for none.", {(): memory.limit})


def of_requests(counts: Mapping[Request, int], streams: int) -> Iterator[Metric]:
    """Yield the metrics of all web processes."""
    requests, times = Counter[tuple[str, ...]](), Counter[tuple[tuple[str, ...], int]]()
    for (part, method, status, step), count in counts.items():
        requests[part, method, str(status)] += count
        times[(part,), step] += count
    yield _counter("psthreads_requests", "The requests that were answered.", requests, ["part", "method", "status"])
    yield _histogram(
        "psthreads_request_seconds",
        "From a request to the end of its answer, in seconds; streams as long as they were open.",
        times,
        request_counts.LIMITS,
        ["part"],
    )
    yield _gauge("psthreads_streams", "The event streams and long polls that are open.", {(): streams})


def _process(now: Figures, name: str) -> str:
    return name if name in now.active else OTHER


def _gauge(name: str, text: str, values: Values, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, values: Values, labels: Sequence[str] = ()) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str,
    text: str,
    counts: Mapping[tuple[tuple[str, ...], int], int],
    limits: Sequence[float],
    labels: Sequence[str],
) -> Metric:
    """Return a histogram from the counts of steps. It has no sum, which nobody counts."""
    family = Metric(name, text, "histogram")
    for key in sorted({key for key, _ in counts}):
        own, total = dict(zip(labels, key, strict=True)), 0
        for step, limit in enumerate((*map(str, limits), "+Inf")):
            total += counts.get((key, step), 0)
            family.add_sample(f"{name}_bucket", {**own, "le": limit}, total)
        family.add_sample(f"{name}_count", own, total)
    return family
