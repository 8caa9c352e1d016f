"""Starting a thread: what is checked before it, for requests and for Python programs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from psthreads.audit.entries import Origin
from psthreads.authoring.parameter import Value
from psthreads.authoring.process import Answer, Process, Start
from psthreads.domain.access import Group, Member
from psthreads.domain.errors import CheckTooSlow, PsthreadsError, Unavailable
from psthreads.domain.foreign import is_a, trace_of
from psthreads.domain.model import Thread, clean
from psthreads.identity.start_limits import StartLimit
from psthreads.telemetry import spans

if TYPE_CHECKING:
    from psthreads.service.service import Service

CheckResult = Answer | PsthreadsError | None
"""The result of a check of a process: None to go on, an answer in place of a thread, or an error that refuses."""

Check = Callable[[], CheckResult]

_log = logging.getLogger(__name__)


def begin(
    service: Service,
    process: Process,
    values: dict[str, Value],
    *,
    member: Member,
    by: Origin,
    group: Group | None,
    key: str = "",
    traceparent: str = "",
    limits: Sequence[StartLimit] = (),
    do: Callable[[Check], CheckResult] = lambda check: check(),
) -> Thread | Answer:
    """Start a thread for the member, and return it; or return the answer that a check of the process gives at once.

    A start that is no repeat of an earlier one counts for the `limits`. `do` runs each check, and may raise
    TimeoutError. Raises what the checks raise, CheckTooSlow, QuotaReached, TooManyRequests, and Unavailable where
    Redis, the documents and the workers do not belong together.
    """
    service.installation.require()
    if (refusal := service.installation.refusal) and not service.engine.workers():
        raise Unavailable(f"No worker runs. A worker says: {refusal}")
    who: dict[str, Any] = {"member": member, "by": by, "group": group, "key": key}
    # A repeat gets the answer of the first request, even if the checks would refuse it now.
    if key and (earlier := service.engine.replay(process, values, **who)) is not None:
        return earlier
    if group is not None:
        service.quotas.check_start(group)
    if process.checks:
        # They cost time, and may do the work at once: a start that they refuse counts, too.
        service.store.count_start(limits)
        limits = ()
        # To open what a check may look at takes as long as the rest of a request.
        start = Start(
            member=member,
            group=group,
            folder=service.documents.group(group) if group else None,
            scratch=service.documents.scratch,
            values=values,
            loading_zone=service.documents.loading_zone(group, member.id) if group else None,
        )
        for check in process.checks:
            answer = _check(service, process, partial(check, start), do)
            if answer is not None:
                return answer
    began = time.monotonic()
    own = spans.begin(traceparent)
    thread = service.engine.start(process, values, **who, traceparent=own, limits=limits)
    if thread.traceparent == own:  # Else it is the thread of an earlier request with the same key.
        spans.request_ended(traceparent, thread, time.monotonic() - began)
    return thread


def _check(
    service: Service,
    process: Process,
    check: Callable[[], Answer | None],
    do: Callable[[Check], CheckResult],
) -> Answer | None:
    """Return what a check of the process returns. It may read thousands of documents, or build a zip file.

    Raises what it raises to refuse the start, CheckTooSlow, and PsthreadsError for whatever else it raises.
    """
    try:
        answer = do(partial(_result_of, process, check))
    except TimeoutError:
        _log.warning("A check of the process '%s' took longer than %g s", process.name, service.config.check_limit)
        raise CheckTooSlow(service.config.check_limit) from None
    if is_a(answer, PsthreadsError):
        raise answer
    return answer if is_a(answer, Answer) else None


def _result_of(process: Process, check: Callable[[], Answer | None]) -> CheckResult:
    try:
        answer = check()
        if answer is not None and not is_a(answer, Answer):
            raise TypeError("A check returns an Answer or None")  # noqa: TRY301 (it is logged as what the check raised)
    except PsthreadsError as refusal:
        return refusal
    except BaseException as error:  # noqa: BLE001 (a SystemExit would end the web process)
        trace = clean(trace_of(error))
        _log.error("A check of the process '%s' failed:\n%s", process.name, trace)
        return PsthreadsError("A check of this process failed; it was written to the server's log.")
    return answer
