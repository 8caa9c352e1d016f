"""The guard of every blueprint: who the caller is and what is allowed. Credentials are read only here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from flask import Request, g, request, url_for
from werkzeug.datastructures import ImmutableMultiDict

from psthreads.authoring.process import Process
from psthreads.domain import access
from psthreads.domain.access import Caller, Role
from psthreads.domain.errors import NotAllowed, NotSignedIn, ThreadNotFound, Unavailable
from psthreads.domain.model import Thread, is_thread_id
from psthreads.identity.credentials import Credential, Password, Session, Token, Vouched
from psthreads.identity.directory import Directory
from psthreads.threads.store import ThreadStore
from psthreads.web.auth import csrf
from psthreads.web.auth.sessions import of_cookie
from psthreads.web.current import current_globals, current_request
from psthreads.web.http import bodies
from psthreads.web.http.origins import may_be_foreign
from psthreads.web.http.parameters import is_page
from psthreads.web.services import Services
from psthreads.web.telemetry.request_observer import MEMBER

_SAFE: Final = frozenset({"GET", "HEAD"})
_BEARER: Final = "Bearer "
_RECHECK_SECONDS: Final = 15.0  # an expired credential is noticed after this time


class CredentialReader:
    """Reads what a request shows of who sends it: a header or this server's own cookie."""

    def read(self, current: Request) -> Credential:
        """Return the request's credential. Raises NotSignedIn where there is none that can be read."""
        header: str | None = current.environ.get("HTTP_AUTHORIZATION")
        if header is not None:
            if header.startswith(_BEARER) and (plain := header[len(_BEARER) :].strip()):
                return Token(plain)  # The common case, without parsing.
            parsed = current.authorization
            if parsed is not None and parsed.type == "bearer" and parsed.token:
                return Token(parsed.token)
            if parsed is not None and parsed.type == "basic" and parsed.username is not None:
                if not is_page():
                    return Password(parsed.username, parsed.password or "")
                # A browser sends it by itself once it was asked for it: its member signs in at a page by the cookie.
            else:
                raise NotSignedIn("The Authorization header is neither Basic nor Bearer, or cannot be read.")
        session = of_cookie()
        if session is None:
            raise NotSignedIn
        return session

    def renewal(self, current: Request) -> Callable[[], Credential]:
        """Return a function that reads the credential again, outside of the request, and raises as `read` does."""
        credential = self.read(current)
        return lambda: credential


