"""A parameter of a process: what a function's signature says of it, and the reading of a request's text."""

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
"""What a parameter of a process may hold: what JSON carries as a scalar."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_MAX_CHARACTERS: Final = 4096
_LATEST: Final = 253_402_300_799_999  # the end of the year 9999, after which there are no dates
_TAKEN: Final = frozenset({"member", "group"})  # they stand in the route


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a number, or length of a text in characters."""

    least: float | None = None
    greatest: float | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a process, as its function's signature declares it.

    `name` is the keyword of the function, `wire` the name in a request (hyphens for underscores, and
    none at the end); `default` is None where the parameter must be given.
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
        """What it holds, in the words of JSON's schemas: string, integer, number or boolean."""
        return {str: "string", int: "integer", float: "number", bool: "boolean"}[self.kind]

    @property
    def greatest(self) -> float | None:
        """The greatest number, or the length of the longest text in characters: no text is without a limit."""
        is_open = self.kind is str and not self.choices and self.bounds.greatest is None
        return _MAX_CHARACTERS if is_open else self.bounds.greatest

    def read(self, text: str) -> Value:
        """The value that a request's text stands for; raises BadParameter when it stands for none."""
        value = self._convert(text)
        if wanted := self.objection(value):
            raise self._bad(text, wanted)
        return value

    def objection(self, value: Value) -> str:
        """What a value of the right type must be and is not, such as "at least 1"; empty where it is fine."""
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
        wanted = "a whole number" if self.kind is int else "a number"
        try:
            number = self.kind(text)
        except ValueError:
            raise self._bad(text, wanted) from None
        if isinstance(number, float) and not math.isfinite(number):
            raise self._bad(text, wanted)  # JSON has no word for it, and no bound holds it.
        return number

    def _bad(self, text: str, wanted: str) -> BadParameter:
        shown = clean(text, limit=80)
        return BadParameter(self.wire, f"Parameter '{self.wire}' is '{shown}', but must be {wanted}.")


def moment(name: str, text: str) -> int:
    """The moment that a parameter of this name gives in ISO 8601, in milliseconds since the epoch; 0 for none.

    Without a zone it is UTC. Raises BadParameter.
    """
    if not text:
        return 0
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        shown = clean(text, 40)
        raise BadParameter(name, f"'{shown}' is no time: write one like 2026-01-31 or 2026-01-31T12:00.") from None
    ms = int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)
    return min(max(1, ms), _LATEST)


def as_text(value: Value) -> str:
    """A value as a request has it."""
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else plain(value)


def plain(number: float) -> str:
    """A number as people write it, a whole one without a point."""
    return str(int(number)) if number == int(number) else repr(number)


def _amount(number: float, of: Value) -> str:
    """A bound of a value, with its unit where it has one."""
    unit = "character" if number == 1 else "characters"
    return f"{plain(number)} {unit}" if isinstance(of, str) else plain(number)


def declared(function: Callable[..., Any]) -> Iterator[Parameter]:
    """The parameters after the context; raises ValueError, as the end of a sentence, for what cannot be one."""
    if not inspect.isfunction(function):
        raise ValueError("it must be a plain function")
    context, *rest = inspect.signature(function).parameters.values() or (None,)
    if context is None or context.kind not in {context.POSITIONAL_ONLY, context.POSITIONAL_OR_KEYWORD}:
        raise ValueError("its function must take the context as its first parameter")
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise ValueError(f"its annotations cannot be read ({error}): import their names at run time") from error
    seen: set[str] = set()
    for one in rest:
        if one.kind not in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}:
            raise ValueError(f"its parameter '{one.name}' must be an ordinary one, given by name")
        default = None if one.default is one.empty else one.default
        try:
            parameter = _parameter(one.name, hints.get(one.name, str), default, is_given=one.default is not one.empty)
        except ValueError as error:
            raise ValueError(f"its parameter '{one.name}' {error}") from None
        if parameter.wire in _TAKEN:
            raise ValueError(f"its parameter '{one.name}' has the name of a part of the route: choose another name")
        if parameter.wire in seen:
            raise ValueError(f"two of its parameters are '{parameter.wire}' in a request: rename one")
        seen.add(parameter.wire)
        yield parameter


def _parameter(name: str, hint: Any, default: Any, *, is_given: bool) -> Parameter:
    base, extras = (hint.__origin__, hint.__metadata__) if hasattr(hint, "__metadata__") else (hint, ())
    bounds = [extra for extra in extras if isinstance(extra, Bounds)]
    texts = [extra for extra in extras if isinstance(extra, str)]
    if len(bounds) > 1 or len(texts) > 1 or len(bounds) + len(texts) < len(extras):
        raise ValueError("can be annotated with one Bounds and one description, and nothing else")
    kind, choices = _kind(base)
    limits = bounds[0] if bounds else Bounds()
    if bounds and (kind is bool or choices):
        raise ValueError("can have no bounds, for it is neither a number nor a text of any kind")
    if limits.least is not None and limits.greatest is not None and limits.least > limits.greatest:
        raise ValueError(f"has bounds that nothing is within: {plain(limits.least)} to {plain(limits.greatest)}")
    if is_given and default is None:
        raise ValueError("has the default None: leave the default out where it must be given, or give a value")
    if kind is float and type(default) is int:
        default = float(default)
    parameter = Parameter(name, kind, default, limits, choices, texts[0] if texts else "")
    if not parameter.wire:
        raise ValueError("has a name of underscores only")
    if is_given:
        wanted = parameter.objection(default) if type(default) is kind else f"of the type {kind.__name__}"
        if wanted:
            raise ValueError(f"has the default {default!r}, but must be {wanted}")
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
