"""Whether the machine has room for another process: limits of a user or a container can be reached at any time."""

from __future__ import annotations

import _thread
import os
from typing import Final

from psthreads.system.clock import steady

_FIRST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 30.0


class ProcessRoom:
    """What is known of it. After a failure it is tried again after 1 s, and then less and less often, up to 30 s.

    `trouble` is the end of a sentence about this machine, such as "cannot start processes: …"; empty where all is well.
    """

    def __init__(self) -> None:
        self.trouble = ""
        self._pause = _FIRST_SECONDS
        self._next = 0.0

    def fail(self, reason: str) -> None:
        """Note that a process could not be started."""
        self._pause = min(2 * self._pause, _MOST_SECONDS) if self.trouble else _FIRST_SECONDS
        self._next = steady() + self._pause
        self.trouble = f"cannot start processes: {reason}"

    def wait(self) -> float:
        """Return for how many seconds to start none, 0 for room. It starts a process that ends at once, to find out."""
        if self.trouble and (seconds := self._next - steady()) > 0:
            return seconds
        if self.trouble:
            try:
                probe = os.fork()
                if not probe:
                    os._exit(0 if can_start_thread() else 1)
                if os.waitstatus_to_exitcode(os.waitpid(probe, 0)[1]):
                    raise BlockingIOError(None, NO_THREAD)
            except OSError as error:
                self.fail(error.strerror or str(error))
                return self._pause
            self.trouble = ""
        return 0.0


NO_THREAD: Final = "no Python thread can be started"


def can_start_thread() -> bool:
    """Return whether this process can start another Python thread."""
    try:
        _thread.start_new_thread(lambda: None, ())
    except RuntimeError:
        return False
    return True
