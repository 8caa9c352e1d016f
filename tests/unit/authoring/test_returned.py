"""The value that a function returns: what is kept of it, and the sentence for what is not."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, namedtuple
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from psthreads.authoring import returned
from psthreads.authoring.context import Context
from psthreads.authoring.process import Start
from psthreads.authoring.registry import process
from psthreads.domain.masking import Masker
from psthreads.domain.model import MAX_RESULT, Outcome, Status
from psthreads.testing import run

ROUTE = "/members/{member}/groups/{group}/returned"


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    TWO = 2


Point = namedtuple("Point", "x y")  # noqa: PYI024 (the plain kind that authors use)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": [1, 2.5, True, None, "text"]}, {"a": [1, 2.5, True, None, "text"]}),
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (0, 0),
        (False, False),
        ("", ""),
        ([], []),
        ({2024: 5}, {"2024": 5}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=Colour.RED, b=Number.TWO), {"a": "red", "b": 2}),
        (2**63, 2**63),
        (-(2**63), -(2**63)),
        ("\ud800 \x00 \U0001f600", "\ufffd \ufffd \U0001f600"),
        ({"\ud800": 1}, {"\ufffd": 1}),
    ],
)
def test_a_json_value_is_kept(value: Any, kept: Any) -> None:
    plain = returned.plain(value, Masker())
    assert plain == kept
    assert json.dumps(plain, ensure_ascii=False).encode()
    assert type(plain) in {dict, list, str, int, float, bool}


def itself() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def wide(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"abc", "it is a bytes, for which JSON has no form: decode it"),
        (datetime.now(UTC), "it is a datetime.datetime, for which JSON has no form: return texts, numbers, lists"),
        ({"a": [{1, 2}]}, "its ['a'][0] is a set"),
        (object(), "it is a object"),
        ({"when": float("nan")}, "its ['when'] is nan, for which JSON has no form: return None"),
        ([float("-inf")], "its [0] is -inf"),
        (2**64, "it is an integer of more than 64 bits: return it as a text"),
        pytest.param(1 << 17_000, "it is an integer of more than 64 bits: return it as a text", id="huge"),
        pytest.param({1 << 17_000: 1}, "it is an integer of more than 64 bits", id="huge key"),
        ({(1, 2): 3}, "it has a tuple for a key: JSON's keys are texts"),
        ({True: 3}, "it has a bool for a key"),
        ({1: "a", "1": "b"}, "it has two keys that are the same text in JSON"),
        (itself(), "it is nested more than 100 deep, or contains itself"),
        (deep(101), "it is nested more than 100 deep, or contains itself"),
        (wide(90), "more than 65,536 bytes"),
        ("x" * MAX_RESULT, "it takes more than 65,536 bytes as JSON. Write it to a file with context.result()"),
        (["é" * (MAX_RESULT // 2)], "it takes more than 65,536 bytes as JSON"),
        (list(range(100_000)), "it takes more than 65,536 bytes as JSON"),
        ({"k" * 10_000: object()}, f"its ['{'k' * 40}'] is"),
    ],
)
def test_any_other_value_is_refused_with_its_place_and_a_reason(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^it") as refusal:
        returned.plain(value, Masker())
    assert reason in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_the_largest_value_is_kept() -> None:
    assert returned.plain("x" * (MAX_RESULT - 2), Masker()) == "x" * (MAX_RESULT - 2)
    assert returned.plain(deep(100), Masker())


def test_no_code_of_the_value_runs() -> None:
    class Proxy:
        @property  # type: ignore[misc] # just that
        def __class__(self) -> Any:
            raise RuntimeError("Not now")

        def __repr__(self) -> str:
            raise RuntimeError("Not now")

    assert returned.undone(Proxy()) == ""
    with pytest.raises(ValueError, match=r"its \['lazy'\] is a .*Proxy, for which JSON has no form"):
        returned.plain({"lazy": Proxy()}, Masker())


def test_secrets_are_masked_by_their_form_and_by_the_name_of_their_key() -> None:
    value = {
        "note": "token=swordfish",
        "password": "a b",
        "api_key": ["swordfish", {"id": 7}],
        "url": "redis://:swordfish@localhost",
        "count": 3,
        "swordfish-hunter2": 1,
        "secret": None,
    }
    kept = returned.plain(value, Masker(["hunter[0-9]"]))
    assert kept == {
        "note": "token=[masked]",
        "password": "[masked]",
        "api_key": ["[masked]", {"id": "[masked]"}],
        "url": "redis://:[masked]@localhost",
        "count": 3,
        "swordfish-[masked]": 1,
        "secret": None,
    }


async def later(context: Context) -> int:
    return 1


def steps(context: Context) -> Iterator[int]:
    yield 1


async def later_steps(context: Context) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [later, steps, later_steps])
def test_a_function_that_does_no_work_when_it_is_called_is_refused(function: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot be registered: its function must do the work when it is called"):
        process(name="later", title="Later", route=ROUTE)(function)


def test_a_check_that_decides_nothing_when_it_is_called_is_refused() -> None:
    @process(title="Checked", route=ROUTE)
    def checked(context: Context) -> None:
        pass

    async def check(start: Start) -> None:
        pass

    with pytest.raises(ValueError, match=r"A check of the process 'checked' must decide when it is called"):
        checked.check(check)  # type: ignore[arg-type]


class Promise:
    def __await__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("make", "kind", "remedy"),
    [
        (later, "coroutine", "asyncio.run"),
        (later_steps, "async_generator", "list("),
        (steps, "generator", "list("),
        (lambda context: map(context.message, ["a"]), "map", "list("),
        (lambda _: Promise(), "tests.unit.authoring.test_returned.Promise", "asyncio.run"),
    ],
)
def test_work_that_nothing_has_done_fails_with_what_to_do(make: Any, kind: str, remedy: str) -> None:
    @process(title="Undone", route=ROUTE)
    def undone(context: Context) -> Any:
        return make(context)

    done = run(undone)
    assert done.status is Status.FAILED
    assert done.message.startswith(f"The function returned a {kind}, which nothing runs: run it in the function")
    assert remedy in done.message


def test_a_value_does_not_change_the_message_and_a_text_is_the_message() -> None:
    @process(title="Counting", route=ROUTE)
    def counting(context: Context, form: str = "value") -> Any:
        context.message("Counted")
        return "Two" if form == "text" else {"words": 2}

    done = run(counting)
    assert (done.status, done.message, done.result) == (Status.COMPLETED, "Counted", {"words": 2})
    done = run(counting, {"form": "text"})
    assert (done.status, done.message, done.result) == (Status.COMPLETED, "Two", None)


def test_a_value_that_cannot_be_kept_is_a_warning() -> None:
    @process(title="Packing", route=ROUTE)
    def packing(context: Context) -> Any:
        return {"password": "swordfish", "file": b"zip"}

    done = run(packing)
    assert (done.status, done.message, done.warnings) == (Status.COMPLETED, "Completed with 1 warning", 1)
    assert done.result is None
    assert done.log[-1].startswith("What the function returned is not kept as the thread's result: its ['file'] is a")


def test_an_outcome_has_a_result_of_its_own() -> None:
    @process(title="Deciding", route=ROUTE)
    def deciding(context: Context) -> Outcome:
        return Outcome(Status.FAILED, "Half of it", result={"done": (1, 2), "token": "swordfish"})

    done = run(deciding)
    assert (done.status, done.message) == (Status.FAILED, "Half of it")
    assert done.result == {"done": [1, 2], "token": "[masked]"}
    with pytest.raises(TypeError, match="The message of an outcome is a text, and not a int"):
        Outcome(Status.COMPLETED, 5)  # type: ignore[arg-type]
