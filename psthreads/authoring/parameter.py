"""Parameters: read from a function's signature, and checked against the text of a request."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from psthreads.domain.errors import BadParameter
from psthreads.domain.model import clean

Value = str | int | float | bool
"""The type of a parameter's value: a JSON scalar."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_MAX_CHARACTERS: Final = 4096
_LATEST: Final = 253_402_300_799_999  # the end of the year 9999, Python's last
_ROUTE_PARTS: Final = frozenset({"member", "group"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a number, or the least and the greatest length of a text in characters."""

    least: float | None = None
    greatest: float | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a process or of a route.

    `name` is the function's keyword, `wire` the name in a request: hyphens for underscores, and none at the end.
    `default` is None if the parameter is required.
    """

    name: str
    kind: type[str | int | float | bool]
    default: Value | None
    bounds: Bounds = Bounds()
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def wire(self) -> str:
        """The parameter's name in a request."""
        return self.name.removesuffix("_").replace("_", "-")

    @property
    def type(self) -> str:
        """The type in JSON Schema's words: string, integer, number or boolean."""
        return {str: "string", int: "integer", float: "number", bool: "boolean"}[self.kind]

    @property
    def greatest(self) -> float | None:
        """The greatest number, or the greatest length of a text in characters: every text has a limit."""
        is_unbounded = self.kind is str and not self.choices and self.bounds.greatest is None
        return _MAX_CHARACTERS if is_unbounded else self.bounds.greatest

    @property
    def range(self) -> str:
        """The declared bounds in words, such as "from 1 to 10" or "at most 20 characters"; empty if there are none."""
        least, greatest, of = self.bounds.least, self.bounds.greatest, "" if self.kind is str else 0
        if least is None or (self.kind is str and least <= 1):
            return "" if greatest is None else f"at most {_amount(greatest, of)}"
        if greatest is None:
            return f"at least {_amount(least, of)}"
        return f"from {_number(least)} to {_amount(greatest, of)}"

    def read(self, text: str) -> Value:
        """Convert a request's text to a value; raises BadParameter if the text is invalid."""
        value = self._convert(text)
        if requirement := self.objection(value):
            raise self._bad(text, requirement)
        return value

    def objection(self, value: Value) -> str:
        """Return the requirement that a value of the right type breaks, such as "at least 1"; empty if none."""
        if self.choices and value not in self.choices:
            return f"one of {', '.join(self.choices)}"
        if isinstance(value, bool):
            return ""
        size = len(value) if isinstance(value, str) else value
        if self.bounds.least is not None and size < self.bounds.least:
            return f"at least {_amount(self.bounds.least, value)}"
        if self.greatest is not None and size > self.greatest:
            return f"at most {_amount(self.greatest, value)}"
        return ""

    def _convert(self, text: str) -> Value:
        if self.kind is str:
            if clean(text, limit=len(text)) != text:
                raise self._bad(text, "text without control characters")
            return text
        if self.kind is bool:
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise self._bad(text, "true or false")
        requirement = "a whole number" if self.kind is int else "a number"
        try:
            number = self.kind(text)
        except ValueError:
            raise self._bad(text, requirement) from None
        if isinstance(number, float) and not math.isfinite(number):
            raise self._bad(text, requirement)  # JSON cannot express it, and bounds cannot catch NaN.
        return number

    def _bad(self, text: str, requirement: str) -> BadParameter:
        excerpt = clean(text, limit=80)
        return BadParameter(self.wire, f"Parameter '{self.wire}' is '{excerpt}', but must be {requirement}.")


def read_timestamp(name: str, text: str) -> int:
    """Return the time that a parameter gives in ISO 8601, in milliseconds since the epoch; 0 for an empty text.

    A time without a zone is in UTC. Raises BadParameter for a text that is not a time.
    """
    if not text:
        return 0
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        excerpt = clean(text, 40)
        raise BadParameter(name, f"'{excerpt}' is not a time: write one like 2026-01-31 or 2026-01-31T12:00.") from None
    ms = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    return min(max(1, ms), _LATEST)


def as_text(value: Value) -> str:
    """Format a value as a request writes it."""
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else _number(value)


def _number(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _amount(number: float, of: Value) -> str:
    unit = "character" if number == 1 else "characters"
    return f"{_number(number)} {unit}" if isinstance(of, str) else _number(number)


def parameters_of(function: Callable[..., Any]) -> Iterator[Parameter]:
    """Yield the function's parameters after the context.

    Raises ValueError, with the end of a sentence, for a function or a parameter that a process cannot have.
    """
    if not inspect.isfunction(function):
        raise ValueError("it must be a plain function")
    context, *rest = inspect.signature(function).parameters.values() or (None,)
    if context is None or context.kind not in {context.POSITIONAL_ONLY, context.POSITIONAL_OR_KEYWORD}:
        raise ValueError("its function must take the context as its first parameter")
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise ValueError(f"its annotations cannot be read ({error}): import their names at run time") from error
    names: set[str] = set()
    for argument in rest:
        if argument.kind not in {argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY}:
            raise ValueError(f"its parameter '{argument.name}' must be one that can be passed by name")
        try:
            parameter = _parameter(argument, hints.get(argument.name, str))
        except ValueError as error:
            raise ValueError(f"its parameter '{argument.name}' {error}") from None
        if parameter.wire in _ROUTE_PARTS:
            raise ValueError(f"its parameter '{argument.name}' has the name of a part of the route: rename it")
        if parameter.wire in names:
            raise ValueError(f"two of its parameters are '{parameter.wire}' in a request: rename one")
        names.add(parameter.wire)
        yield parameter


def _parameter(argument: inspect.Parameter, hint: Any) -> Parameter:
    base, extras = (hint.__origin__, hint.__metadata__) if hasattr(hint, "__metadata__") else (hint, ())
    bounds = [extra for extra in extras if isinstance(extra, Bounds)]
    texts = [extra for extra in extras if isinstance(extra, str)]
    if len(bounds) > 1 or len(texts) > 1 or len(bounds) + len(texts) < len(extras):
        raise ValueError("can be annotated with one Bounds and one description only")
    kind, choices = _kind(base)
    limits = bounds[0] if bounds else Bounds()
    if bounds and (kind is bool or choices):
        raise ValueError("cannot have bounds: only a number or a text without choices can")
    if limits.least is not None and limits.greatest is not None and limits.least > limits.greatest:
        raise ValueError(f"has bounds that no value meets: {_number(limits.least)} to {_number(limits.greatest)}")
    is_required = argument.default is argument.empty
    default = None if is_required else argument.default
    if default is None and not is_required:
        raise ValueError("has the default None: leave the default out if the parameter is required, or give a value")
    if kind is float and type(default) is int:
        default = float(default)
    parameter = Parameter(argument.name, kind, default, limits, choices, texts[0] if texts else "")
    if not parameter.wire:
        raise ValueError("has a name of underscores only")
    if not is_required:
        requirement = parameter.objection(default) if type(default) is kind else f"of the type {kind.__name__}"
        if requirement:
            raise ValueError(f"has the default {default!r}, but must be {requirement}")
    return parameter


def _kind(hint: Any) -> tuple[type[str | int | float | bool], tuple[str, ...]]:
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if not all(isinstance(choice, str) for choice in choices):
            raise ValueError("can only choose between texts")
        return str, choices
    if hint in {str, int, float, bool}:
        return hint, ()
    is_union = get_origin(hint) in {Union, types.UnionType}
    raise ValueError("must be of one type, not a union" if is_union else "must be str, int, float, bool or Literal")
