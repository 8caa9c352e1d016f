"""Brings a whole file system to its disk at once, which for many files is far quicker than one after the other."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)


def sync_all(fd: int) -> None:
    """Wait until everything is on the disk that was written to the file system of this descriptor.

    Raises OSError when the disk fails. Where the system cannot do that for one file system, it is done for all.
    """
    if sys.platform == "linux" and hasattr(_libc, "syncfs"):
        if _libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    else:
        os.sync()
