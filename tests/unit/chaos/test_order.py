"""One order of events explains the calls about a thread, or the first answer is named that none explains."""

from __future__ import annotations

import itertools
import random

import pytest

from chaos.history.calls import NEVER, Answer, Call, Kind, answer_of
from chaos.history.life import Life, after
from chaos.history.order import misfits

START = Call(Kind.START, 0, 1)


def read(begun: float, ended: float, status: str, version: int | None = None, *, cancelled: bool = False) -> Call:
    is_cancelled = cancelled or status == "cancelled"
    kind = Kind.LIST if version is None else Kind.READ
    return Call(kind, begun, ended, Answer(status, is_cancelled, "", version))


def gone(begun: float, ended: float) -> Call:
    return Call(Kind.READ, begun, ended)


def cancel(begun: float, ended: float, status: str = "inprogress") -> Call:
    answer = None if ended == NEVER else Answer(status, status not in {"completed", "failed"}, "")
    return Call(Kind.CANCEL, begun, ended, answer)


def delete(begun: float, ended: float) -> Call:
    return Call(Kind.DELETE, begun, ended)


def verdict(*calls: Call) -> str:
    return next((str(misfit) for misfit in misfits({"a": calls})), "")


FITTING = {
    "one after the other": [read(1, 2, "initialised", 1), read(3, 4, "inprogress", 2), read(5, 6, "completed", 9)],
    "queued again": [read(1, 2, "inprogress", 2), read(3, 4, "initialised", 3), read(5, 6, "inprogress", 4)],
    "an older answer to an earlier call": [read(1, 9, "inprogress", 2), read(2, 3, "completed", 5)],
    "a start that nobody has heard of yet": [read(0.5, 0.6, "initialised")],
    "before the start": [gone(0.1, 0.2), gone(0.3, 0.4)],
    "a list that knows no version": [read(1, 2, "inprogress", 2), read(3, 4, "warning"), read(5, 6, "warning", 3)],
    "a cancel": [cancel(2, 3), read(4, 5, "inprogress", 4, cancelled=True), read(6, 7, "cancelled", 5)],
    "a cancel that came too late": [read(1, 2, "completed", 2), cancel(2, 3, "completed"), read(4, 5, "completed", 2)],
    "a cancel without an answer, carried out": [cancel(2, NEVER), read(50, 51, "cancelled", 5)],
    "a cancel without an answer, not carried out": [cancel(2, NEVER), read(50, 51, "completed", 5)],
    "a cancel without an answer, carried out late": [
        *(cancel(2, NEVER) for _ in range(30)),
        read(50, 51, "inprogress", 5),
        read(60, 61, "cancelled", 7),
    ],
    "a delete": [read(1, 2, "failed", 2), delete(3, 9), read(4, 5, "failed", 2), gone(5, 6), gone(10, 11)],
    "a delete without an answer": [read(1, 2, "failed", 2), delete(3, NEVER), read(10, 11, "failed", 2), gone(20, 21)],
}


@pytest.mark.parametrize("name", FITTING)
def test_what_a_thread_may_answer_fits(name: str) -> None:
    assert verdict(START, *FITTING[name]) == ""


MISFITS = {
    "an older status than somebody else has seen": [read(1, 2, "completed", 5), read(3, 4, "inprogress", 2)],
    "an older version of the same status": [read(1, 2, "inprogress", 5), read(3, 4, "inprogress", 4)],
    "two answers of one version": [read(1, 2, "inprogress", 5), read(3, 4, "warning", 5)],
    "another end": [read(1, 2, "completed", 5), read(3, 4, "failed", 6)],
    "another end in a list": [read(1, 2, "completed", 5), read(3, 4, "failed")],
    "older than a list": [read(1, 2, "inprogress", 5), read(3, 4, "completed"), read(5, 6, "inprogress", 5)],
    "older than two lists": [
        *(read(1, 2, "inprogress", 5), read(3, 4, "warning"), read(5, 6, "error")),
        read(7, 8, "error", 6),
    ],
    "gone": [read(1, 2, "completed", 5), gone(3, 4)],
    "not there once it was accepted": [gone(2, 3)],
    "back after a delete": [read(1, 2, "completed", 5), delete(3, 4), read(5, 6, "completed", 5)],
    "there before anybody started it": [read(-2, -1, "initialised", 1)],
    "cancelled by nobody": [read(1, 2, "cancelled", 5)],
    "cancelled before anybody asked": [read(1, 2, "cancelled", 5), cancel(3, 4, "cancelled")],
    "not cancelled after all": [cancel(2, 3), read(4, 5, "inprogress", 6)],
    "ended otherwise after a cancel": [cancel(2, 3), read(4, 5, "completed", 6)],
    "a cancel without effect": [Call(Kind.CANCEL, 2, 3, Answer("inprogress", is_cancelled=False, message=""))],
    "two that saw each other's past": [
        read(1, 5, "inprogress", 2),
        read(6, 9, "inprogress", 3),
        read(10, 11, "error", 2),
    ],
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_a_thread_may_not_answer_is_found(name: str) -> None:
    assert verdict(START, *MISFITS[name])


def test_a_misfit_says_what_was_answered_and_what_was_known() -> None:
    assert verdict(START, *MISFITS["an older status than somebody else has seen"]) == (
        "a read was answered: inprogress, version 2, and it had been completed, version 5"
    )


def test_an_answer_is_read_from_json_and_its_tag() -> None:
    thread = {"status": "inprogress", "message": "Step 3", "cancelling": True}
    assert answer_of(thread, 'W/"17w-json"') == Answer("inprogress", True, "", 17)
    assert answer_of({"status": "failed", "message": "no"}) == Answer("failed", False, "no", None)


def test_the_search_agrees_with_trying_every_order() -> None:
    draw = random.Random(16)  # noqa: S311 (the same calls every time)
    verdicts = []
    for _ in range(400):
        calls = [START]
        for _ in range(draw.randint(1, 5)):
            begun = draw.randint(0, 6)
            ended = begun + draw.randint(1, 5)
            status, version = draw.choice([("initialised", 1), ("inprogress", 2), ("completed", 3), ("cancelled", 3)])
            calls.append(
                draw.choice(
                    [
                        read(begun, ended, status, version),
                        read(begun, ended, status),
                        cancel(begun, draw.choice([ended, NEVER]), "cancelled"),
                        delete(begun, draw.choice([ended, NEVER])),
                        gone(begun, ended),
                    ]
                )
            )
        verdicts.append(fits(calls))
        assert (verdict(*calls) == "") is verdicts[-1], calls
    assert 40 < sum(verdicts) < 360


def fits(calls: list[Call]) -> bool:
    """Return whether some order of all answered calls and some of the others keeps their times and explains each."""
    lost = [call for call in calls if call.ended == NEVER]
    answered = [call for call in calls if call.ended != NEVER]
    for number in range(len(lost) + 1):
        for some in itertools.combinations(lost, number):
            for order in itertools.permutations([*answered, *some]):
                if any(later.ended < call.begun for place, call in enumerate(order) for later in order[place:]):
                    continue
                life: Life | None = Life()
                for call in order:
                    life = life and after(life, call)
                if life is not None:
                    return True
    return False
