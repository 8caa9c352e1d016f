"""What becomes of the waiting threads of a member who is removed, from a group or from the server."""

from __future__ import annotations

from flask import current_app, request

from psthreads.domain.access import Group, Member
from psthreads.domain.model import SERVER_WIDE
from psthreads.threads.engine import MOST, cancel_waiting, waiting_threads
from psthreads.web.auth import proof
from psthreads.web.http.audit_origin import request_origin
from psthreads.web.services import Services


def waiting(member: Member, group: Group | None = None) -> str:
    """Return a sentence on the member's waiting threads in the group, or in all; empty where there are none."""
    number = len(waiting_threads(_services().search, member.id, group.id if group else SERVER_WIDE))
    if not number:
        return ""
    many = f"{number:,} or more" if number == MOST else f"{number:,}"
    is_one = number == 1
    return f"{many} {'thread waits' if is_one else 'threads wait'} to run, and will be cancelled."


def remove(member: Member, group: Group | None = None) -> None:
    """Remove the member from the group, or from the server; cancel the waiting threads but where the form keeps them.

    Raises as `Administration.remove_member` and `remove_membership` do.
    """
    services, by = _services(), request_origin()
    keep = request.form.get("keep") == "true"
    changes = proof.changes(services.directory)
    if group is None:
        changes.remove_member(member, keep_threads=keep)
    else:
        changes.remove_membership(member, group, keep_threads=keep)
    if not keep:
        cancel_waiting(services.engine, services.search, by, member.id, group.id if group else SERVER_WIDE)


def _services() -> Services:
    services: Services = current_app.extensions["psthreads"]
    return services
