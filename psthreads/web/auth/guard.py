"""Who asks, and whether they may: the only place that reads credentials, and the guard of every blueprint."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from flask import Request, g, request
from werkzeug.datastructures import ImmutableMultiDict

from psthreads.authoring.process import Process
from psthreads.domain import access
from psthreads.domain.access import Caller, Role
from psthreads.domain.errors import NotAllowed, NotSignedIn, ThreadNotFound
from psthreads.domain.model import Thread, is_thread_id
from psthreads.identity.credentials import Credential, Password, Session, Token
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.web.auth import csrf
from psthreads.web.auth.sessions import of_cookie
from psthreads.web.services import Services

_SAFE: Final = frozenset({"GET", "HEAD"})
_BEARER: Final = "Bearer "
_ASKED_SECONDS: Final = 15.0  # credentials that have run out are noticed after this time


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

    def browser(self) -> None:
        """Open to whoever is signed in with a browser, for what no token may reach."""
        self._identify()
        if not g.has_session:
            raise NotAllowed("This is for a browser that is signed in: no token and no password does here.")

    def server(self) -> None:
        """Open to administrators; with the setting, a thread's progress also to who started it."""
        caller = self._identify()
        is_progress = (request.endpoint or "").endswith(".progress")
        if not (access.may_use_server(caller) or (self._own_progress and is_progress)):
            raise _not_on_the_server(caller, "Only administrators may use the services of the whole server.")

    def group(self, named: str | None = None, *, reads_form: bool = False) -> None:
        """Open to contributors and higher in the group that the path names, or else this; and to administrators.

        With `reads_form` the view reads the body's form itself, and has to give its fields to `check_form` before it
        does anything.
        """
        caller = self._identify(named, reads_form=reads_form)
        if not access.may_use_group(caller):
            group = caller.group.name if caller.group else ""
            raise NotAllowed(f"This needs at least the role contributor in group '{group}'.")

    def check_form(self, fields: Mapping[str, str]) -> None:
        """Raise NotAllowed where a browser's session sends a form whose fields do not hold the session's own token."""
        if g.has_session:
            request.form = ImmutableMultiDict(fields)
            csrf.check_token()

    def insider(self) -> None:
        """Open to every member of the group that the path names, and to administrators; without one as `member`."""
        caller = self._identify()
        if caller.group is not None and not access.may_use_group(caller, Role.GUEST):
            raise NotAllowed(f"Only members of group '{caller.group.name}' may see what can be started there.")

    def start(self, process: Process | None) -> None:
        """Open to members whose role in the group is enough for the process; on the server, to administrators."""
        caller = self._identify(acts=True)
        if process is None:
            raise NotAllowed("There is no such process.")
        if g.has_session and request.method in _SAFE:
            # A link on a stranger's page brings the cookie along.
            raise NotAllowed("With a browser's session, start work with POST and the page's own token.")
        g.process = process
        if not access.may_start(caller, process.role):
            if caller.group is None:
                raise _not_on_the_server(caller, "Only administrators may start work on the whole server.")
            raise NotAllowed(f"This needs at least the role {process.role.value} in group '{caller.group.name}'.")

    def thread(self, thread_id: str) -> Thread:
        """The thread of that id, if there is one here for whoever asks; raises ThreadNotFound."""
        if not is_thread_id(thread_id):
            raise ThreadNotFound(thread_id)
        kept = g._get_current_object()  # noqa: SLF001 (see _identify)
        thread = self._store.parse(thread_id, kept.thread_meta)
        if not access.shows(kept.caller, thread, own_progress=self._own_progress):
            raise ThreadNotFound(thread_id)
        return thread

    def other_thread(self, thread_id: str) -> Thread:
        """As `thread`, for one that the path does not name: one round trip more."""
        if not is_thread_id(thread_id):
            raise ThreadNotFound(thread_id)
        thread = self._store.fetch(thread_id)
        if not access.shows(g.caller, thread):
            raise ThreadNotFound(thread_id)
        return thread

    def watch(self, *, own_progress: bool = False) -> Watch:
        """The rule by which the request was let in, to be asked again for as long as its answer goes on.

        With `own_progress` it is the rule for a thread's progress, which may be the starter's own.
        """
        own = own_progress and self._own_progress
        return Watch(self._directory, self._store, g.caller, read_credential(request), own_progress=own)

    def _identify(self, named: str | None = None, *, acts: bool = False, reads_form: bool = False) -> Caller:
        """Who asks, through which group; and the thread that the path names, in the same round trip.

        What comes with another method than GET and HEAD acts, and so does what is said to.
        """
        # Each use of Flask's `request` and `g` looks up whose they are: once is enough, on the way of every request.
        asked, kept = request._get_current_object(), g._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 (as Flask's documentation has it)
        credential = read_credential(asked)
        values = asked.view_args or {}
        group: str | None = values.get("group", named)
        thread_id: str = values.get("thread", "")
        if is_thread_id(thread_id):
            place = self._store.place(thread_id)
            caller, kept.thread_meta = self._directory.identify_with(
                credential, group, *place, address=asked.remote_addr or ""
            )
        else:
            caller = self._directory.identify(credential, group, address=asked.remote_addr or "")
        kept.caller = caller
        if caller.token_scope is not None and (
            problem := access.scope_problem(caller, acts=acts or asked.method not in _SAFE)
        ):
            raise NotAllowed(problem)
        kept.has_session = isinstance(credential, Session)
        if kept.has_session and asked.method not in _SAFE and not reads_form:
            # Only a browser sends its cookie unasked; the other credentials cannot be borrowed.
            csrf.check_token()
        return caller


class Watch:
    """Asks again and again whether whoever asked may still see what is sent; usable outside of the request."""

    def __init__(
        self,
        directory: Directory,
        store: ThreadStore,
        caller: Caller,
        credential: Credential,
        *,
        own_progress: bool = False,
    ) -> None:
        self.caller = caller
        self._own_progress = own_progress
        self._directory = directory
        self._store = store
        self._credential = credential
        self._version = -1
        self._asked = float("-inf")

    def check(self, version: int, threads: Iterable[Thread] = ()) -> None:
        """Raise NotSignedIn, NotAllowed or ThreadNotFound where something of this is not to be seen any more.

        `version` is that of who may do what when these threads were read; where nobody has changed that since the last
        time, and that is not long ago, nothing needs to be asked.
        """
        if version > self._version or time.monotonic() > self._asked + _ASKED_SECONDS:
            self.ask()
        for thread in threads:
            if not access.shows(self.caller, thread, own_progress=self._own_progress):
                raise ThreadNotFound(thread.id)

    def ask(self) -> None:
        """Ask the directory. Raises NotSignedIn, NotAllowed, GroupNotFound, Unavailable."""
        if isinstance(self._credential, Session) and 0 < self._credential.until < time.time():
            raise NotSignedIn
        version = self._store.access_version()
        group = self.caller.group
        self.caller = self._directory.identify(self._credential, str(group.id) if group else None)
        may_use = access.may_use_group(self.caller) if group else access.may_use_server(self.caller)
        if not (may_use or self._own_progress):
            raise NotAllowed("The role that this needs is gone.")
        self._version, self._asked = version, time.monotonic()


def _not_on_the_server(caller: Caller, sentence: str) -> NotAllowed:
    """The refusal of what is the whole server's; to an administrator it is the token that is in the way."""
    return NotAllowed(
        "This token is for some groups only, not for the whole server." if caller.member.admin else sentence
    )


def read_credential(asked: Request) -> Credential:
    """The credentials of the request; raises NotSignedIn where there are none that can be read."""
    header: str | None = asked.environ.get("HTTP_AUTHORIZATION")
    if header is not None:
        if header.startswith(_BEARER) and (plain := header[len(_BEARER) :].strip()):
            return Token(plain)  # The common case, without parsing.
        given = asked.authorization
        if given is not None and given.type == "bearer" and given.token:
            return Token(given.token)
        if given is not None and given.type == "basic" and given.username is not None:
            return Password(given.username, given.password or "")
        raise NotSignedIn("The Authorization header is neither Basic nor Bearer, or cannot be read.")
    known = of_cookie()
    if known is None:
        raise NotSignedIn
    return known
