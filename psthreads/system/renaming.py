"""Renames that never replace a file, which `os.rename` does."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Final

_RENAME_NOREPLACE: Final = 1  # linux/fs.h
_UNKNOWN: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})  # where the kernel or the file system lacks it

_libc: Final = ctypes.CDLL(None, use_errno=True)


def rename_to_new(from_folder: int, name: str, to_folder: int, new: str) -> None:
    """Move a file in one step from one folder to another; the folders are descriptors.

    Raises FileExistsError where the new name exists, however recently, and OSError as a rename does. Where the system
    has no such rename, the file gets its second name before it loses its first: a crash or an interrupt between the
    two leaves it under both.
    """
    if sys.platform == "linux" and hasattr(_libc, "renameat2"):
        if _libc.renameat2(from_folder, os.fsencode(name), to_folder, os.fsencode(new), _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNKNOWN:
            raise OSError(number, os.strerror(number))
    link_then_unlink(from_folder, name, to_folder, new)


def link_then_unlink(from_folder: int, name: str, to_folder: int, new: str) -> None:
    """Move a file in two steps, where the system cannot do it in one. Not for folders."""
    os.link(name, new, src_dir_fd=from_folder, dst_dir_fd=to_folder, follow_symlinks=False)
    try:
        os.unlink(name, dir_fd=from_folder)
    except OSError:  # Not for an interrupt: it may come after the first name is gone, and this one is then the last.
        os.unlink(new, dir_fd=to_folder)
        raise
