"""Members, groups, memberships and credentials in Redis: the only owner of their keys.

The keys are named in lua/directory_common.lua. Every method is one script, so one round trip, and
happens whole or not at all; all raise Unavailable when Redis is away or takes no writes.

Names of members, groups and tokens have 1 to 64 characters: ASCII letters, digits and `_.@-`, the first a
letter, a digit or `_`. Those of members and groups are unique and found without regard to case, and are
never digits only, so that a reference is either an id or a name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from redis import Redis

from psthreads.access import Group, Member, Reach, Role, Sight
from psthreads.credentials import (
    Credential,
    Found,
    Password,
    Session,
    Token,
    asked,
    check_name,
    check_name_is_no_id,
    digest,
    key_of,
    read,
    read_reach,
    write_reach,
)
from psthreads.errors import BadParameter, Conflict, GroupNotFound, MemberNotFound, NotFound, NotSignedIn
from psthreads.oauth_clients import Clients
from psthreads.passwords import Passwords
from psthreads.scripts import Scripts
from psthreads.throttles import Throttles

SCRIPTS: Final = (
    *("identify", "find", "list", "add", "update", "remove", "link", "links"),
    *("create_token", "tokens", "revoke_token", "guessed", "unlock", "locks", "end_session"),
)

_LONGEST_EXPIRY: Final = 10 * 366 * 24 * 3600
# The same for all that can be wrong: to be told of a lock would be to be told that there is such a member.
_REFUSED: Final = (
    "These credentials are not accepted: check them, or ask an administrator whether they have expired or are locked."
)


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's role in a group."""

    member: Member
    group: Group
    role: Role


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token without the token. Times are milliseconds since the epoch, 0 for never."""

    name: str
    created: int
    expires: int
    reach: Reach | None = None


class Directory:
    """The members, the groups and who belongs where. The client must hand out bytes, as it does by default."""

    def __init__(self, redis: Redis, passwords: Passwords | None = None, throttles: Throttles | None = None) -> None:
        self.passwords = passwords or Passwords()
        self.clients = Clients(redis)
        self._throttles = throttles
        self._run = Scripts(redis, SCRIPTS).run

    # Who asks: one round trip, on the path of every request.

    def identify(self, credential: Credential, group_ref: str | None = None, *, address: str | None = None) -> Sight:
        """Who holds the credential, and their role in the group with this id or name.

        Raises NotSignedIn, in the same words whatever was wrong, and only for good credentials
        GroupNotFound. A password costs tens of milliseconds when it was not seen lately. With the address that it
        comes from, what is wrong is counted, and too much of it raises TooManyRequests.
        """
        return self._sight(credential, group_ref, self._run("identify", *asked(credential, group_ref)), address)

    def identify_with(
        self, credential: Credential, group_ref: str | None, key: str, field: str, *, address: str | None = None
    ) -> tuple[Sight, bytes | None]:
        """As `identify`, and in the same round trip a field of a hash that somebody else owns.

        The field is None where it does not exist.
        """
        reply = self._run("identify", *asked(credential, group_ref), key, field)
        line, value = reply or (None, None)
        return self._sight(credential, group_ref, line, address), value

    def sign_in(self, username: str, password: str, *, address: str | None = None) -> tuple[Member, Session]:
        """The member behind a username and password, and what their session's cookie has to carry."""
        credential = Password(username, password)
        line = self._run("identify", *asked(credential, None))
        member = self._sight(credential, None, line, address).member
        return member, Session(member.id, read(line).stamp, _nonce())

    def vouched(self, username: str) -> tuple[Member, Session]:
        """As `sign_in` for whom somebody else vouches for; raises MemberNotFound, also for a locked account."""
        line = self._run("identify", *asked(Password(username, ""), None))
        found = None if line is None else read(line)
        if found is None or found.stored is None:
            raise MemberNotFound(username)
        return found.sight.member, Session(found.sight.member.id, found.stamp, _nonce())

    def end_session(self, session: Session, seconds: int) -> None:
        """End this session; `seconds` is for how long its cookie would still be taken."""
        self._run("end_session", session.key, max(1, seconds))

    def _sight(self, credential: Credential, group_ref: str | None, line: bytes | None, address: str | None) -> Sight:
        """The sight in what the script answers to these arguments; raises as `identify` does."""
        found = None if line is None else read(line)
        if isinstance(credential, Password):
            if not self._is_right(credential, found, address):
                raise NotSignedIn(_REFUSED)
        elif found is None and self._throttles and address is not None and isinstance(credential, Token):
            self._throttles.count_wrong(address)
        if found is None:
            raise NotSignedIn(_REFUSED)
        if group_ref is not None and found.sight.group is None:
            raise GroupNotFound(group_ref)
        return found.sight

    def _is_right(self, credential: Password, found: Found | None, address: str | None) -> bool:
        stored = found.stored if found else None
        throttles = None if address is None else self._throttles
        name, origin = key_of(credential.username), address or ""
        # An unknown username has its password verified too, so that it takes as long.
        if throttles is None:
            right = self.passwords.verify(stored, credential.plain)
        else:

            def count() -> None:
                throttles.count_guess(name, origin)
                self._run("guessed", name, throttles.lock_after)

            right = self.passwords.verify(stored, credential.plain, lambda: throttles.admit_guess(name, origin), count)
        if right and found and found.failures:
            self._run("unlock", found.sight.member.id, 0)
        return right

    # Members.

    def add_member(self, username: str, password: str, *, admin: bool = False) -> Member:
        """Add a member; raises BadParameter for a bad name or password, Conflict for a taken name."""
        check_name_is_no_id("username", username)
        fields = ("username", username, "password", self.passwords.hash(password))
        return Member(self._add("member", username, *fields, "admin", int(admin), "stamp", _nonce()), username, admin)

    def change_password(self, member: Member, password: str) -> None:
        """Change the password, which ends the member's sessions too; tokens stay. Raises MemberNotFound."""
        self._update(member, "password", self.passwords.hash(password), "stamp", _nonce())

    def set_admin(self, member: Member, *, admin: bool) -> Member:
        """Give or take away the flag, and return the member as it then is; raises MemberNotFound."""
        self._update(member, "admin", int(admin))
        return Member(member.id, member.username, admin)

    def sign_out_everywhere(self, member: Member) -> None:
        """End all sessions of the member; password and tokens stay. Raises MemberNotFound."""
        self._update(member, "stamp", _nonce())

    def unlock(self, member: Member) -> bool:
        """Lift the lock of the member's account; gives whether there was one. Raises MemberNotFound."""
        if (lifted := self._run("unlock", member.id, 1)) < 0:
            raise MemberNotFound(member.username)
        return bool(lifted)

    def locks(self) -> dict[int, int]:
        """The ids of the members whose accounts are locked, and since when, in milliseconds since the epoch."""
        return {int(member_id): int(since) for member_id, since in self._run("locks")}

    def remove_member(self, member: Member) -> None:
        """Remove the member with its memberships, sessions, tokens and clients; its id is never given again.

        Raises MemberNotFound.
        """
        if not self._run("remove", "member", member.id):
            raise MemberNotFound(member.username)

    def find_member(self, ref: str) -> Member:
        """The member with this id or username, with or without a leading `~`; raises MemberNotFound."""
        if found := self._run("find", "member", key_of(ref.removeprefix("~"))):
            return _member(found)
        raise MemberNotFound(ref)

    def members(self) -> tuple[Member, ...]:
        """All members, by id."""
        return tuple(sorted(map(_member, self._run("list", "member")), key=attrgetter("id")))

    # Groups.

    def add_group(self, name: str) -> Group:
        """Add a group; raises BadParameter for a bad name, Conflict for a taken one."""
        check_name_is_no_id("group", name)
        return Group(self._add("group", name, "name", name), name)

    def remove_group(self, group: Group) -> None:
        """Remove the group and its memberships, not its documents and threads; raises GroupNotFound.

        Its id is never given again.
        """
        if not self._run("remove", "group", group.id):
            raise GroupNotFound(group.name)

    def find_group(self, ref: str) -> Group:
        """The group with this id or name; raises GroupNotFound."""
        if found := self._run("find", "group", key_of(ref)):
            return _group(found)
        raise GroupNotFound(ref)

    def groups(self) -> tuple[Group, ...]:
        """All groups, by id."""
        return tuple(sorted(map(_group, self._run("list", "group")), key=attrgetter("id")))

    # Memberships.

    def set_membership(self, member: Member, group: Group, role: Role) -> Membership:
        """Give the member this role, and no other, in the group; raises MemberNotFound, GroupNotFound."""
        self._link(member, group, role.value)
        return Membership(member, group, role)

    def remove_membership(self, member: Member, group: Group) -> None:
        """End the membership; raises MemberNotFound, GroupNotFound, or NotFound where there is none."""
        self._link(member, group, "")

    def memberships(self, member: Member) -> tuple[Membership, ...]:
        """The member's memberships, by the group's id; none for a member that is gone."""
        links = self._run("links", "member", member.id)
        found = (Membership(member, _group(group), Role(role.decode())) for role, group in links)
        return tuple(sorted(found, key=attrgetter("group.id")))

    def members_of(self, group: Group) -> tuple[Membership, ...]:
        """The group's memberships, by the member's id; none for a group that is gone."""
        links = self._run("links", "group", group.id)
        found = (Membership(_member(member), group, Role(role.decode())) for role, member in links)
        return tuple(sorted(found, key=attrgetter("member.id")))

    # Tokens.

    def create_token(self, member: Member, name: str, expires_in: int | None = None, reach: Reach | None = None) -> str:
        """A new token of the member, which is stored as a hash only: nobody can be shown it again.

        `expires_in` is in seconds, from 1 to ten years, None for never. Raises BadParameter,
        MemberNotFound, and Conflict where another token of the member has the name.
        """
        check_name("name", name)
        if expires_in is not None and not 1 <= expires_in <= _LONGEST_EXPIRY:
            raise BadParameter("expires", "A token expires after 1 second to 10 years: choose another time.")
        plain = f"pst_{secrets.token_urlsafe(32)}"
        verdict = self._run("create_token", member.id, name, digest(plain), expires_in or 0, write_reach(reach))
        if verdict == b"member":
            raise MemberNotFound(member.username)
        if verdict == b"name":
            raise Conflict(f"Member '{member.username}' has a token '{name}': revoke it, or choose another name.")
        return plain

    def tokens(self, member: Member) -> tuple[TokenInfo, ...]:
        """The member's tokens that have not expired, oldest first."""
        tokens = self._run("tokens", member.id)
        found = (
            TokenInfo(name.decode(), int(created), int(expires), read_reach((reach or b"").decode()))
            for name, created, expires, reach in tokens
        )
        return tuple(sorted(found, key=attrgetter("created", "name")))

    def revoke_token(self, member: Member, name: str) -> None:
        """End a token at once; raises NotFound where the member has none of this name."""
        check_name("name", name)
        if not self._run("revoke_token", member.id, name):
            raise NotFound(f"Member '{member.username}' has no token '{name}'.")

    def _link(self, member: Member, group: Group, role: str) -> None:
        missing = self._run("link", member.id, group.id, role)
        if missing == b"member":
            raise MemberNotFound(member.username)
        if missing == b"group":
            raise GroupNotFound(group.name)
        if missing == b"membership":
            raise NotFound(f"Member '{member.username}' has no membership in group '{group.name}'.")

    def _add(self, kind: str, name: str, *fields: str | int) -> int:
        new_id = self._run("add", kind, key_of(name), _nonce(), *fields)
        if new_id is None:
            raise Conflict(f"There is a {kind} '{name}' already: choose another name.")
        return int(new_id)

    def _update(self, member: Member, *fields: str | int) -> None:
        if not self._run("update", member.id, *fields):
            raise MemberNotFound(member.username)


def _nonce() -> str:
    return secrets.token_hex(16)


def _member(found: list[bytes]) -> Member:
    member_id, username, admin = found
    return Member(int(member_id), username.decode(), admin == b"1")


def _group(found: list[bytes]) -> Group:
    group_id, name = found
    return Group(int(group_id), name.decode())
