"""Changes of members, groups, memberships, tokens and clients, on behalf of an origin that the audit records.

Every method is one script: one round trip that happens whole or not at all, audit entry included. A call that changes
nothing leaves no entry. All raise Unavailable when Redis is away or takes no writes. directory.py gives the rules for
names.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from psthreads.audit.entries import Origin
from psthreads.database.scripts import Scripts
from psthreads.domain.access import Group, Member, Role, TokenScope
from psthreads.domain.errors import BadParameter, Conflict, GroupNotFound, MemberNotFound, NotFound
from psthreads.identity import password_rules
from psthreads.identity.credentials import check_name, check_name_is_no_id, digest, key_of, write_token_scope
from psthreads.identity.oauth_clients import check_credentials, new_credentials
from psthreads.identity.passwords import Passwords
from psthreads.identity.records import Membership, scope_words

MOST_TOKENS: Final = 200
"""The number of living tokens that a member can have: members make their own, and a list costs by their number."""

LONGEST_EXPIRY: Final = 10 * 366 * 24 * 3600
"""The longest life of a token that expires, in seconds."""

_NO_PASSWORD: Final = "!"  # noqa: S105 (no password has this hash)
_MOST_GROUPS: Final = 100  # whose names a password may not be
_REFUSALS: Final = {
    b"self": "You cannot {} yourself: another administrator can.",
    b"last": "'{}' is the last administrator: make another one first.",
}


class Administration:
    """The changes that one origin makes: who, from where and why. `Directory.by` makes one."""

    def __init__(
        self,
        scripts: Scripts,
        passwords: Passwords,
        origin: Origin,
        highest_id: Callable[[str], int],
        site_names: tuple[str, ...],
    ) -> None:
        self._run = scripts.run
        self._highest_id = highest_id
        self._passwords = passwords
        self._site_names = site_names
        self._origin = origin.fields()

    # Members.

    def add_member(self, username: str, password: str | None, *, admin: bool = False) -> Member:
        """Add a member; raise BadParameter for a bad name or password, Conflict for a taken name.

        Without a password the member cannot sign in with one until it is set.
        """
        check_name_is_no_id("username", username)
        if password is not None:
            password_rules.check(password, (username, *self._site_names))
        fields = {
            "username": username,
            "password": _NO_PASSWORD if password is None else self._passwords.hash(password),
            "admin": str(int(admin)),
            "stamp": nonce(),
        }
        return Member(self._add("member", username, fields), username, admin)

    def change_password(self, member: Member, password: str, *, stamp: str = "") -> str:
        """Change the password, which also ends the member's sessions, and return the new sessions' stamp. Tokens stay.

        With `stamp`, only while the sessions have this one. Raises BadParameter for a bad password, MemberNotFound, and
        Conflict where the stamp has changed.
        """
        links = self._run("search_links", "member", member.id, "", "", _MOST_GROUPS)
        groups = (name.decode() for _, (_, name) in links)
        password_rules.check(password, (member.username, *self._site_names, *groups))
        fields = {"password": self._passwords.hash(password), "stamp": nonce()}
        self._update(member, "member.password", fields, stamp)
        return fields["stamp"]

    def set_admin(self, member: Member, *, admin: bool) -> Member:
        """Set or clear the administrator's flag, and return the changed member.

        Raises MemberNotFound, and Conflict where members would clear their own flag, or the last one.
        """
        verdict = self._run("set_admin", member.id, int(admin), self._origin)
        self._check(verdict, member, "take the administrator's rights from")
        return Member(member.id, member.username, admin)

    def sign_out_everywhere(self, member: Member) -> None:
        """End all sessions of the member; password and tokens stay. Raises MemberNotFound."""
        self._update(member, "session.end-all", {"stamp": nonce()})

    def unlock(self, member: Member) -> bool:
        """Unlock the member's account; return whether it was locked. Raises MemberNotFound."""
        if (unlocked := self._run("unlock", member.id, self._origin, even_full=True)) < 0:
            raise MemberNotFound(member.username)
        return bool(unlocked)

    def unbind(self, member: Member) -> bool:
        """Unbind the account from its identity at an outside provider, and end the member's sessions.

        The next identity there that has the member's name is bound. Returns whether it was bound; raises
        MemberNotFound.
        """
        if (unbound := self._run("unbind", member.id, self._origin, nonce())) < 0:
            raise MemberNotFound(member.username)
        return bool(unbound)

    def remove_member(self, member: Member, *, keep_threads: bool = False) -> None:
        """Remove the member with its memberships, sessions, tokens and clients. Its id is never used again.

        Its waiting threads are refused when they would begin, but for `keep_threads`.

        Raises MemberNotFound, and Conflict where administrators would remove themselves, or the last one.
        """
        keep = "1" if keep_threads else ""
        self._check(self._run("remove", "member", member.id, self._origin, keep, even_full=True), member, "remove")

    # Groups.

    def add_group(self, name: str) -> Group:
        """Add a group; raise BadParameter for a bad name, Conflict for a taken one."""
        check_name_is_no_id("group", name)
        return Group(self._add("group", name, {"name": name}), name)

    def remove_group(self, group: Group) -> None:
        """Remove the group and its memberships, not its documents and threads; raise GroupNotFound.

        Its id is never used again.
        """
        if self._run("remove", "group", group.id, self._origin, even_full=True) != b"done":
            raise GroupNotFound(group.name)

    # Memberships.

    def set_membership(self, member: Member, group: Group, role: Role) -> Membership:
        """Give the member this role, and no other, in the group; raise MemberNotFound, GroupNotFound."""
        self._link(member, group, role.value)
        return Membership(member, group, role)

    def remove_membership(self, member: Member, group: Group, *, keep_threads: bool = False) -> None:
        """End the membership; raise MemberNotFound, GroupNotFound, or NotFound where there is none.

        The member's waiting threads in the group are refused when they would begin, but for `keep_threads`.
        """
        self._link(member, group, "", keep_threads=keep_threads)

    # Tokens and clients.

    def create_token(
        self, member: Member, name: str, expires_in: int | None = None, token_scope: TokenScope | None = None
    ) -> str:
        """Return a new token of the member. Only its hash is stored: it cannot be shown again.

        `expires_in` is in seconds, from 1 to ten years, None for never. Raises BadParameter, MemberNotFound, and
        Conflict where another token of the member has the name, or the member has 200 tokens.
        """
        check_name("name", name)
        if expires_in is not None and not 1 <= expires_in <= LONGEST_EXPIRY:
            raise BadParameter("expires", "A token expires after 1 second to 10 years: choose another time.")
        plain = f"pst_{secrets.token_urlsafe(32)}"
        verdict = self._run(
            "create_token",
            {
                "member": str(member.id),
                "name": name,
                "digest": digest(plain),
                "seconds": expires_in or 0,
                "scope": write_token_scope(token_scope),
                "scope_words": scope_words(token_scope),
                "origin": self._origin,
                "most": MOST_TOKENS,
            },
        )
        if verdict == b"member":
            raise MemberNotFound(member.username)
        if verdict == b"many":
            raise Conflict(f"Member '{member.username}' has {MOST_TOKENS} tokens, as many as may be: revoke one first.")
        if verdict == b"name":
            raise Conflict(f"Member '{member.username}' has a token '{name}': revoke it, or choose another name.")
        return plain

    def revoke_token(self, member: Member, name: str) -> None:
        """End a token at once; raise NotFound where the member has none of this name."""
        check_name("name", name)
        if not self._run("revoke_token", member.id, name, self._origin, even_full=True):
            raise NotFound(f"Member '{member.username}' has no token '{name}'.")

    def add_client(
        self,
        member: Member,
        name: str,
        token_scope: TokenScope | None = None,
        *,
        credentials: tuple[str, str] | None = None,
    ) -> tuple[str, str]:
        """Return the id and the secret of a new OAuth client of the member. The secret cannot be shown again.

        With `credentials`, the id and secret that a program has from another server, these are the client's.
        Raises BadParameter, MemberNotFound, and Conflict where another client of the member has the name, or any has
        the id.
        """
        check_name("name", name)
        client_id, secret = check_credentials(*credentials) if credentials else new_credentials()
        verdict = self._run(
            "add_client",
            {
                "member": str(member.id),
                "name": name,
                "client": client_id,
                "secret": digest(secret),
                "scope": write_token_scope(token_scope),
                "scope_words": scope_words(token_scope),
                "origin": self._origin,
            },
        )
        if verdict == b"member":
            raise MemberNotFound(member.username)
        if verdict == b"name":
            raise Conflict(f"Member '{member.username}' has a client '{name}': remove it, or choose another name.")
        if verdict == b"id":
            raise Conflict("There is a client with this id already: remove it first, whoever's it is.")
        return client_id, secret

    def remove_client(self, member: Member, name: str) -> None:
        """Remove a client and end its access tokens at once; raise NotFound where the member has none of this name."""
        check_name("name", name)
        if not self._run("remove_client", member.id, name, self._origin, even_full=True):
            raise NotFound(f"Member '{member.username}' has no client '{name}'.")

    def _check(self, verdict: bytes, member: Member, verb: str) -> None:
        if verdict in {b"member", b"none"}:
            raise MemberNotFound(member.username)
        if verdict in _REFUSALS:
            raise Conflict(_REFUSALS[verdict].format(verb if verdict == b"self" else member.username))

    def _link(self, member: Member, group: Group, role: str, *, keep_threads: bool = False) -> None:
        verdict = self._run("link", member.id, group.id, role, self._origin, "1" if keep_threads else "")
        if verdict == b"member":
            raise MemberNotFound(member.username)
        if verdict == b"group":
            raise GroupNotFound(group.name)
        if verdict == b"membership":
            raise NotFound(f"Member '{member.username}' has no membership in group '{group.name}'.")

    def _add(self, kind: str, name: str, fields: dict[str, str]) -> int:
        new_id = self._run(
            "add",
            {
                "kind": kind,
                "key": key_of(name),
                "name": name,
                "nonce": nonce(),
                "origin": self._origin,
                "fields": fields,
                "above": self._highest_id(kind),
            },
        )
        if new_id is None:
            raise Conflict(f"There is a {kind} '{name}' already: choose another name.")
        return int(new_id)

    def _update(self, member: Member, act: str, fields: dict[str, str], stamp: str = "") -> None:
        verdict = self._run(
            "update",
            {"member": str(member.id), "act": act, "origin": self._origin, "stamp": stamp, "fields": fields},
        )
        if not verdict:
            raise MemberNotFound(member.username)
        if verdict < 0:
            raise Conflict("The password was changed meanwhile, or the sessions ended: sign in, and look again.")


def nonce() -> str:
    """Return 128 random bits in hex."""
    return secrets.token_hex(16)
