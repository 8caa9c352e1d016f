"""The origin of a request, for the audit: who makes it, from which address, and why."""

from __future__ import annotations

from typing import Final

from psthreads.audit.entries import Origin
from psthreads.authoring.parameter import Parameter
from psthreads.web.current import current_globals, current_request
from psthreads.web.http.parameters import value_of

REASON: Final = Parameter("reason", str, "", description="why, for the audit: 500 characters of it are kept")


def request_origin(*, with_reason: bool = True) -> Origin:
    """Return the caller, the client's address and, where `with_reason`, the request's parameter `reason`.

    Raises BadParameter for a reason that is too long.
    """
    member = current_globals().caller.member
    reason = str(value_of(REASON)) if with_reason else ""
    return Origin(member.username, member.id, client_address(), reason)


def client_address() -> str:
    """Return the client's address; empty where there is none, as on a Unix socket."""
    return current_request().remote_addr or ""
