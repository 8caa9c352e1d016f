"""The privileges of the user who runs a program."""

from __future__ import annotations

import os
from typing import Final

ROOT: Final = "This program runs as root: a fault in it, or in a plug-in, would reach the whole machine."


def runs_as_root() -> bool:
    """Return whether this program's user may do everything on the machine."""
    return os.geteuid() == 0
