"""What keeps an execution that was given up from changing documents and results."""

from __future__ import annotations

from typing import Final, Protocol


class Fence(Protocol):
    """Asked right before a change appears."""

    def require_lease(self) -> None:
        """Raise GivenUp where the execution's lease has run out. It costs nothing: nobody is asked."""

    def require_ownership(self) -> None:
        """Raise GivenUp unless the store says that the execution owns its thread. It costs a round trip."""


class _NoFence:
    def require_lease(self) -> None:
        pass

    def require_ownership(self) -> None:
        pass


NO_FENCE: Final[Fence] = _NoFence()
"""For changes that belong to no execution."""
