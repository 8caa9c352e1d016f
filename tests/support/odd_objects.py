"""Objects and exceptions that are hard to show, and processes that report or raise them."""

from __future__ import annotations

import logging
import time
from typing import Any, NoReturn, cast

from psthreads.authoring.context import Context
from psthreads.authoring.process import Answer, Start
from psthreads.authoring.registry import process
from psthreads.domain.errors import BadParameter

_ROUTE = "/members/{member}/groups/{group}/odd/"


class Unprintable:
    """An object that no method shows."""

    def __str__(self) -> str:
        raise ZeroDivisionError("no text")

    def __repr__(self) -> str:
        raise SystemExit("no text either")

    def __format__(self, _spec: str) -> str:
        raise OSError("nor this")


class NoText(Unprintable):
    """An object that gives a number when it is asked for text."""

    __str__ = int  # type: ignore[assignment] # the point


class StrangeText(str):
    """A text whose methods do what they like."""

    __slots__ = ()

    def __len__(self) -> int:
        raise ValueError("no length")

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    def isascii(self) -> bool:
        raise ValueError("not asked")

    def __str__(self) -> str:
        raise ValueError("no text")


class _Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override] # the point
        raise ValueError("no name")


def odd_error(how: str) -> Exception:
    """Return an exception that is hard to show."""
    methods: dict[str, dict[str, Any]] = {
        "raises": {"__str__": Unprintable.__str__},
        "exits": {"__str__": Unprintable.__repr__},
        "no text": {"__str__": lambda _: 7},
        "class": {"__class__": property(_raise)},
        "notes": {"__notes__": property(_raise)},
    }
    texts = {"strange text": StrangeText("strange"), "surrogates": "lone \ud800", "huge": "x" * 50_000_000}
    if how == "group":
        return ExceptionGroup("several", [ValueError("one"), odd_error("raises")])
    if how == "nameless":
        return cast("Exception", _Nameless("Odd", (ValueError,), {})("nameless"))
    if how in methods:
        return cast("Exception", type("Odd", (ValueError,), methods[how])("odd"))
    error = ValueError(texts.get(how, "first"))
    if how == "loop":
        error.__cause__, error.__context__ = ValueError("second"), OSError("third")
        error.__cause__.__cause__, error.__context__.__context__ = error, error
    return error


def _raise(_: object) -> NoReturn:
    raise ZeroDivisionError("not shown")


ODD_ERRORS = {
    "raises": "Odd: [a Odd that cannot be shown: ZeroDivisionError]",
    "exits": "Odd: [a Odd that cannot be shown: SystemExit]",
    "no text": "Odd: [a Odd that cannot be shown: TypeError]",
    "strange text": "ValueError: [a ValueError that cannot be shown: ValueError]",
    "class": "Odd: odd",
    "nameless": "Odd: nameless",
    "notes": "Odd: odd",
    "group": "ExceptionGroup: several (2 sub-exceptions)",
    "loop": "ValueError: first",
    "surrogates": "ValueError: lone \ufffd",
    "huge": f"ValueError: {'x' * 16_372}… [cut, 50,000,012 characters in all]",
}
"""The message of a thread for each way of `failing`."""


@process(title="Failing, {how}", route=_ROUTE + "failing")
def failing(context: Context, how: str) -> None:
    """Raises an exception that is hard to show, after its last words."""
    context.log("Last words")
    raise odd_error(how)


@process(title="Telling", route=_ROUTE + "telling")
def telling(context: Context) -> Any:
    """Reports objects that are hard to show, wherever it may report one."""
    log = logging.getLogger("some.library")
    for odd in (Unprintable(), NoText(), StrangeText("strange"), 7, None):
        context.message(odd)  # type: ignore[arg-type] # as authors do
        context.log(odd, detail=odd)  # type: ignore[arg-type] # as above
        context.element("odd", odd, {"odd": odd})  # type: ignore[arg-type, dict-item] # as above
        log.warning("%s", odd)
        log.warning(odd)
        bar = context.bar("bar", total=1)
        bar.total = bar.current = odd  # type: ignore[assignment] # as above
        try:
            raise odd_error("raises")
        except ValueError:
            log.exception("It failed")
        context.cleanup(failing.function, context, "exits")
    return StrangeText("The end")


# Checks, which run in the web process.


@process(title="Checked, {how}", route=_ROUTE + "checked")
def checked(context: Context, how: str) -> None:
    """Ends at once, if its check lets it start."""


@checked.check
def _odd_check(start: Start) -> Answer | None:
    how = str(start.values["how"])
    if how == "spin":
        while True:
            time.sleep(0.001)  # without an end, which is the fault: whoever runs the check is to end it
    if how == "sleep":
        time.sleep(8)  # the fault: one call, which takes longer than a check may, and cannot be ended within
    if how == "answer":
        return cast("Answer", Unprintable())
    raise {
        "exit-3": SystemExit(3),
        "exit-0": SystemExit(0),
        "keyboard": KeyboardInterrupt(),
        "generator": GeneratorExit(),
        "system": SystemError("odd"),
        "base": BaseException("odd"),
        "refusal": type("Odd", (BadParameter,), {"__str__": Unprintable.__repr__})("how", "never shown"),
    }.get(how) or odd_error(how)
