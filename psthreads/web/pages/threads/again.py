"""Starting a thread again: the same process and parameters, in the same group and for the same member."""

from __future__ import annotations

from flask import g

from psthreads.authoring.process import Answer, Process
from psthreads.domain import access
from psthreads.domain.errors import MemberNotFound
from psthreads.domain.model import Thread
from psthreads.web.api import starts
from psthreads.web.services import Services


def may_start(process: Process) -> bool:
    """Return whether the caller may start the process from this part of the dashboard."""
    return access.may_start(g.caller, process.role)


def start_again(services: Services, thread: Thread, key: str) -> Thread | Answer:
    """Start the thread's work again, once for each idempotency key. Raises as `starts.begin` and `process_of` do."""
    process = starts.process_of(services, thread.process, may_start=may_start)
    return starts.begin(
        services,
        process,
        process.read(process.texts(services.store.values(thread.id))),
        member=_member_of(services, thread),
        group=services.directory.find_group(str(thread.group_id)) if thread.group_name else None,
        key=key,
    )


def _member_of(services: Services, thread: Thread) -> access.Member:
    """Return the member to start for: the same one for an administrator, otherwise the caller."""
    caller: access.Member = g.caller.member
    if not caller.admin or caller.id == thread.member_id:
        return caller
    try:
        member = services.directory.find_member(str(thread.member_id))
    except MemberNotFound:
        return caller
    return member if access.may_act_as(g.caller, member) else caller
