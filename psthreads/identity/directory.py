"""Members, groups, memberships and credentials in Redis: the only owner of their keys.

lua/common.lua names the keys. Every method is one script: one round trip that happens whole or not at all. All raise
Unavailable when Redis is away or takes no writes. The changes are in administration.py, and name who makes them:
`directory.by(origin).add_member(…)`.

Names of members, groups and tokens have 1 to 64 characters: ASCII letters, digits and `_.@-`, the first a letter, a
digit or `_`. Those of members and groups are unique without regard to case, and never digits only, so that a reference
is either an id or a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from redis import Redis

from psthreads.audit.entries import Origin
from psthreads.documents.layout import open_marker
from psthreads.domain.access import Caller, Group, Member, Role
from psthreads.domain.config import DAY, Config
from psthreads.domain.errors import GroupNotFound, IdentityMismatch, MemberNotFound, NotSignedIn
from psthreads.identity import administration, records
from psthreads.identity.administration import Administration
from psthreads.identity.credentials import (
    Credential,
    Identification,
    Identity,
    Password,
    Session,
    Token,
    identify_arguments,
    key_of,
    key_of_ref,
    name_range,
    parse_identification,
    read_token_scope,
)
from psthreads.identity.oauth_clients import Clients
from psthreads.identity.passwords import Passwords
from psthreads.identity.records import Account, DirectoryPage, Membership, TokenInfo
from psthreads.identity.refusals import Refusals
from psthreads.identity.scripts import DirectoryScripts
from psthreads.identity.throttles import Guess, Throttles, network

T = TypeVar("T")

_PAGE_SIZE: Final = 50
_RIGHT_NETWORKS: Final = 8  # for each member
_RIGHT_SECONDS: Final = 30 * DAY
# The same sentence for everything that can be wrong: to tell of a lock would tell that the member exists.
_REFUSED: Final = (
    "These credentials are not accepted: check them, or ask an administrator whether they have expired or are locked."
)


class Directory:
    """The members, the groups and the memberships. The client must return bytes, as it does by default.

    With a config, no id is given out that its documents' folder knows already. `seen` returns what the process has seen
    of the installation: nobody is identified by a Redis that is behind that, which raises Unavailable.
    """

    def __init__(
        self,
        redis: Redis,
        passwords: Passwords | None = None,
        throttles: Throttles | None = None,
        config: Config | None = None,
        seen: Callable[[], str] = lambda: "",
    ) -> None:
        self.passwords = passwords or Passwords()
        self._scripts = DirectoryScripts(redis, config or Config())
        self._run = self._scripts.run
        self.clients = Clients(self._scripts)
        self.refusals = Refusals(self._scripts)
        self._throttles = throttles
        self._admins_by_provider = config is not None and config.admins_by_provider
        self._site_names = ("psthreads", *_hosts(config.origins if config else ()))
        self._seen = seen
        self._highest_id = open_marker(config).highest if config else (lambda _: 0)

    def by(self, origin: Origin) -> Administration:
        """Return the changes that can be made, on behalf of this origin."""
        return Administration(self._scripts, self.passwords, origin, self._highest_id, self._site_names)

    # Signing in: one round trip, on the path of every request.

    def identify(self, credential: Credential, group_ref: str | None = None, *, address: str | None = None) -> Caller:
        """Return the holder of the credential, with their role in the group that has this id or name.

        Raises NotSignedIn, in the same words whatever was wrong, and GroupNotFound for good credentials only. A
        password that was not verified lately costs tens of milliseconds. With the address of the request, wrong
        credentials are counted, and too many of them raise TooManyRequests.
        """
        return self._check(credential, group_ref, self._identify(credential, group_ref, address), address).caller

    def identify_with(
        self, credential: Credential, group_ref: str | None, key: str, field: str, *, address: str | None = None
    ) -> tuple[Caller, bytes | None]:
        """Identify the caller, and in the same round trip read a field of a hash that another module owns.

        The field is None where it does not exist.
        """
        reply = self._run("identify", *identify_arguments(credential, group_ref, address), self._seen(), key, field)
        line, value = reply or (None, None)
        return self._check(credential, group_ref, _parsed(line), address).caller, value

    def sign_in(
        self, username: str, password: str, *, address: str | None = None, device: str = ""
    ) -> tuple[Member, Session]:
        """Return the member with this username and password, and the content of their session's cookie.

        `device` is as in `Password`. Raises as `identify` does. The audit records it.
        """
        credential = Password(username, password, device)
        identification = self._check(credential, None, self._identify(credential, address=address), address)
        member = identification.caller.member
        return member, self.begin_session(member, identification.stamp, "by password", address=address)

    def sign_in_from(self, identity: Identity, username: str, *, address: str | None = None) -> tuple[Member, Session]:
        """Sign in the member whom an outside provider has identified.

        At the first sign-in the identity is bound to the member with the username; afterwards the name does not matter.
        A lock is one of the password, and not looked at. Raises MemberNotFound, and IdentityMismatch where the member
        is bound to another identity.
        """
        origin = Origin("", None, address or "").fields()  # The script knows the name.
        verdict = self._run("bind", identity.digest, identity.issuer, identity.subject, key_of(username), origin)
        if verdict == b"none":
            raise MemberNotFound(username)
        if verdict == b"other":
            raise IdentityMismatch(username)
        *row, stamp = verdict
        member = records.parse_member(row)
        return member, self.begin_session(member, stamp.decode(), f"by {identity.host}", address=address)

    def begin_session(self, member: Member, stamp: str, how: str, *, address: str | None = None) -> Session:
        """Begin a session of a member who has just proven their identity, with the stamp that was current then.

        `how` is for the audit. Raises NotSignedIn where the stamp has changed.
        """
        origin = Origin(member.username, member.id, address or "")
        if not self._run("begin_session", member.id, stamp, origin.fields(), how, even_full=True):
            raise NotSignedIn(_REFUSED)  # The password was changed, or the member removed, a moment ago.
        return Session(member.id, stamp, administration.nonce())

    def end_session(self, session: Session, seconds: int, *, address: str | None = None) -> None:
        """End this session, whose cookie would be valid for that many seconds more. The audit records it."""
        origin = Origin("", session.member_id, address or "")  # The script knows the name.
        self._run(
            *("end_session", session.key, max(1, seconds), session.member_id, session.stamp, origin.fields()),
            even_full=True,
        )

    def _identify(
        self, credential: Credential, group_ref: str | None = None, address: str | None = None
    ) -> Identification | None:
        return _parsed(self._run("identify", *identify_arguments(credential, group_ref, address), self._seen()))

    def _check(
        self,
        credential: Credential,
        group_ref: str | None,
        identification: Identification | None,
        address: str | None,
    ) -> Identification:
        if isinstance(credential, Password):
            if not self._is_right(credential, identification, address):
                raise NotSignedIn(_REFUSED)
            if identification and identification.caller.member.admin and self._admins_by_provider:
                raise NotSignedIn(_REFUSED)
        elif identification is None and self._throttles and address is not None and isinstance(credential, Token):
            self._throttles.count_wrong(address, credential.plain)
        if identification is None:
            raise NotSignedIn(_REFUSED)
        if group_ref is not None and identification.caller.group is None:
            raise GroupNotFound(group_ref)
        return identification

    def _is_right(self, credential: Password, identification: Identification | None, address: str | None) -> bool:
        stored = identification.stored if identification else None
        throttles, name = self._throttles, key_of(credential.username)
        # The password for an unknown username is verified too, so that it takes as long.
        if throttles is None or address is None:
            is_locked = identification is not None and identification.is_locked
            return self.passwords.verify(None if is_locked else stored, credential.plain)
        guess = Guess(name, address, credential.device, was_right=bool(identification and identification.was_right))
        if identification and identification.is_locked and not guess.is_trusted:
            stored = None
        secret = f"{stored} {name} {credential.plain}"
        if throttles.was_wrong(address, secret):
            return False
        is_first = False

        def admit() -> None:
            nonlocal is_first
            is_first = True
            throttles.admit_guess(guess)

        def count() -> None:
            throttles.count_guess(guess)
            throttles.note_wrong(address, secret)
            if not guess.device:
                self._run("guessed", name, Origin("", None, address).fields(), even_full=True)

        is_right = self.passwords.verify(stored, credential.plain, admit, count)
        if is_right and identification and (is_first or identification.failures):
            member_id = identification.caller.member.id
            self._run("right", member_id, network(address), _RIGHT_NETWORKS, _RIGHT_SECONDS, even_full=True)
        return is_right

    # Members.

    def find_member(self, ref: str) -> Member:
        """Return the member with this id or username; raise MemberNotFound."""
        if row := self._run("find", "member", key_of_ref(ref)):
            return records.parse_member(row)
        raise MemberNotFound(ref)

    def account(self, ref: str) -> Account:
        """Return the account of the member with this id or username; raise MemberNotFound."""
        if row := self._run("account", key_of_ref(ref)):
            return records.parse_account(row)
        raise MemberNotFound(ref)

    def members(self) -> tuple[Member, ...]:
        """Return all members, by id."""
        return tuple(sorted(map(records.parse_member, self._run("list", "member")), key=attrgetter("id")))

    def find_members(self, prefix: str = "", after: str = "", size: int = _PAGE_SIZE) -> DirectoryPage[Account]:
        """Return a page of the members whose usernames have this prefix and come after `after`, by username.

        Case does not matter. A page costs the same however many members there are.
        """
        parse, name = records.parse_account, attrgetter("member.username")
        return self._page(("search", "member"), prefix, after, size, parse, name)

    def locked(self, most: int = 0) -> tuple[Account, ...]:
        """Return the locked accounts, the latest first: at most so many, 0 for all."""
        return tuple(map(records.parse_account, self._run("locks", most)))

    # Groups.

    def find_group(self, ref: str) -> Group:
        """Return the group with this id or name; raise GroupNotFound."""
        if row := self._run("find", "group", key_of_ref(ref)):
            return records.parse_group(row)
        raise GroupNotFound(ref)

    def groups(self) -> tuple[Group, ...]:
        """Return all groups, by id."""
        return tuple(sorted(map(records.parse_group, self._run("list", "group")), key=attrgetter("id")))

    def find_groups(self, prefix: str = "", after: str = "", size: int = _PAGE_SIZE) -> DirectoryPage[Group]:
        """Return a page of the groups whose names have this prefix, as `find_members` does."""
        return self._page(("search", "group"), prefix, after, size, records.parse_group, attrgetter("name"))

    def names(self, refs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """Return the names of those members and groups that exist. A reference is "member" or "group" and an id."""
        unique = list(dict.fromkeys(refs))
        names = self._run("names", *(word for ref in unique for word in ref)) if unique else []
        return {ref: name.decode() for ref, name in zip(unique, names, strict=True) if name}

    # Memberships.

    def memberships(self, member: Member) -> tuple[Membership, ...]:
        """Return the member's memberships, by the group's id; none for a member that does not exist."""
        parse = _membership_in(member)
        return tuple(sorted(map(parse, self._run("links", "member", member.id)), key=attrgetter("group.id")))

    def members_of(self, group: Group) -> tuple[Membership, ...]:
        """Return the group's memberships, by the member's id; none for a group that does not exist."""
        parse = _membership_of(group)
        return tuple(sorted(map(parse, self._run("links", "group", group.id)), key=attrgetter("member.id")))

    def find_memberships(
        self, member: Member, prefix: str = "", after: str = "", size: int = _PAGE_SIZE
    ) -> DirectoryPage[Membership]:
        """Return a page of the member's memberships in groups whose names have this prefix, as `find_members` does."""
        script = ("search_links", "member", member.id)
        return self._page(script, prefix, after, size, _membership_in(member), attrgetter("group.name"))

    def find_members_of(
        self, group: Group, prefix: str = "", after: str = "", size: int = _PAGE_SIZE
    ) -> DirectoryPage[Membership]:
        """Return a page of the group's members whose usernames have this prefix, as `find_members` does."""
        script = ("search_links", "group", group.id)
        return self._page(script, prefix, after, size, _membership_of(group), attrgetter("member.username"))

    def _page(
        self,
        script: tuple[Any, ...],
        prefix: str,
        after: str,
        size: int,
        parse: Callable[[Any], T],
        name: Callable[[T], str],
    ) -> DirectoryPage[T]:
        if not (bounds := name_range(prefix, after)):
            return DirectoryPage(())
        return records.parse_page(self._run(*script, *bounds, size), size, parse, name)

    # Tokens.

    def tokens(self, member: Member) -> tuple[TokenInfo, ...]:
        """Return the member's tokens that have not expired, oldest first."""
        tokens = (
            TokenInfo(
                name.decode(), int(created), int(expires), read_token_scope((scope or b"").decode()), int(used or 0)
            )
            for name, created, expires, scope, used in self._run("tokens", member.id)
        )
        return tuple(sorted(tokens, key=attrgetter("created", "name")))


def _hosts(origins: Iterable[str]) -> Iterator[str]:
    """Yield the names of the hosts, and the words in them."""
    for host in filter(None, (urlsplit(origin).hostname for origin in origins)):
        yield host
        yield from host.split(".")


def _parsed(line: bytes | None) -> Identification | None:
    return None if line is None else parse_identification(line)


def _membership_in(member: Member) -> Callable[[Any], Membership]:
    return lambda row: Membership(member, records.parse_group(row[1]), Role(row[0].decode()))


def _membership_of(group: Group) -> Callable[[Any], Membership]:
    return lambda row: Membership(records.parse_member(row[1]), group, Role(row[0].decode()))
