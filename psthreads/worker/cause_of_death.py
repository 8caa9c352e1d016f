"""What a horse that ended without a word died of, in a sentence for its thread."""

from __future__ import annotations

import signal
from typing import Final

_TIMERS: Final = {signal.SIGALRM: "alarm", signal.SIGVTALRM: "timer", signal.SIGPROF: "timer"}
# By which the kernel ends a program for a fault or a limit of its own; SIGKILL also ends one that takes all memory.
_KERNEL: Final = frozenset(
    getattr(signal, f"SIG{name}")
    for name in ("KILL", "SEGV", "BUS", "ILL", "FPE", "ABRT", "TRAP", "SYS", "PIPE", "XCPU", "XFSZ")
)


def cause_of_death(code: int) -> str:
    """Return why a horse ended, from its exit code, which is negative for a signal: not one that psthreads sent."""
    if code >= 0:
        return f"Its process ended by itself, with exit code {code}"
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else ""
    if number in _TIMERS:
        return f"Its process was ended by its own {_TIMERS[signal.Signals(number)]} ({name})"
    if number in _KERNEL:
        return f"Killed by signal {number}"
    label = f"{name} ({number})" if name else str(number)
    return f"Ended by signal {label}, which psthreads did not send"
