"""OAuth 2.0 clients: programs that act as the member they belong to, and their access tokens.

Their keys are the directory's, and named in lua/common.lua. A client's secret and its access tokens are stored as
hashes only. An access token is a token that expires and that no list shows. administration.py adds and removes clients.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from psthreads.database.scripts import Scripts
from psthreads.domain.access import Member, TokenScope
from psthreads.domain.errors import BadParameter, NotFound
from psthreads.identity.credentials import digest, read_token_scope, write_token_scope

MOST_TOKENS: Final = 1_000
"""The number of access tokens that a client can have at once; one more ends its oldest."""

_CHARACTERS: Final = "a-z A-Z 0-9 = . + / _ -"
_ID: Final = re.compile(r"[a-zA-Z0-9=.+/_-]{16,128}")
_SECRET: Final = re.compile(r"[a-zA-Z0-9=.+/_-]{16,512}")


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client without its secret. `created` is in milliseconds since the epoch."""

    id: str
    name: str
    created: int
    token_scope: TokenScope | None


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client with the hash of its secret, and the scope that narrows its member."""

    id: str
    token_scope: TokenScope | None
    _secret: str

    def has_secret(self, secret: str) -> bool:
        """Return whether this is the client's secret."""
        return hmac.compare_digest(digest(secret), self._secret)


class Clients:
    """The clients of all members. Every method is one round trip, and raises Unavailable when Redis is away."""

    def __init__(self, scripts: Scripts) -> None:
        self._run = scripts.run

    def of(self, member: Member) -> tuple[ClientInfo, ...]:
        """Return the member's clients, oldest first."""
        clients = (
            ClientInfo(client_id.decode(), name.decode(), int(created), read_token_scope(token_scope.decode()))
            for client_id, name, token_scope, created in self._run("clients", member.id)
        )
        return tuple(sorted(clients, key=attrgetter("created", "name")))

    def find(self, client_id: str) -> OAuthClient | None:
        """Return the client with this id, or None."""
        if not _ID.fullmatch(client_id) or not (row := self._run("client", client_id)):
            return None
        secret, token_scope, own_id = row
        return OAuthClient(own_id.decode(), read_token_scope(token_scope.decode()), secret.decode())

    def grant(self, client: OAuthClient, token: str, token_scope: TokenScope | None, seconds: int) -> None:
        """Make this an access token of the client; raise NotFound where the client is gone."""
        if not self._run("grant", client.id, digest(token), write_token_scope(token_scope), seconds, MOST_TOKENS):
            raise NotFound("The client was removed meanwhile.")

    def revoke(self, client: OAuthClient, token: str) -> bool:
        """End an access token of the client, if it exists; return False where the token is not the client's."""
        return int(self._run("revoke_access", client.id, digest(token))) >= 0


def new_credentials() -> tuple[str, str]:
    """Return a new id, in lower-case hexadecimal since PageSeeder's clients may change its case, and a new secret."""
    return secrets.token_hex(16), f"pss_{secrets.token_urlsafe(32)}"


def check_credentials(client_id: str, secret: str) -> tuple[str, str]:
    """Return an id, in lower case, and a secret from another server. Raises BadParameter where they cannot be used."""
    if not _ID.fullmatch(client_id):
        raise BadParameter("id", f"A client's id has 16 to 128 of the characters {_CHARACTERS}.")
    # What HTTP Basic encodes in two ways, of which clients use either, would not always arrive as it was meant.
    if not _SECRET.fullmatch(secret):
        raise BadParameter(
            "secret",
            f"A secret has 16 to 512 of the characters {_CHARACTERS}: a shorter one can be guessed, and others are not "
            "encoded alike by all clients. Add a client with a new one instead.",
        )
    return client_id.lower(), secret


def new_access_token() -> str:
    """Return a new access token of 256 random bits."""
    return f"psa_{secrets.token_urlsafe(32)}"
