"""Which passwords nobody may choose: those that are tried first."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from psthreads.domain.errors import BadParameter

SHORTEST: Final = 10
LONGEST: Final = 1024

_LEAST_DIFFERENT: Final = 4
_LEAST_REST: Final = 8  # characters that must be left without a name or a common password
_SHORTEST_NAME: Final = 3
_EDGES: Final = string.digits + string.punctuation + " "
_LOOKALIKES: Final = str.maketrans("@4301$5!", "aaeolssi")


def check_length(password: str) -> None:
    """Raise BadParameter unless the password has 10 to 1,024 characters."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadParameter("password", f"Choose a password of {SHORTEST} to {LONGEST:,} characters.")


def check(password: str, names: Iterable[str]) -> None:
    """Raise BadParameter for a password that is too short or common, or little more than one of these names."""
    check_length(password)
    text = unicodedata.normalize("NFKC", password).casefold()
    if len(set(text)) < _LEAST_DIFFERENT:
        raise BadParameter("password", "This password repeats a few characters: choose another one.")
    for variant in (text, text.translate(_LOOKALIKES)):
        core = variant.strip(_EDGES)
        if variant in _common() or (core in _common() and len(text) - len(core) < _LEAST_REST):
            raise BadParameter("password", "This password is among the most common ones: choose another one.")
        for name in map(str.casefold, names):
            if len(name) >= _SHORTEST_NAME and name in variant and len(variant.replace(name, "")) < _LEAST_REST:
                sentence = f"This password is little more than the name '{name}': choose another one."
                raise BadParameter("password", sentence)


@cache
def _common() -> frozenset[str]:
    return frozenset((files(__package__) / "common-passwords.txt").read_text().split())
