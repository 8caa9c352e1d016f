"""What a thread's calls may be answered, one after the other: the object of which the history must be one.

A thread changes by itself, too. So a life says the least that is known of it, and an answer may be any that can
follow.
"""

from __future__ import annotations

from typing import NamedTuple

from chaos.history.calls import NEVER, Answer, Call, Kind
from psthreads.domain.model import Status


class Life(NamedTuple):
    """The state of a thread after some calls: that it was there, deleted or neither; that it is to be cancelled.

    `last` is the newest answer, if any; a later one has its version at least, or the same answer.
    """

    is_there: bool = False
    is_deleted: bool = False
    is_cancelled: bool = False
    last: Answer | None = None

    def __str__(self) -> str:
        if self.is_deleted:
            return "it had been deleted"
        if not self.is_there:
            return "it had not been started"
        end = ", and it was to be cancelled" if self.is_cancelled else ""
        return f"it had been {self.last or 'started'}{end}"


def after(life: Life, call: Call) -> Life | None:
    """Return what is known after this call; None where it cannot be answered so then.

    A call without an answer takes effect, where it can have one.
    """
    is_lost = call.ended == NEVER
    if call.kind is Kind.START:
        return life if life.is_there or life.is_deleted else life._replace(is_there=True)
    if call.kind is Kind.DELETE:
        return life._replace(is_there=False, is_deleted=True) if life.is_there else life if is_lost else None
    if call.kind is Kind.CANCEL:
        has_ended = life.last is not None and Status(life.last.status).is_final
        if is_lost:
            return life._replace(is_cancelled=True) if life.is_there and not has_ended else life
        if call.answer is not None and call.answer.is_cancelled:
            return _seen(life._replace(is_cancelled=True), call.answer)
        if call.answer is not None and not Status(call.answer.status).is_final:
            return None
    return _seen(life, call.answer)


def _seen(life: Life, answer: Answer | None) -> Life | None:
    if answer is None:
        return None if life.is_there else life
    # Once it is to be cancelled, every answer says so; and only then.
    if not life.is_there or answer.is_cancelled is not life.is_cancelled:
        return None
    if life.last is None:
        return life._replace(last=answer._replace(version=answer.version or 0))
    is_same, least = answer[:-1] == life.last[:-1], life.last.version or 0
    version = (least if is_same else least + 1) if answer.version is None else answer.version
    if version < least or (not is_same and (version == least or Status(life.last.status).is_final)):
        return None
    return life._replace(last=answer._replace(version=version))
