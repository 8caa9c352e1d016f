"""Looks for one order of the calls about a thread that explains every answer: Wing and Gong's search.

An order may place a call anywhere between its beginning and its end, and a call without an answer at any time after its
beginning, or nowhere. The search goes from answer to answer, and keeps all lives that are possible then, each once
(Lowe, "Testing for linearizability", 2017). So it takes little more time than there are calls, as long as few overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from chaos.history.calls import NEVER, Call
from chaos.history.life import Life, after

_Possible = tuple[Life, frozenset[int]]
"""A life, and which of the calls that are on the way are in it already."""


class Misfit(NamedTuple):
    """The first answer, by its time, that no order explains, and what was known then in one of them."""

    thread_id: str
    call: Call
    life: Life

    def __str__(self) -> str:
        return f"{self.call}, and {self.life}"


def misfits(calls: Mapping[str, Iterable[Call]]) -> Iterator[Misfit]:
    """Return a misfit for each thread whose calls fit no order."""
    for thread_id, of_thread in calls.items():
        if misfit := _misfit(thread_id, list(of_thread)):
            yield misfit


def _misfit(thread_id: str, calls: list[Call]) -> Misfit | None:
    begins = [(call.begun, 0, number) for number, call in enumerate(calls)]
    ends = [(call.ended, 1, number) for number, call in enumerate(calls) if call.ended != NEVER]
    under_way: set[int] = set()
    possible: set[_Possible] = {(Life(), frozenset())}
    for _, is_end, number in sorted(begins + ends):
        if not is_end:
            under_way.add(number)
            continue
        following = set(_until(number, calls, under_way, possible))
        if not following:
            return Misfit(thread_id, calls[number], next(iter(possible))[0])
        under_way.remove(number)
        possible = following
    return None


def _until(number: int, calls: list[Call], under_way: set[int], possible: set[_Possible]) -> Iterator[_Possible]:
    """Return what is possible once this call is in the order, after any others that are under way."""
    todo, seen = list(possible), set(possible)
    while todo:
        life, done = todo.pop()
        if number in done:
            yield life, done - {number}
            continue
        for other in under_way - done:
            following = after(life, calls[other])
            if following is None:
                continue
            # A call without an answer has an effect once; after that it changes nothing.
            reached = (following, done if calls[other].ended == NEVER else done | {other})
            if reached not in seen:
                seen.add(reached)
                todo.append(reached)
