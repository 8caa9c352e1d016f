"""OAuth 2.0 clients: programs that act as the member they belong to, and the access tokens they are given.

Their keys are the directory's, and named in lua/common.lua. A client's secret and its access tokens are kept
as hashes only. An access token is a token like any other, that expires, and that no list shows. Clients are made and
removed in administration.py.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from psthreads.database.scripts import Scripts
from psthreads.domain.errors import NotFound
from psthreads.identity.credentials import digest, read_token_scope, write_token_scope

if TYPE_CHECKING:
    from psthreads.domain.access import Member, TokenScope

MOST_TOKENS: Final = 1_000
"""How many access tokens a client has at once; with one more, its oldest ends."""

_ID: Final = re.compile(r"[a-zA-Z0-9=.+/_-]{16,128}")


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """What is known of a client without its secret. `created` is in milliseconds since the epoch."""

    id: str
    name: str
    created: int
    token_scope: TokenScope | None


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client as it is asked for by its id: the hash of its secret, and to what it narrows its member."""

    id: str
    token_scope: TokenScope | None
    _secret: str

    def has_secret(self, secret: str) -> bool:
        """Whether this is the client's secret."""
        return hmac.compare_digest(digest(secret), self._secret)


class Clients:
    """The clients of all members. Every method is one round trip, and raises Unavailable when Redis is away."""

    def __init__(self, scripts: Scripts) -> None:
        self._run = scripts.run

    def of(self, member: Member) -> tuple[ClientInfo, ...]:
        """The member's clients, oldest first."""
        found = (
            ClientInfo(client_id.decode(), name.decode(), int(created), read_token_scope(token_scope.decode()))
            for client_id, name, token_scope, created in self._run("clients", member.id)
        )
        return tuple(sorted(found, key=attrgetter("created", "name")))

    def find(self, client_id: str) -> OAuthClient | None:
        """The client of this id, if there is one."""
        if not _ID.fullmatch(client_id) or not (found := self._run("client", client_id)):
            return None
        secret, token_scope = found
        return OAuthClient(client_id, read_token_scope(token_scope.decode()), secret.decode())

    def grant(self, client: OAuthClient, token: str, token_scope: TokenScope | None, seconds: int) -> None:
        """Make this an access token of the client; raises NotFound where the client is gone."""
        if not self._run("grant", client.id, digest(token), write_token_scope(token_scope), seconds, MOST_TOKENS):
            raise NotFound("The client was removed meanwhile.")

    def give_back(self, client: OAuthClient, token: str) -> bool:
        """End an access token of the client, if there is one; gives False where the token is somebody else's."""
        return int(self._run("return", client.id, digest(token))) >= 0


def new_access_token() -> str:
    """An access token of 256 random bits, as nobody holds it yet."""
    return f"psa_{secrets.token_urlsafe(32)}"
