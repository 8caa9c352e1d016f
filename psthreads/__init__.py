"""psthreads runs long work in the background and lets people see it, follow it and stop it.

These are the names that the author of a process needs, and a program that starts threads itself. They
are imported when they are first used, so that the client alone does not load what runs processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from psthreads.authoring.context import Context as Context
    from psthreads.authoring.parameter import Bounds as Bounds
    from psthreads.authoring.process import Answer as Answer
    from psthreads.authoring.process import Start as Start
    from psthreads.authoring.registry import process as process
    from psthreads.domain.model import Level as Level
    from psthreads.domain.model import Outcome as Outcome
    from psthreads.domain.model import Status as Status
    from psthreads.identity.users import User as User
    from psthreads.service.service import Service as Service
    from psthreads.web.extension import Psthreads as Psthreads

_HOMES: Final = {
    "Answer": "authoring.process",
    "Bounds": "authoring.parameter",
    "Context": "authoring.context",
    "Level": "domain.model",
    "Outcome": "domain.model",
    "Psthreads": "web.extension",
    "Service": "service.service",
    "Start": "authoring.process",
    "Status": "domain.model",
    "User": "identity.users",
    "process": "authoring.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use; raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module 'psthreads' has no attribute '{name}'")
    return getattr(import_module(f"psthreads.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
