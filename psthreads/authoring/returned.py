"""The value that a process's function returned: kept as JSON, or refused with a sentence that says what to do.

The walk over a value runs none of its code, and ends at the first bound that the value breaks.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Final

from psthreads.domain.masking import MASK, Masker
from psthreads.domain.model import MAX_RESULT, clean

_DEEPEST: Final = 100
_INTEGER_BITS: Final = 64  # many readers of JSON hold no more
_NAME_LENGTH: Final = 40  # of a key, in a sentence
_ADVICE: Final = "return texts, numbers, lists and dicts"
_TOO_LARGE: Final = (
    f"it takes more than {MAX_RESULT:,} bytes as JSON. Write it to a file with context.result(), and return what is "
    "short"
)


def is_deferred(function: Callable[..., Any]) -> bool:
    """Return whether a call of the function does no work, but returns a coroutine or a generator."""
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(is_kind(function) for is_kind in kinds)


def undone(value: object) -> str:
    """Return the sentence for a value that stands for work which nothing has done; empty for any other value."""
    kind = type(value)
    if issubclass(kind, Awaitable):
        if inspect.iscoroutine(value):
            value.close()  # Python would warn that it was never awaited.
        return f"The function returned a {_name(kind)}, which nothing runs: run it in the function, by asyncio.run(…)"
    if issubclass(kind, (AsyncIterator, Generator, map, filter)):
        return f"The function returned a {_name(kind)}, which nothing runs: run it in the function, such as by list(…)"
    return ""


def plain(value: object, mask: Masker) -> Any:
    """Return the value as JSON can carry it, with its secrets masked. A key that is an integer becomes a text.

    Raises ValueError with the reason why it cannot be kept, the end of a sentence.
    """
    copy = _Copy(mask).of(value, ())
    if len(json.dumps(copy, ensure_ascii=False).encode()) > MAX_RESULT:
        raise ValueError(_TOO_LARGE)
    return copy


class _Copy:
    """Copies a value. Its budget bounds the walk, also through a list that stands in many places."""

    def __init__(self, mask: Masker) -> None:
        self._mask = mask
        self._budget = MAX_RESULT

    def of(self, value: Any, path: tuple[object, ...], *, is_secret: bool = False) -> Any:
        self._spend(1)
        if len(path) > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep, or contains itself")
        if value is None or value is True or value is False:
            return value
        # By its type: isinstance would ask a proxy for its __class__, which runs its code.
        kind = type(value)
        if issubclass(kind, str):
            self._spend(str.__len__(value))
            return MASK if is_secret and value else self._mask(clean(str.__str__(value), MAX_RESULT))
        if issubclass(kind, (int, float)):
            return MASK if is_secret else self._number(value, path)
        if issubclass(kind, dict):
            return self._object(value, path, is_secret=is_secret)
        if issubclass(kind, (list, tuple)):
            items: Iterator[object] = (list if issubclass(kind, list) else tuple).__iter__(value)
            return [self.of(item, (*path, index), is_secret=is_secret) for index, item in enumerate(items)]
        advice = "decode it, or write it to a file with context.result()" if issubclass(kind, bytes) else _ADVICE
        raise ValueError(f"{_place(path)} is a {_name(kind)}, for which JSON has no form: {advice}")

    def _number(self, number: Any, path: tuple[object, ...]) -> float:
        if issubclass(type(number), int):
            if int.bit_length(number) > _INTEGER_BITS:
                raise ValueError(f"{_place(path)} is an integer of more than {_INTEGER_BITS} bits: return it as a text")
            return int.__int__(number)
        if not math.isfinite(number):
            raise ValueError(f"{_place(path)} is {float.__float__(number)!r}, for which JSON has no form: return None")
        return float.__float__(number)

    def _object(self, value: Any, path: tuple[object, ...], *, is_secret: bool) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, item in dict.items(value):
            kind = type(key)
            if kind is bool or not issubclass(kind, (str, int)):
                raise ValueError(f"{_place(path)} has a {_name(kind)} for a key: JSON's keys are texts")
            text = str.__str__(key) if issubclass(kind, str) else str(self._number(key, path))
            self._spend(len(text))
            name = self._mask(clean(text, MAX_RESULT))
            copy[name] = self.of(item, (*path, name), is_secret=is_secret or self._names_secret(name))
        if len(copy) < dict.__len__(value):
            raise ValueError(f"{_place(path)} has two keys that are the same text in JSON")
        return copy

    def _names_secret(self, name: str) -> bool:
        assignment = f"{name}=x"
        return self._mask(assignment) != assignment

    def _spend(self, count: int) -> None:
        self._budget -= count
        if self._budget < 0:
            raise ValueError(_TOO_LARGE)


def _place(path: tuple[object, ...]) -> str:
    steps = [f"{step[:_NAME_LENGTH]!r}" if isinstance(step, str) else str(step) for step in path]
    return f"its [{']['.join(steps)}]" if steps else "it"


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
