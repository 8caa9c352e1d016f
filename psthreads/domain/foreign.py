"""Texts of objects that psthreads did not make: whatever their methods do, there is a text."""

from __future__ import annotations

import traceback
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")


def text_of(value: object) -> str:
    """Return the object as text, or a sentence where its methods give none. Raises KeyboardInterrupt alone."""
    try:
        return _text(value)
    except KeyboardInterrupt:
        raise  # An interrupt comes at any step, and this one was no more than on the way.
    except BaseException as error:  # noqa: BLE001 (whatever a method raises)
        return _substitute(value, error)


def error_text(error: BaseException) -> str:
    """Return the class and the text of an exception, as in "ValueError: Bad things". Raises nothing."""
    try:
        text = _text(error)
    except BaseException as other:  # noqa: BLE001 (as above; no interrupt is awaited where this is called)
        text = _substitute(error, other)
    name = _name(error)
    return f"{name}: {text}" if text else name


def trace_of(error: BaseException) -> str:
    """Return the traceback of an exception as text. Raises nothing."""
    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except BaseException as other:  # noqa: BLE001 (as above)
        return f"The traceback of a {_name(error)} cannot be shown: {_name(other)}"


def is_a(value: object, kind: type[T]) -> TypeGuard[T]:
    """Return whether the object's class is of this kind; `isinstance` would also ask the object itself."""
    return issubclass(type(value), kind)


def _text(value: object) -> str:
    # A subclass of str may do anything in its methods, so the result is of str itself.
    return str.__str__(value if issubclass(type(value), str) else str(value))


def _substitute(value: object, error: BaseException) -> str:
    return f"[a {_name(value)} that cannot be shown: {_name(error)}]"


def _name(value: object) -> str:
    name: Any = type.__dict__["__name__"].__get__(type(value))  # A metaclass may have another one.
    return str.__str__(name)
