"""Who makes the request, and from where and why: what the audit keeps of it."""

from __future__ import annotations

from typing import Final

from flask import g, request

from psthreads.audit.entries import Origin
from psthreads.authoring.parameter import Parameter
from psthreads.web.http.parameters import given

REASON: Final = Parameter("reason", str, "", description="why, for the audit: 500 characters of it are kept")
"""What a request may give as its reason."""


def here(*, with_reason: bool = True) -> Origin:
    """The member who asks, the address that the request came from, and the reason that it gives, if it may give one.

    Raises BadParameter for a reason that is too long to be one.
    """
    member = g.caller.member
    reason = str(given(REASON)) if with_reason else ""
    return Origin(member.username, member.id, address(), reason)


def address() -> str:
    """The address that the request comes from; empty where there is none, as on a Unix socket."""
    return request.remote_addr or ""
