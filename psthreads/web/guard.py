"""Who asks, and whether they may: the only place that reads credentials, and the guard of every blueprint."""

from __future__ import annotations

from typing import Any, Final

from flask import current_app, g, request, session

from psthreads import access
from psthreads.access import Sight
from psthreads.credentials import Credential, Password, Session, Token
from psthreads.errors import NotAllowed, NotSignedIn, ThreadNotFound
from psthreads.model import Thread, is_thread_id
from psthreads.registry import Process
from psthreads.web.services import Services
from psthreads.web.untyped import protect_from_forgery

_SAFE: Final = frozenset({"GET", "HEAD"})
_BEARER: Final = "Bearer "


class Guard:
    """The checks that blueprints run before every request; each leaves the sight in `g.sight`."""

    def __init__(self, services: Services) -> None:
        self._directory = services.directory
        self._store = services.store
        self._redis = services.redis
        self._own_progress = services.config.own_progress

    def anyone(self) -> None:
        """Open to everybody, signed in or not: said out loud, so that no blueprint is open by mistake."""

    def member(self) -> None:
        """Open to whoever is signed in."""
        self._identify()

    def server(self) -> None:
        """Open to administrators; with the setting, a thread's progress also to who started it."""
        sight = self._identify()
        is_progress = (request.endpoint or "").endswith(".progress")
        if not (access.may_use_server(sight) or (self._own_progress and is_progress)):
            raise NotAllowed("Only administrators may use the services of the whole server.")

    def group(self) -> None:
        """Open to contributors and higher in the group that the path names, and to administrators."""
        sight = self._identify()
        if not access.may_use_group(sight):
            group = sight.group.name if sight.group else ""
            raise NotAllowed(f"This needs at least the role contributor in group '{group}'.")

    def start(self, process: Process | None) -> None:
        """Open to members whose role in the group is enough for the process; on the server, to administrators."""
        sight = self._identify()
        if process is None:
            raise NotAllowed("There is no such process.")
        if g.has_session and request.method in _SAFE:
            # A link on a stranger's page brings the cookie along.
            raise NotAllowed("With a browser's session, start work with POST and the page's own token.")
        g.process = process
        if sight.group is None:
            if not access.may_use_server(sight):
                raise NotAllowed("Only administrators may start work on the whole server.")
        elif not access.may_use_group(sight, process.role):
            raise NotAllowed(f"This needs at least the role {process.role.value} in group '{sight.group.name}'.")

    def thread(self, thread_id: str) -> Thread:
        """The thread of that id, if there is one here for whoever asks; raises ThreadNotFound."""
        if not is_thread_id(thread_id):
            raise ThreadNotFound(thread_id)
        thread = self._store.parse(thread_id, g.thread_meta)
        if not access.shows(g.sight, thread, own_progress=self._own_progress):
            raise ThreadNotFound(thread_id)
        return thread

    def _identify(self) -> Sight:
        """Who asks, through which group; and the thread that the path names, in the same round trip."""
        credential = read_credential()
        values = request.view_args or {}
        thread_id: str = values.get("thread", "")
        if is_thread_id(thread_id):
            place = self._store.place(thread_id)
            sight, g.thread_meta = self._directory.identify_with(credential, values.get("group"), *place)
        else:
            sight = self._directory.identify(credential, values.get("group"))
        g.sight = sight
        g.has_session = isinstance(credential, Session)
        if g.has_session and request.method not in _SAFE:
            # Only a browser sends its cookie unasked; the other credentials cannot be borrowed.
            protect_from_forgery(current_app)
        return sight


def read_credential() -> Credential:
    """The credentials of the request; raises NotSignedIn where there are none that can be read."""
    header: str | None = request.environ.get("HTTP_AUTHORIZATION")
    if header is not None:
        if header.startswith(_BEARER) and (plain := header[len(_BEARER) :].strip()):
            return Token(plain)  # The common case, without parsing.
        given = request.authorization
        if given is not None and given.type == "bearer" and given.token:
            return Token(given.token)
        if given is not None and given.type == "basic" and given.username is not None:
            return Password(given.username, given.password or "")
        raise NotSignedIn("The Authorization header is neither Basic nor Bearer, or cannot be read.")
    known: Any = session.get("_user_id")
    if known is None:
        raise NotSignedIn
    member_id, _, stamp = str(known).partition(":")
    return Session(int(member_id), stamp)
