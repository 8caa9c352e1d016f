"""Faults that are planted into the scripts on purpose: a search that does not find one of them proves nothing.

`faults.txt` has them, each with a blank line before the next: its words, its script, and the name of the configuration
in which it does harm; the lines of the script that it takes out, after a minus; and what it puts there, after a plus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proof import configurations
from proof.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of a script: one text in the place of another; and the configuration in which it does harm."""

    words: str
    script: str
    old: str
    new: str
    configuration: Configuration

    def plant(self, script: str, text: str) -> str:
        """Return the text of a script with the fault, if it is this one. Raises ValueError where it does not fit."""
        if self.script not in {script, "common"}:
            return text
        count = text.count(self.old)
        # A script has of the prelude only what it uses.
        if count > 1 or (not count and self.script == script):
            raise ValueError(f"The scripts have changed: '{self.words}' cannot be planted any more")
        return text.replace(self.old, self.new)


def _read() -> Iterator[Fault]:
    for block in Path(__file__).with_suffix(".txt").read_text().strip().split("\n\n"):
        head, *lines = block.splitlines()
        words, _, where = head.rpartition(": ")
        script, configuration = where.split(", ")
        old, new = ("\n".join(line[2:] for line in lines if line[0] == sign) for sign in "-+")
        yield Fault(words, script, old, new, getattr(configurations, configuration))


FAULTS: Final = tuple(_read())
