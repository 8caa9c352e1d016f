"""Takes the right to fork away from a machine of the storm, and gives it back.

A control group does it for root; whoever is not root is bound by RLIMIT_NPROC. Where neither works, the fault is left
out.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_NAME: Final = "psthreads-chaos"
_HIERARCHIES: Final = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))


class ForkLimit:
    """The limit of one machine. `is_possible` says whether this computer can set it."""

    def __init__(self, name: str) -> None:
        self._group: Path | None = None
        self._name = f"{_NAME}-{os.getpid()}-{name}"
        self.is_possible = os.geteuid() != 0 and hasattr(resource, "prlimit")

    def create(self) -> None:
        """Make a control group where that is possible."""
        for hierarchy in _HIERARCHIES:
            group = hierarchy / self._name
            with suppress(OSError):
                group.mkdir()
                if not (group / "pids.max").exists():
                    with suppress(OSError):  # In the second version, the parent says what its groups may limit.
                        (hierarchy / "cgroup.subtree_control").write_text("+pids")
                if (group / "pids.max").exists():
                    self._group, self.is_possible = group, True
                    return
                group.rmdir()

    def hold(self, pid: int) -> None:
        """Bind a process, and those that it starts from now on."""
        if self._group is not None:
            with suppress(OSError):
                (self._group / "cgroup.procs").write_text(str(pid))

    def set(self, pids: list[int], *, may_fork: bool) -> None:
        """Let these processes, which `hold` has bound, fork or not."""
        if self._group is not None:
            (self._group / "pids.max").write_text("max" if may_fork else "0")
            return
        for pid in pids:
            with suppress(OSError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
                resource.prlimit(pid, resource.RLIMIT_NPROC, (hard if may_fork else 0, hard))

    def remove(self) -> None:
        """Remove the control group, once its processes are gone."""
        if self._group is not None:
            with suppress(OSError):
                self._group.rmdir()
