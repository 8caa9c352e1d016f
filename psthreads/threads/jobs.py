"""RQ's jobs, queues and names of keys. The only module that knows them.

The RQ job of a thread carries data, and cannot be made to run anything by itself.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

from redis import Redis
from rq import Queue, Worker
from rq.command import send_command
from rq.defaults import RQ_KEY_PREFIX
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

from psthreads.domain.model import Status

CHECK: Final = "look"
"""The command that tells a worker to check the state of its thread now."""

WORKERS: Final = REDIS_WORKER_KEYS
"""The set of the keys of all workers' records."""

TROUBLE: Final = "trouble"
"""The field of a worker's record, beside RQ's own, that says why it takes no threads; empty where it does."""

WORKER_FIELDS: Final = ("state", "hostname", "pid", TROUBLE)
BUSY: Final = WorkerStatus.BUSY.value
IDLE: Final = WorkerStatus.IDLE.value

ACTIVE_ONLY: Final = (
    *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "origin", "description", "timeout"),
    *("worker_name", "group_id", "success_callback_name", "failure_callback_name", "stopped_callback_name"),
)
"""The fields of a job's hash that it loses when its thread ends. RQ's `Job.fetch` does without them."""

_LARGEST: Final = 16 * 1024 * 1024  # bytes; no request has parameters as long as that


def key_names(queue: str) -> dict[str, str]:
    """Return RQ's names of keys, and beginnings of names, by the names that the Lua scripts give them."""
    key = Queue.redis_queue_namespace_prefix + queue
    return {
        "JOB": Job.key_for(""),
        "QUEUE": key,
        "QUEUES": Queue.redis_queues_keys,
        "WORKERS": workers_key(queue),
        "TAKEN": f"{key}:intermediate",
        "STARTED": f"{RQ_KEY_PREFIX}:wip:{queue}",
    }


def rq_status(status: Status) -> str:
    """Return what RQ's tools show for a thread of this status."""
    final = {
        Status.COMPLETED: JobStatus.FINISHED,
        Status.FAILED: JobStatus.FAILED,
        Status.CANCELLED: JobStatus.CANCELED,
    }
    return final.get(status, JobStatus.STARTED if status.is_running else JobStatus.QUEUED).value


def key(thread_id: str) -> str:
    """Return the name of the hash that holds a thread's job."""
    return Job.key_for(thread_id)


def workers_key(queue: str) -> str:
    """Return the name of the set of the keys of a queue's workers."""
    return WORKERS_BY_QUEUE_KEY % queue


def worker_key(name: str) -> str:
    """Return the name of the hash that holds a worker's record."""
    return f"{Worker.redis_worker_namespace_prefix}{name}"


def executions_key(worker_key: str) -> str:
    """Return the name of the set of what a worker runs: `<thread id>:<execution id>`."""
    return f"{worker_key}:executions"


def beat_words(worker: str, thread_id: str, token: str) -> tuple[str, str, str, str]:
    """Return what lua/beat_all.lua takes of a worker."""
    record = worker_key(worker)
    return record, executions_key(record), thread_id, token


def time() -> str:
    """Return the present time, as RQ writes it."""
    return f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def tell(redis: Redis, worker: str, thread_id: str) -> None:
    """Tell a worker to check the state of this thread. A worker whose connection is down misses it."""
    send_command(redis, worker, CHECK, thread=thread_id)


@dataclass(frozen=True, slots=True)
class Call:
    """What a job is to run. `is_plain` is false where it names more than a process and its parameters."""

    process: str
    values: dict[str, Any]
    is_plain: bool


class ThreadJob(Job):
    """A job whose function is only a name in the registry, and whose meta only the store writes.

    RQ would import any path that it finds as a function or a callback, and would send webhooks to
    any address; a job that was tampered with in Redis must not get that far.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 (RQ's own name)
        connection: Redis | None = None,
        serializer: Any = None,
    ) -> None:
        super().__init__(id, connection, serializer or JSONSerializer)

    @property
    def func(self) -> NoReturn:
        """Raises RuntimeError: horse.py finds the process in the registry."""
        raise RuntimeError("A thread's process is looked up in the registry, not imported")

    @property
    def success_callback(self) -> None:
        """None: a thread has no callbacks."""

    @property
    def failure_callback(self) -> None:
        """None: a thread has no callbacks."""

    @property
    def stopped_callback(self) -> None:
        """None: a thread has no callbacks."""

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """Do nothing: a thread has no webhooks."""

    def save_meta(self) -> NoReturn:
        """Refuse: a whole blob written here would undo what the store's scripts have decided."""
        raise RuntimeError("Only the store writes a thread's meta")

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 (RQ's signature)
        """Return the job's hash without meta, which RQ would write back stale."""
        return super().to_dict(include_meta=False, include_result=include_result)


def fields(*, process: str, values: dict[str, Any], title: str, queue: str) -> dict[str, Any]:
    """Return the fields of a new job's hash, as RQ would write them, queued; without those that are empty."""
    call = zlib.compress(JSONSerializer.dumps((process, None, (), values)))  # type: ignore[no-untyped-call] # RQ's own
    moment = time()
    return {**_same_fields(queue), "created_at": moment, "data": call, "description": title, "enqueued_at": moment}


@lru_cache(maxsize=8)
def _same_fields(queue: str) -> Mapping[str, Any]:
    """Return the fields that are the same for all new jobs: RQ takes as long for a job as Redis does for its thread."""
    job = ThreadJob.create(
        "",
        connection=Redis(),  # which is not used
        origin=queue,
        timeout=-1,  # The worker keeps the time limit: RQ's own would end the code without a message.
        status=JobStatus.QUEUED,
    )
    return {name: value for name, value in job.to_dict().items() if value not in {"", b""}}


def read_call(data: bytes) -> Call | None:
    """Return what a job's field `data`, which RQ has compressed, is to run; None where it cannot be read.

    Whoever can write to Redis may have put anything there.
    """
    try:
        process, instance, arguments, values = json.loads(zlib.decompressobj().decompress(data, _LARGEST))
    except (zlib.error, ValueError, TypeError, RecursionError):
        return None
    is_plain = instance is None and not arguments and isinstance(values, dict)
    return Call(process if isinstance(process, str) else "", values if is_plain else {}, is_plain)


def values(data: bytes) -> dict[str, Any]:
    """Return the parameters in a job's field `data`; none where it cannot be read."""
    call = read_call(data)
    return call.values if call is not None else {}
