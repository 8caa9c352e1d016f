"""The cookie of a browser in which a member has signed in: the guesses of others do not keep its member out.

It signs nobody in. It only names a limit of its own for wrong passwords.
"""

from __future__ import annotations

import secrets
from typing import Final

from flask import Response, current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer

from psthreads.domain.config import DAY
from psthreads.identity.credentials import digest, key_of

_SECONDS: Final = 180 * DAY
_MEMBERS: Final = 4  # the last ones that have signed in with one browser


def of_cookie(username: str) -> str:
    """Return the browser's key where the member with this username has signed in with it; else an empty text."""
    return _keys().get(_name(username), "")


def remember(response: Response, username: str) -> None:
    """Have the browser keep that this member has signed in."""
    keys = {name: key for name, key in _keys().items() if name != _name(username)}
    keys = dict(list(keys.items())[1 - _MEMBERS :]) | {_name(username): secrets.token_hex(16)}
    is_secure = current_app.session_interface.get_cookie_secure(current_app)
    value = _serializer().dumps(keys)
    response.set_cookie(_cookie(), value, _SECONDS, secure=is_secure, httponly=True, samesite="Lax")


def _keys() -> dict[str, str]:
    try:
        keys = _serializer().loads(request.cookies.get(_cookie(), ""), _SECONDS)
    except BadData:
        return {}
    return keys if isinstance(keys, dict) else {}


def _cookie() -> str:
    return "__Host-device" if current_app.session_interface.get_cookie_secure(current_app) else "device"


def _name(username: str) -> str:
    return digest(key_of(username))[:32]


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), "device")
