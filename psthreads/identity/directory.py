"""Members, groups, memberships and credentials in Redis: the only owner of their keys.

The keys are named in lua/common.lua. Every method is one script, so one round trip, and
happens whole or not at all; all raise Unavailable when Redis is away or takes no writes. What changes something is in
administration.py, and asks for who does it: `directory.by(origin).add_member(…)`.

Names of members, groups and tokens have 1 to 64 characters: ASCII letters, digits and `_.@-`, the first a
letter, a digit or `_`. Those of members and groups are unique and found without regard to case, and are
never digits only, so that a reference is either an id or a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.domain.access import Caller, Group, Member, Role
from psthreads.domain.config import Config
from psthreads.domain.errors import GroupNotFound, MemberNotFound, NotSignedIn
from psthreads.identity import administration
from psthreads.identity import records as roster
from psthreads.identity.administration import Administration
from psthreads.identity.credentials import (
    Credential,
    Identification,
    Password,
    Session,
    Token,
    can_begin,
    identify_arguments,
    key_of,
    read,
    read_token_scope,
)
from psthreads.identity.oauth_clients import Clients
from psthreads.identity.passwords import Passwords
from psthreads.identity.records import Account, DirectoryPage, Membership, TokenInfo
from psthreads.identity.scripts import DirectoryScripts
from psthreads.identity.throttles import Throttles

_PART: Final = 50
# The same for all that can be wrong: to be told of a lock would be to be told that there is such a member.
_REFUSED: Final = (
    "These credentials are not accepted: check them, or ask an administrator whether they have expired or are locked."
)


class Directory:
    """The members, the groups and who belongs where. The client must hand out bytes, as it does by default."""

    def __init__(
        self,
        redis: Redis,
        passwords: Passwords | None = None,
        throttles: Throttles | None = None,
        config: Config | None = None,
    ) -> None:
        self.passwords = passwords or Passwords()
        self._scripts = DirectoryScripts(redis, config or Config())
        self._run = self._scripts.run
        self.clients = Clients(self._scripts)
        self._throttles = throttles

    def by(self, origin: Origin) -> Administration:
        """What can be changed, done by this origin."""
        return Administration(self._scripts, self.passwords, origin)

    # Who asks: one round trip, on the path of every request.

    def identify(self, credential: Credential, group_ref: str | None = None, *, address: str | None = None) -> Caller:
        """Who holds the credential, and their role in the group with this id or name.

        Raises NotSignedIn, in the same words whatever was wrong, and only for good credentials
        GroupNotFound. A password costs tens of milliseconds when it was not seen lately. With the address that it
        comes from, what is wrong is counted, and too much of it raises TooManyRequests.
        """
        return self._caller(
            credential, group_ref, self._run("identify", *identify_arguments(credential, group_ref)), address
        )

    def identify_with(
        self, credential: Credential, group_ref: str | None, key: str, field: str, *, address: str | None = None
    ) -> tuple[Caller, bytes | None]:
        """As `identify`, and in the same round trip a field of a hash that somebody else owns.

        The field is None where it does not exist.
        """
        reply = self._run("identify", *identify_arguments(credential, group_ref), key, field)
        line, value = reply or (None, None)
        return self._caller(credential, group_ref, line, address), value

    def sign_in(self, username: str, password: str, *, address: str | None = None) -> tuple[Member, Session]:
        """The member behind a username and password, and what their session's cookie has to carry.

        Raises as `identify` does. The audit has it.
        """
        credential = Password(username, password)
        line = self._run("identify", *identify_arguments(credential, None))
        member = self._caller(credential, None, line, address).member
        return member, self.begin_session(member, read(line).stamp, "by password", address=address)

    def vouched(self, username: str, vouches: str, *, address: str | None = None) -> tuple[Member, Session]:
        """As `sign_in` for whom somebody else vouches for; raises MemberNotFound, also for a locked account."""
        line = self._run("identify", *identify_arguments(Password(username, ""), None))
        found = None if line is None else read(line)
        if found is None or found.stored is None:
            raise MemberNotFound(username)
        member = found.caller.member
        return member, self.begin_session(member, found.stamp, f"by {vouches}", address=address)

    def begin_session(self, member: Member, stamp: str, how: str, *, address: str | None = None) -> Session:
        """A session of who has proven to be the member, with the stamp that sessions have; `how` is for the audit.

        Raises NotSignedIn where the stamp has changed.
        """
        origin = Origin(member.username, member.id, address or "")
        if not self._run("begin_session", member.id, stamp, origin.fields(), how):
            raise NotSignedIn(_REFUSED)  # The password was changed, or the member removed, a moment ago.
        return Session(member.id, stamp, administration.nonce())

    def end_session(self, session: Session, seconds: int, *, address: str | None = None) -> None:
        """End this session; `seconds` is for how long its cookie would still be taken. The audit has it."""
        # The script knows the name.
        origin = Origin("", session.member_id, address or "")
        self._run("end_session", session.key, max(1, seconds), session.member_id, session.stamp, origin.fields())

    def _caller(self, credential: Credential, group_ref: str | None, line: bytes | None, address: str | None) -> Caller:
        """The sight in what the script answers to these arguments; raises as `identify` does."""
        found = None if line is None else read(line)
        if isinstance(credential, Password):
            if not self._is_right(credential, found, address):
                raise NotSignedIn(_REFUSED)
        elif found is None and self._throttles and address is not None and isinstance(credential, Token):
            self._throttles.count_wrong(address)
        if found is None:
            raise NotSignedIn(_REFUSED)
        if group_ref is not None and found.caller.group is None:
            raise GroupNotFound(group_ref)
        return found.caller

    def _is_right(self, credential: Password, found: Identification | None, address: str | None) -> bool:
        stored = found.stored if found else None
        throttles = None if address is None else self._throttles
        name, origin = key_of(credential.username), address or ""
        # An unknown username has its password verified too, so that it takes as long.
        if throttles is None:
            right = self.passwords.verify(stored, credential.plain)
        else:

            def count() -> None:
                throttles.count_guess(name, origin)
                self._run("guessed", name, Origin("", None, origin).fields())

            right = self.passwords.verify(stored, credential.plain, lambda: throttles.admit_guess(name, origin), count)
        if right and found and found.failures:
            self._run("unlock", found.caller.member.id, 0)
        return right

    # Members.

    def find_member(self, ref: str) -> Member:
        """The member with this id or username, with or without a leading `~`; raises MemberNotFound."""
        if found := self._run("find", "member", key_of(ref.removeprefix("~"))):
            return roster.member(found)
        raise MemberNotFound(ref)

    def account(self, ref: str) -> Account:
        """As `find_member`, with all that is known of the account; raises MemberNotFound."""
        if found := self._run("account", key_of(ref.removeprefix("~"))):
            return roster.account(found)
        raise MemberNotFound(ref)

    def members(self) -> tuple[Member, ...]:
        """All members, by id."""
        return tuple(sorted(map(roster.member, self._run("list", "member")), key=attrgetter("id")))

    def find_members(self, prefix: str = "", after: str = "", size: int = _PART) -> DirectoryPage[Account]:
        """The members whose usernames begin so and come after that one, by username, without regard to case.

        It costs the same however many there are, and a part has at most `size` of them.
        """
        if not (begin := can_begin(prefix, after)):
            return DirectoryPage(())
        return roster.part(
            self._run("search", "member", *begin, size), size, roster.account, lambda one: one.member.username
        )

    def locked(self, most: int = 0) -> tuple[Account, ...]:
        """The accounts that are locked, the latest first: so many at most, 0 for all."""
        return tuple(map(roster.account, self._run("locks", most)))

    # Groups.

    def find_group(self, ref: str) -> Group:
        """The group with this id or name; raises GroupNotFound."""
        if found := self._run("find", "group", key_of(ref)):
            return roster.group(found)
        raise GroupNotFound(ref)

    def groups(self) -> tuple[Group, ...]:
        """All groups, by id."""
        return tuple(sorted(map(roster.group, self._run("list", "group")), key=attrgetter("id")))

    def find_groups(self, prefix: str = "", after: str = "", size: int = _PART) -> DirectoryPage[Group]:
        """As `find_members`."""
        if not (begin := can_begin(prefix, after)):
            return DirectoryPage(())
        return roster.part(self._run("search", "group", *begin, size), size, roster.group, attrgetter("name"))

    def names(self, refs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """The names of those that there are of these: each a pair of "member" or "group" and an id."""
        wanted = list(dict.fromkeys(refs))
        found = self._run("names", *(word for ref in wanted for word in ref)) if wanted else []
        return {ref: name.decode() for ref, name in zip(wanted, found, strict=True) if name}

    # Memberships.

    def memberships(self, member: Member) -> tuple[Membership, ...]:
        """The member's memberships, by the group's id; none for a member that is gone."""
        links = self._run("links", "member", member.id)
        found = (Membership(member, roster.group(group), Role(role.decode())) for role, group in links)
        return tuple(sorted(found, key=attrgetter("group.id")))

    def members_of(self, group: Group) -> tuple[Membership, ...]:
        """The group's memberships, by the member's id; none for a group that is gone."""
        links = self._run("links", "group", group.id)
        found = (Membership(roster.member(member), group, Role(role.decode())) for role, member in links)
        return tuple(sorted(found, key=attrgetter("member.id")))

    def find_memberships(
        self, member: Member, prefix: str = "", after: str = "", size: int = _PART
    ) -> DirectoryPage[Membership]:
        """The member's memberships in groups whose names begin so, as `find_members` has it."""
        if not (begin := can_begin(prefix, after)):
            return DirectoryPage(())
        return roster.part(
            self._run("search_links", "member", member.id, *begin, size),
            size,
            lambda link: Membership(member, roster.group(link[1]), Role(link[0].decode())),
            attrgetter("group.name"),
        )

    def find_members_of(
        self, group: Group, prefix: str = "", after: str = "", size: int = _PART
    ) -> DirectoryPage[Membership]:
        """The group's memberships of members whose usernames begin so, as `find_members` has it."""
        if not (begin := can_begin(prefix, after)):
            return DirectoryPage(())
        return roster.part(
            self._run("search_links", "group", group.id, *begin, size),
            size,
            lambda link: Membership(roster.member(link[1]), group, Role(link[0].decode())),
            attrgetter("member.username"),
        )

    # Tokens.

    def tokens(self, member: Member) -> tuple[TokenInfo, ...]:
        """The member's tokens that have not expired, oldest first."""
        tokens = self._run("tokens", member.id)
        found = (
            TokenInfo(name.decode(), int(created), int(expires), read_token_scope((token_scope or b"").decode()))
            for name, created, expires, token_scope in tokens
        )
        return tuple(sorted(found, key=attrgetter("created", "name")))
