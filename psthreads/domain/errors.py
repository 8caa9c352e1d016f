"""The errors of the domain.

One place in the web maps them to HTTP responses, one in the command line to exit codes. Both show the message
unchanged, so each says what is wrong and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from psthreads.domain.foreign import text_of
from psthreads.domain.suggestions import hint


class PsthreadsError(Exception):
    """The base class of all errors of psthreads.

    `status` is the HTTP status (RFC 9110). `code` is the error id: PageSeeder's where it has one, otherwise the HTTP
    status with a leading zero.
    """

    status = 500
    code = "0500"

    @property
    def message(self) -> str:
        """The sentence for the caller."""
        return text_of(self)  # A process may raise a class of its own.


class ConfigError(PsthreadsError):
    """A setting is missing or wrong; the program does not start."""


class BadParameter(PsthreadsError):
    """A parameter of a request is wrong. `name` is the parameter's name on the wire."""

    status = 400
    code = "0400"

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class MissingParameter(BadParameter):
    """A required parameter is missing."""

    code = "0201"

    def __init__(self, name: str) -> None:
        super().__init__(name, f"Parameter '{name}' is missing: add it and try again.")


class UnknownParameter(BadParameter):
    """Nothing reads this parameter: the message has the nearest of the `names` that something reads."""

    def __init__(self, name: str, names: Iterable[str]) -> None:
        super().__init__(name, f"There is no parameter '{name[:80]}' here: {hint(name, names)}")


class NotSignedIn(PsthreadsError):
    """The request carries no credentials, or wrong ones."""

    status = 401
    code = "0401"

    def __init__(self, message: str = "Sign in first: with HTTP Basic, a Bearer token or a session.") -> None:
        super().__init__(message)


class IdentityMismatch(NotSignedIn):
    """A provider's identity has the name of a member whose account is bound to another one."""

    def __init__(self, username: str) -> None:
        super().__init__(
            f"The provider calls you '{username}', but that account here belongs to another identity there: ask an "
            "administrator of this server."
        )


class NotAllowed(PsthreadsError):
    """The caller is signed in, but may not do this."""

    status = 403
    code = "0403"


class Forgery(NotAllowed):
    """A request may have been made by the page of another site: it lacks the token of a page of ours."""


class ForeignRequest(Forgery):
    """A browser sends this for a page of another site, which could act with its member's credentials."""

    def __init__(self, origin: str) -> None:
        site = f"'{origin}'" if origin else "another site"
        super().__init__(
            f"This request comes from {site}, not from a page of this server, so nothing was done. If this server has "
            "that name, an administrator can add it to PSTHREADS_ORIGINS."
        )


class NotFound(PsthreadsError):
    """Something does not exist, or is hidden from the caller."""

    status = 404
    code = "0404"


class ThreadNotFound(NotFound):
    """There is no such thread, or at group level it belongs to another group."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"Thread '{thread_id}' does not exist here: list the threads to see which do.")


class GroupNotFound(NotFound):
    """There is no such group."""

    code = "0202"

    def __init__(self, group: str) -> None:
        super().__init__(f"Group '{group}' does not exist.")


class MemberNotFound(NotFound):
    """There is no such member."""

    code = "0204"

    def __init__(self, member: str) -> None:
        super().__init__(f"Member '{member}' does not exist.")


class DocumentNotFound(NotFound):
    """There is no such document or folder in the group."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no document or folder '{path}' in this group.")


class UnsafePath(BadParameter):
    """A path would leave the group's folder, or is not a path."""

    def __init__(self, path: str, reason: str, name: str = "path") -> None:
        super().__init__(name, f"The path '{path}' is not accepted: {reason}.")


class Conflict(PsthreadsError):
    """Something exists already, or its state does not allow this."""

    status = 409
    code = "0409"


class TooLarge(PsthreadsError):
    """An upload is larger than PSTHREADS_MAX_UPLOAD. Nothing of it is stored."""

    status = 413
    code = "0413"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"More than {limit:,} bytes cannot be uploaded at once: send less, or have PSTHREADS_MAX_UPLOAD raised."
        )


class NoSpace(PsthreadsError):
    """The disk is full, or nearly. Nothing of the upload is stored."""

    status = 507
    code = "0507"

    def __init__(self) -> None:
        super().__init__("There is no space left on the server's disk: ask its administrator, then send it again.")


class GivenUp(Conflict):
    """An execution was given up, so that its thread may belong to another one: it must not change anything any more."""

    def __init__(self) -> None:
        super().__init__("This execution was given up, since its worker was cut off or lost: it changes nothing more.")


class QuotaReached(PsthreadsError):
    """A group uses as much of Redis or of the disk as it may. Nothing was started or stored."""

    status = 507
    code = "0507"


class IdempotencyConflict(PsthreadsError):
    """The same Idempotency-Key was sent with another request."""

    status = 422
    code = "0422"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request: use a new key for a new request.")


class TooManyRequests(PsthreadsError):
    """A rate limit is reached; `retry_after` is how many seconds to wait before the next try."""

    status = 429
    code = "0429"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyGuesses(TooManyRequests):
    """Too many wrong credentials came for an account or from an address."""


class CheckTooSlow(PsthreadsError):
    """A check of a process took longer than `PSTHREADS_CHECK_LIMIT`. Nothing was started."""

    status = 503
    code = "0503"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The check before this start took longer than {seconds:g} s: try again later, or with less.")


class Unavailable(PsthreadsError):
    """Redis does not answer, or refuses writes. Nothing was changed, and the request can be sent again."""

    status = 503
    code = "0503"

    def __init__(self, message: str = "Redis cannot be reached: try again in a few seconds.") -> None:
        super().__init__(message)


class NotReplicated(Unavailable):
    """Redis has carried it out, but too few replicas have it (`PSTHREADS_REPLICAS`): a failover may undo it."""

    def __init__(
        self,
        message: str = "Redis has done this, but too few of its replicas have it yet, and a failover may undo it: try "
        "again in a few seconds, without an Idempotency-Key only after a look at the list.",
    ) -> None:
        super().__init__(message)


class StoreFull(Unavailable):
    """Redis has used all the memory that it may."""


class StoreRefuses(Unavailable):
    """Redis refuses this program's user, or is none that psthreads can use. That does not pass by itself."""


class WrongInstallation(Unavailable):
    """Redis and the documents' store do not belong together. The message says which is wrong and what to do."""


class StorageFailed(Exception):
    """The object store does not answer, or refuses. What was asked of it may be tried again later.

    It is no PsthreadsError, since that may be about one document, which is then reported and left out. Nothing may be
    left out because a store fails: the thread ends as failed.
    """

    def __init__(self, url: str, reason: str, key: str = "") -> None:
        at = f" at {key}" if key else ""
        super().__init__(
            f"The object store {url} failed{at}: {reason}. Try again; `psthreads doctor` says what it can see."
        )
