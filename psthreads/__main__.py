"""The entry of the program: `psthreads`, or `python -m psthreads`."""

from __future__ import annotations

import io
import sys
from typing import Final

_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command that the program's arguments name, and exit with its code."""
    try:
        # Importing it takes a moment, in which Ctrl-C must not show a traceback.
        from psthreads.program import program  # noqa: PLC0415 (see above)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A message may hold what this terminal's encoding does not.
            stream.reconfigure(errors="backslashreplace")
    program(prog_name="psthreads")


if __name__ == "__main__":
    main()
