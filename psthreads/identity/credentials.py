"""What a request can show for who it comes from, and the reading of the directory's answer to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from psthreads.domain.access import Caller, Group, Member, Role, TokenScope
from psthreads.domain.errors import BadParameter

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_BEGINNING: Final = re.compile(r"[A-Za-z0-9_.@-]{0,64}")
_NOBODY: Final = "?"  # stands for a name that nothing can have


@dataclass(frozen=True, slots=True)
class Token:
    """A personal token, as its owner was shown it, or an access token."""

    plain: str

    @property
    def claim(self) -> tuple[str, str]:
        """The kind of credential and what it claims, as lua/identify.lua takes them."""
        return "token", digest(self.plain)


@dataclass(frozen=True, slots=True)
class Password:
    """A username and a password, from HTTP Basic or a form."""

    username: str
    plain: str

    @property
    def claim(self) -> tuple[str, str]:
        """As for a token."""
        return "password", key_of(self.username)


@dataclass(frozen=True, slots=True)
class Session:
    """What a session cookie carries; it holds until the session is signed out, or the member's stamp changes.

    `key` is the session's own, `until` the moment of its end in seconds since the epoch, 0 for none.
    """

    member_id: int
    stamp: str
    key: str = ""
    until: float = 0.0

    @property
    def claim(self) -> tuple[str, str]:
        """As for a token."""
        return "session", f"{self.member_id}:{self.stamp}:{self.key}"


Credential = Token | Password | Session


def identify_arguments(credential: Credential, group_ref: str | None) -> tuple[str, str, str]:
    """Return the arguments of lua/identify.lua."""
    return (*credential.claim, "" if group_ref is None else key_of(group_ref))


@dataclass(frozen=True, slots=True)
class Identification:
    """What the directory knows of a claim: the sight, and for a password what it takes to verify it.

    `stored` is None where no password will do: none is asked for, or the account is locked.
    """

    caller: Caller
    stored: str | None = None
    stamp: str = ""
    failures: int = 0


@lru_cache(maxsize=4096)
def read(line: bytes) -> Identification:
    """What an answer of lua/identify.lua says.

    A pure function of the line, so what is remembered of it cannot be out of date.
    """
    member_id, username, admin, group_id, group_name, role, scope_text, *secrets = line.decode().split(" ")
    caller = Caller(
        Member(int(member_id), username, admin == "1"),
        None if group_id == "-" else Group(int(group_id), group_name),
        None if role == "-" else Role(role),
        None if scope_text == "-" else read_token_scope(scope_text),
    )
    if not secrets:
        return Identification(caller)
    stored, stamp, failures = secrets
    return Identification(caller, None if stored == "-" else stored, stamp, int(failures))


def write_token_scope(token_scope: TokenScope | None) -> str:
    """A reach as it is stored: `r` for reading, `a` for acting, and after a colon the ids of groups; empty for none."""
    if token_scope is None or token_scope == TokenScope():
        return ""
    groups = (
        "" if token_scope.groups is None else f":{','.join(str(group_id) for group_id in sorted(token_scope.groups))}"
    )
    # A reach of nothing must not look like none.
    return f"{'r' * token_scope.read}{'a' * token_scope.act or '0'}{groups}"


def read_token_scope(text: str) -> TokenScope | None:
    """The reach that is stored so."""
    if not text:
        return None
    kinds, colon, ids = text.partition(":")
    groups = frozenset(map(int, filter(None, ids.split(",")))) if colon else None
    return TokenScope("r" in kinds, "a" in kinds, groups)


def digest(token: str) -> str:
    """What is stored of a token: it is long and random, so that a plain SHA-256 says nothing of it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def key_of(ref: str) -> str:
    """The form in which a name or id is looked up; for what can be neither, one that is never found."""
    return ref.lower() if _NAME.fullmatch(ref) else _NOBODY


def can_begin(prefix: str, after: str) -> tuple[str, str] | None:
    """What names begin with and come after, as they are looked up; None where no name begins so."""
    if not _BEGINNING.fullmatch(prefix):
        return None
    return prefix.lower(), after.lower() if _NAME.fullmatch(after) and after.lower() >= prefix.lower() else ""


def check_name(parameter: str, name: str) -> None:
    """Raise BadParameter, for the parameter of this name, unless this can be a name."""
    if not _NAME.fullmatch(name):
        raise BadParameter(
            parameter,
            f"'{name}' cannot be a name: use 1 to 64 letters, digits and _ . @ - "
            "and begin with a letter, a digit or _.",
        )


def check_name_is_no_id(parameter: str, name: str) -> None:
    """As `check_name`, and digits only will not do."""
    check_name(parameter, name)
    if name.isdigit():
        raise BadParameter(parameter, f"'{name}' would look like an id: use a letter too.")
