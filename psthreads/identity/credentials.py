"""The credentials that a request can carry, and how the directory's answer to them is read."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from psthreads.domain.access import Caller, Group, Member, Role, TokenScope
from psthreads.domain.errors import BadParameter
from psthreads.identity.throttles import network

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.@-]{0,64}")
_NOBODY: Final = "?"  # no member or group can have this name


@dataclass(frozen=True, slots=True)
class Token:
    """A personal token in plain text, or an access token."""

    plain: str

    @property
    def claim(self) -> tuple[str, str]:
        """The kind of credential and what it claims, as lua/identify.lua takes them."""
        return "token", digest(self.plain)


@dataclass(frozen=True, slots=True)
class Password:
    """A username and a password, from HTTP Basic or a form.

    `device` is the key of a browser in which this member has signed in before, empty for every other.
    """

    username: str
    plain: str
    device: str = ""

    @property
    def claim(self) -> tuple[str, str]:
        """The kind and the claim, as `Token.claim` returns them."""
        return "password", key_of(self.username)


@dataclass(frozen=True, slots=True)
class Session:
    """The content of a session cookie. It is valid until the session is signed out, or the member's stamp changes.

    `key` is the session's own, `until` its end in seconds since the epoch, 0 for none.
    """

    member_id: int
    stamp: str
    key: str = ""
    until: float = 0.0

    @property
    def claim(self) -> tuple[str, str]:
        """The kind and the claim, as `Token.claim` returns them."""
        return "session", f"{self.member_id}:{self.stamp}:{self.key}"


@dataclass(frozen=True, slots=True)
class Vouched:
    """A member whom the program vouches for, of which psthreads is a part: it has signed them in itself.

    `is_ambient` says whether a browser may have sent by itself what that program went by.
    """

    username: str
    is_ambient: bool = False

    @property
    def claim(self) -> tuple[str, str]:
        """The kind and the claim, as `Token.claim` returns them."""
        return "vouched", key_of(self.username)


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody at an outside provider: its issuer, and the subject that it gives to nobody else and never changes."""

    issuer: str
    subject: str

    @property
    def digest(self) -> str:
        """What the directory looks the identity up by."""
        return digest(f"{self.issuer}\0{self.subject}")

    @property
    def host(self) -> str:
        """The name of the provider, for people."""
        return urlsplit(self.issuer).netloc


Credential = Token | Password | Session | Vouched


@dataclass(frozen=True, slots=True)
class Identification:
    """The caller behind a claim, and for a password what it takes to verify it.

    `stored` is the password's hash, None where the claim is no password. `failures` counts the wrong passwords in a
    row, `is_locked` says whether that has locked the account for now, and `was_right` whether a password from the same
    network was right lately.
    """

    caller: Caller
    stored: str | None = None
    stamp: str = ""
    failures: int = 0
    is_locked: bool = False
    was_right: bool = False


def identify_arguments(
    credential: Credential, group_ref: str | None, address: str | None = None
) -> tuple[str, str, str]:
    """Return the arguments of lua/identify.lua."""
    kind, claim = credential.claim
    if kind == "password":
        claim = f"{claim} {network(address) if address is not None else ''}"
    return kind, claim, "" if group_ref is None else key_of_ref(group_ref)


@lru_cache(maxsize=4096)
def parse_identification(line: bytes) -> Identification:
    """Parse an answer of lua/identify.lua. The result depends on the line alone, so the cache is never out of date."""
    member_id, username, admin, group_id, group_name, role, scope_text, *secrets = line.decode().split(" ")
    caller = Caller(
        Member(int(member_id), username, admin == "1"),
        None if group_id == "-" else Group(int(group_id), group_name),
        None if role == "-" else Role(role),
        None if scope_text == "-" else read_token_scope(scope_text),
    )
    if not secrets:
        return Identification(caller)
    stored, stamp, failures, is_locked, was_right = secrets
    return Identification(caller, stored, stamp, int(failures), is_locked == "1", was_right == "1")


def write_token_scope(token_scope: TokenScope | None) -> str:
    """Return a scope as it is stored: `r` for reading, `a` for acting, and after a colon the ids of groups.

    Empty where nothing is narrowed.
    """
    if token_scope is None or token_scope == TokenScope():
        return ""
    # A scope that allows nothing must not look like none.
    kinds = f"{'r' * token_scope.read}{'a' * token_scope.act}" or "0"
    if token_scope.groups is None:
        return kinds
    return f"{kinds}:{','.join(map(str, sorted(token_scope.groups)))}"


def read_token_scope(text: str) -> TokenScope | None:
    """Parse a scope that `write_token_scope` wrote."""
    if not text:
        return None
    kinds, colon, ids = text.partition(":")
    groups = frozenset(map(int, filter(None, ids.split(",")))) if colon else None
    return TokenScope("r" in kinds, "a" in kinds, groups)


def digest(token: str) -> str:
    """Return what is stored of a token. It is long and random, so that a plain SHA-256 reveals nothing of it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def key_of(ref: str) -> str:
    """Return the form in which a name or id is looked up; for text that can be neither, one that does not exist."""
    return ref.lower() if _NAME.fullmatch(ref) else _NOBODY


def key_of_ref(ref: str) -> str:
    """Return the key of a member or a group that a request names: PageSeeder's clients mark a name by a leading `~`."""
    return key_of(ref.removeprefix("~"))


def name_range(prefix: str, after: str) -> tuple[str, str] | None:
    """Return the prefix, and the name to start after, in the form in which they are looked up.

    None where no name can have this prefix.
    """
    if not _PREFIX.fullmatch(prefix):
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
    """Raise BadParameter unless this can be a name and has a character that is no digit."""
    check_name(parameter, name)
    if name.isdigit():
        raise BadParameter(parameter, f"'{name}' would look like an id: use a letter too.")
