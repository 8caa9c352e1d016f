"""The confinement of a process that works on a stranger's input in C: what it can no longer do if that takes it over.

Every limit is one that an unprivileged process may set for itself, for good. Landlock takes the files away but for
Python's own, and seccomp the network and other programs. Both are features of Linux that a kernel or a container may
lack; `confine_work` tells which are in force.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

FILES: Final = "files"
"""The process opens no file but those of Python and of shared libraries, and writes none (Landlock)."""

NETWORK: Final = "network"
"""The process has no sockets, starts no program, and signals and traces no other process (seccomp)."""

_LONGEST: Final = 6 * 3600  # seconds of the processor; each piece of work has a limit of its own
_PR_SET_NO_NEW_PRIVS: Final = 38  # linux/prctl.h
_PR_GET_SECCOMP, _PR_SET_SECCOMP = 21, 22

# linux/landlock.h. The numbers of its calls are the same on every machine.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_RIGHTS: Final = (13, 14, 15, 15, 16)  # how many rights to files there are in versions 1 to 5
_VERSION_NETWORK, _VERSION_SCOPES = 4, 6

# asm/unistd.h: the machine in the kernel's numbering, its `clone`, and the calls that it refuses: sockets, programs,
# other processes, io_uring.
_MACHINES: Final = {
    "x86_64": (
        0xC000003E,
        56,
        (*(41, 42, 49, 50), *(57, 58, 59, 322), *(62, 101, 310, 311, 424, 434, 438), *(425, 426, 427)),
    ),
    "aarch64": (
        0xC00000B7,
        220,
        (*(198, 200, 201, 203), *(221, 281), *(117, 129, 270, 271, 424, 434, 438), *(425, 426, 427)),
    ),
}
_FIRST_X32: Final = 0x40000000  # another numbering of the same calls
_CLONE3: Final = 435
_CLONE_THREAD: Final = 0x10000
_LOAD, _IS, _IS_AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_CALL, _MACHINE, _ARGUMENT = 0, 4, 16  # where they are in what a filter sees
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # with EPERM
_ABSENT: Final = 0x00050000 | 38  # with ENOSYS, after which the C library calls `clone`


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def confine_work(memory: int, keep: Collection[int] = (), readable: Collection[str] = ()) -> frozenset[str]:
    """Confine this process for good, and return which of FILES and NETWORK are in force.

    It keeps the descriptors in `keep` alone, and stdin, stdout and stderr, which lead nowhere. It gets `memory` bytes
    in addition to those it has. `readable` are folders that it may read beside Python's.
    """
    _close_all(keep)
    _limit(memory)
    if sys.platform != "linux":
        return frozenset()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    in_force = set()
    if _lock_files(libc, [*_own_files(), *readable]):
        in_force.add(FILES)
    if _refuse_calls(libc):
        in_force.add(NETWORK)
    return frozenset(in_force)


def available() -> frozenset[str]:
    """Return which of FILES and NETWORK this kernel can take away from a process."""
    if sys.platform != "linux":
        return frozenset()
    libc = ctypes.CDLL(None, use_errno=True)
    has_landlock = libc.syscall(_CREATE, None, 0, _ASK_VERSION) >= 1
    has_seccomp = platform.machine() in _MACHINES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return frozenset({FILES} if has_landlock else ()) | frozenset({NETWORK} if has_seccomp else ())


def _close_all(keep: Collection[int]) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    low = 3
    for number in sorted(number for number in keep if number >= low):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, max(low, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def _limit(memory: int) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CPU, _LONGEST)
    if sys.platform == "linux":
        # What libraries reserve without writing to it does not count, unlike by RLIMIT_AS.
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        _lower(resource.RLIMIT_DATA, pages * resource.getpagesize() + memory)


def _lower(limit: int, most: int) -> None:
    soft, hard = resource.getrlimit(limit)
    most = min([most, *(value for value in (soft, hard) if value != resource.RLIM_INFINITY)])
    resource.setrlimit(limit, (most, most))


def _own_files() -> Iterator[str]:
    """Yield the folders that Python and shared libraries are loaded from, and what every program reads."""
    yield str(Path(os.__file__).parent)
    yield from (path for path in sys.path if path.endswith(("/site-packages", "/dist-packages")))
    yield str(Path(__file__).parents[1])
    yield from ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
    yield from ("/dev/null", "/dev/urandom", "/sys/fs/cgroup", "/proc/self", "/proc/meminfo", "/proc/cpuinfo")


def _lock_files(libc: ctypes.CDLL, readable: Collection[str]) -> bool:
    version = libc.syscall(_CREATE, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    rights = (1 << _RIGHTS[min(version, len(_RIGHTS)) - 1]) - 1
    attributes = struct.pack("Q", rights)
    if version >= _VERSION_NETWORK:
        attributes += struct.pack("Q", 0b11)  # binding and connecting by TCP
    if version >= _VERSION_SCOPES:
        attributes += struct.pack("Q", 0b11)  # abstract sockets and signals
    rules = libc.syscall(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            with suppress(OSError):
                folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
                try:
                    allowed = _READ_FILE | (_READ_FOLDER if Path(path).is_dir() else 0)
                    libc.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", allowed, folder), 0)
                finally:
                    os.close(folder)
        return bool(libc.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _refuse_calls(libc: ctypes.CDLL) -> bool:
    if platform.machine() not in _MACHINES:
        return False
    machine, clone, calls = _MACHINES[platform.machine()]
    refuse = (_RETURN, 0, 0, _REFUSE)
    steps = [(_LOAD, 0, 0, _MACHINE), (_IS, 1, 0, machine), refuse]
    steps += [(_LOAD, 0, 0, _CALL), (_IS_AT_LEAST, 0, 1, _FIRST_X32), refuse]
    steps += [(_IS, 0, 1, _CLONE3), (_RETURN, 0, 0, _ABSENT)]
    # Threads may start, and processes may not.
    steps += [(_IS, 0, 4, clone), (_LOAD, 0, 0, _ARGUMENT), (_HAS, 1, 0, _CLONE_THREAD), refuse]
    steps.append((_RETURN, 0, 0, _ALLOW))
    for call in calls:
        steps += [(_IS, 0, 1, call), refuse]
    steps.append((_RETURN, 0, 0, _ALLOW))
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    filters = _Filter(len(steps), program)
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(filters), 0, 0) == 0)