class Guard:
    """The checks that blueprints run before every request. Each sets `g.caller`, and raises NotSignedIn, NotAllowed."""

    def __init__(self, services: Services, credentials: CredentialReader) -> None:
        self._credentials = credentials
        self._directory = services.directory
        self._store = services.store
        self._as_pageseeder = services.config.pageseeder
        self._max_body = services.config.max_body

    def anyone(self) -> None:
        """Allow everybody, signed in or not. Explicit, so that no blueprint is open by mistake."""

    def visitor(self) -> None:
        """Allow everybody, on a page that has the menu for those who are signed in."""
        if "HTTP_AUTHORIZATION" not in request.environ:
            with suppress(NotSignedIn, NotAllowed, Unavailable):
                self._identify()

    def member(self) -> None:
        """Allow members."""
        self._identify()

    def browser(self) -> None:
        """Allow members with a browser session: no token may make another one."""
        self._identify()
        if not g.has_session:
            raise NotAllowed("This is for a browser that is signed in: no token and no password does here.")

    def server(self) -> None:
        """Allow administrators. With the setting `pageseeder`, allow a thread's progress to its starter too."""
        caller = self._identify()
        if not (access.may_use_server(caller) or self._follows()):
            sentence = "Only administrators may use the services of the whole server."
            raise _not_on_the_server(caller, f"{sentence}{self._way_to_follow(caller)}")

    def group(self, ref: str | None = None, *, reads_form: bool = False) -> None:
        """Allow contributors and higher in the group of the path, or else in the group `ref`; and administrators.

        With the setting `pageseeder`, allow a thread's progress to reviewers too.
        With `reads_form` the view reads the form itself, and must pass its fields to `check_form` before it acts.
        """
        caller = self._identify(ref, reads_form=reads_form)
        if not (access.may_use_group(caller) or (self._follows() and access.may_follow(caller))):
            group = caller.group.name if caller.group else ""
            sentence = f"This needs at least the role contributor in group '{group}'."
            raise NotAllowed(f"{sentence}{self._way_to_follow(caller)}")

    def check_form(self, fields: Mapping[str, str]) -> None:
        """Raise NotAllowed where a browser session sends a form without the session's CSRF token."""
        if g.has_session:
            request.form = ImmutableMultiDict(fields)
            csrf.check_token()

    def insider(self) -> None:
        """Allow every member of the group of the path, and administrators; without a group, every member."""
        caller = self._identify()
        if caller.group is not None and not access.may_use_group(caller, Role.GUEST):
            raise NotAllowed(f"Only members of group '{caller.group.name}' may see what can be started there.")

    def start(self, process: Process | None) -> None:
        """Allow members with the process's role in the group; on the server, administrators. Sets `g.process`."""
        caller = self._identify(acts=True)
        if process is None:
            raise NotAllowed("There is no such process.")
        if request.method in _SAFE and (g.has_session or (g.has_password and may_be_foreign(request))):
            # A link on a page of another site sends the cookie or the password along.
            raise NotAllowed("In a browser, start work with POST from a page of this server.")
        g.process = process
        if not access.may_start(caller, process.role):
            if caller.group is None:
                raise _not_on_the_server(caller, "Only administrators may start work on the whole server.")
            raise NotAllowed(f"This needs at least the role {process.role.value} in group '{caller.group.name}'.")

    def thread(self, thread_id: str) -> Thread:
        """Return the thread of the path. Raises ThreadNotFound, also where the caller may not see it."""
        if not is_thread_id(thread_id):
            raise ThreadNotFound(thread_id)
        context = current_globals()
        thread = self._store.parse(thread_id, context.thread_meta)
        if not access.shows(context.caller, thread, follows=self._as_pageseeder):
            raise ThreadNotFound(thread_id)
        return thread

    def other_thread(self, thread_id: str) -> Thread:
        """Return a thread that the path does not name, with one more round trip. Raises as `thread` does."""
        if not is_thread_id(thread_id):
            raise ThreadNotFound(thread_id)
        thread = self._store.fetch(thread_id)
        if not access.shows(g.caller, thread):
            raise ThreadNotFound(thread_id)
        return thread

    def watch(self, *, progress: bool = False) -> Watch:
        """Return a check of the caller's access that a long answer repeats.

        `progress` applies the rule for a thread's progress, which more may see with the setting `pageseeder`.
        """
        follows = progress and self._as_pageseeder
        return Watch(self._directory, self._store, g.caller, self._credentials.renewal(request), follows=follows)

    def _follows(self) -> bool:
        """Return whether the request is for a thread's progress, and the setting lets more members see it."""
        return self._as_pageseeder and _is_progress()

    def _way_to_follow(self, caller: Caller) -> str:
        """Return a sentence for whoever may not see the progress of a thread, but could with the setting."""
        thread_id = (request.view_args or {}).get("thread", "")
        if self._as_pageseeder or not (_is_progress() and is_thread_id(thread_id)):
            return ""
        try:
            thread = self._store.parse(thread_id, g.thread_meta)
        except ThreadNotFound:
            return ""
        if not access.shows(caller, thread, follows=True):
            return ""
        instead = " To follow it,"
        if caller.group is None and thread.group_name:
            instead = f" Follow it at {url_for('group.progress', group=thread.group_name, thread=thread_id)}, or"
        return f"{instead} have an administrator set PSTHREADS_PAGESEEDER=true, which allows this."

    def _identify(self, ref: str | None = None, *, acts: bool = False, reads_form: bool = False) -> Caller:
        """Set the caller, with the group of the path or else `ref`, and the path's thread, in one round trip.

        Requests other than GET and HEAD need the `act` scope; with `acts`, all do.
        """
        current, context = current_request(), current_globals()
        credential = self._credentials.read(current)
        values = current.view_args or {}
        group: str | None = values.get("group", ref)
        thread_id: str = values.get("thread", "")
        if is_thread_id(thread_id):
            place = self._store.location(thread_id)
            caller, context.thread_meta = self._directory.identify_with(
                credential, group, *place, address=current.remote_addr or ""
            )
        else:
            caller = self._directory.identify(credential, group, address=current.remote_addr or "")
        context.caller = caller
        current.environ[MEMBER] = caller.member.username
        if current.method not in _SAFE:
            bodies.allow_member(current, self._max_body)
        if caller.token_scope is not None and (
            problem := access.scope_problem(caller, acts=acts or current.method not in _SAFE)
        ):
            raise NotAllowed(problem)
        context.has_session = isinstance(credential, Session) or (
            isinstance(credential, Vouched) and credential.is_ambient
        )
        context.has_password = isinstance(credential, Password)
        if context.has_session and current.method not in _SAFE and not reads_form:
            # Browsers send the cookie by themselves; no other credential can be used by another site.
            csrf.check_token()
        return caller


class Watch:
    """A repeated check that the caller may still see what is sent; usable outside of the request."""

    def __init__(
        self,
        directory: Directory,
        store: ThreadStore,
        caller: Caller,
        renew: Callable[[], Credential],
        *,
        follows: bool = False,
    ) -> None:
        self.caller = caller
        self._follows = follows
        self._directory = directory
        self._store = store
        self._renew = renew
        self._version = -1
        self._checked = float("-inf")

    def check(self, version: int, threads: Iterable[Thread] = ()) -> None:
        """Raise NotSignedIn, NotAllowed or ThreadNotFound once the caller may not see these threads any more.

        `version` is the version of the access rights when the threads were read. The directory is asked only where it
        is new, or the last check is 15 s old.
        """
        if version > self._version or time.monotonic() > self._checked + _RECHECK_SECONDS:
            self.recheck()
        for thread in threads:
            if not access.shows(self.caller, thread, follows=self._follows):
                raise ThreadNotFound(thread.id)

    def recheck(self) -> None:
        """Ask the directory. Raises NotSignedIn, NotAllowed, GroupNotFound, Unavailable."""
        credential = self._renew()
        if isinstance(credential, Session) and 0 < credential.until < time.time():
            raise NotSignedIn
        version = self._store.access_version()
        group = self.caller.group
        self.caller = self._directory.identify(credential, str(group.id) if group else None)
        may_use = access.may_use_group(self.caller) if group else access.may_use_server(self.caller)
        if not (may_use or (self._follows and access.may_follow(self.caller))):
            raise NotAllowed("The role that this needs is gone.")
        self._version, self._checked = version, time.monotonic()


def _is_progress() -> bool:
    return (request.endpoint or "").endswith((".progress", ".operation"))


def _not_on_the_server(caller: Caller, sentence: str) -> NotAllowed:
    # An administrator is refused only for the token's scope.
    return NotAllowed(
        "This token is for some groups only, not for the whole server." if caller.member.admin else sentence
    )
