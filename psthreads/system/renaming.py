"""Renames without ever replacing anything, which Python's own `os.rename` cannot promise."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Final

_RENAME_NOREPLACE: Final = 1  # linux/fs.h
_UNKNOWN: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})  # to this kernel, or to this file system

_libc: Final = ctypes.CDLL(None, use_errno=True)


def rename_to_new(from_folder: int, name: str, to_folder: int, new: str) -> None:
    """Give a file another place: from one folder's descriptor to another's, in one step.

    Raises FileExistsError when the new name is taken, at whatever moment that came to be, and OSError as a
    rename does. Where the system has no such rename, the file gets its second name before it loses its first:
    a crash or an interrupt between the two leaves it under both.
    """
    if sys.platform == "linux" and hasattr(_libc, "renameat2"):
        if _libc.renameat2(from_folder, os.fsencode(name), to_folder, os.fsencode(new), _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNKNOWN:
            raise OSError(number, os.strerror(number))
    link_then_unlink(from_folder, name, to_folder, new)


def link_then_unlink(from_folder: int, name: str, to_folder: int, new: str) -> None:
    """The same in two steps, for where there is no better way; not for folders."""
    os.link(name, new, src_dir_fd=from_folder, dst_dir_fd=to_folder, follow_symlinks=False)
    try:
        os.unlink(name, dir_fd=from_folder)
    except OSError:  # Not for an interrupt: it may come after the first name is gone, and this one is then the last.
        os.unlink(new, dir_fd=to_folder)
        raise
