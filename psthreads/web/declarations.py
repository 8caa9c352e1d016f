"""What the pages and the static files are for, of which nothing is declared beside their views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from psthreads.model import Status
from psthreads.parameter import Bounds, Parameter
from psthreads.web.operation import FORM, HTML, Answer, Operation, Who

_PAGE: Final = Answer("A page", (HTML,))
_AWAY: Final = Answer("Leads to another page, or to the page to sign in", (HTML,))
_DONE: Final = Answer("It is done; leads to another page", (HTML,))
_UNKNOWN: Final = Answer("There is no such member, token or client", (HTML,))
_MEMBER: Final = Parameter("member", str, "", description="a username or an id")
_NEXT: Final = Parameter("next", str, "", description="the path of this server to go on to")
_KINDS: Final = ("active", "finished", *(str(status) for status in Status))
_LISTED: Final = (
    Parameter("status", str, "active", choices=_KINDS, description="which threads"),
    Parameter("page", int, 1, Bounds(1, 1_000_000_000), description="which page"),
)

OF_PAGES: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/"): Operation("Leads to the dashboard", Who.SERVER, {302: _AWAY}),
    ("GET", "/dashboard"): Operation("The page of threads", Who.SERVER, {200: _PAGE, 302: _AWAY}, _LISTED),
    ("GET", "/dashboard/threads/<thread>"): Operation("The page of one thread", Who.SERVER, {200: _PAGE, 302: _AWAY}),
    ("POST", "/dashboard/threads/<thread>/cancel"): Operation(
        "The page's cancel button", Who.SERVER, {302: _AWAY, 303: _DONE}, body=(FORM,), fields=("csrf_token", "force")
    ),
    ("GET", "/dashboard/members"): Operation(
        "The page that finds a member", Who.SERVER, {200: _PAGE, 302: _AWAY, 404: _UNKNOWN}, (_MEMBER,)
    ),
    ("GET", "/dashboard/members/<member>"): Operation(
        "The page of a member", Who.SERVER, {200: _PAGE, 302: _AWAY, 404: _UNKNOWN}
    ),
    ("POST", "/dashboard/members/<member>/clients"): Operation(
        "Makes an OAuth client, and shows its secret this once",
        Who.SERVER,
        {200: _PAGE, 302: _AWAY, 404: _UNKNOWN, 409: Answer("The member has a client of this name", (HTML,))},
        body=(FORM,),
        fields=("csrf_token", "name"),
    ),
    **{
        ("POST", f"/dashboard/members/<member>/{path}"): Operation(
            summary, Who.SERVER, {302: _AWAY, 303: _DONE, 404: _UNKNOWN}, body=(FORM,), fields=("csrf_token", *fields)
        )
        for path, summary, fields in (
            ("unlock", "Lifts the lock of too many wrong passwords", ()),
            ("sign-out", "Ends a member's sessions in every browser", ()),
            ("tokens/revoke", "Ends a token", ("name",)),
            ("clients/remove", "Removes an OAuth client, and ends its tokens", ("name",)),
        )
    },
    ("GET", "/sign-in"): Operation("The page to sign in", Who.EVERYBODY, {200: _PAGE}, (_NEXT,)),
    ("POST", "/sign-in"): Operation(
        "Signs in, for a session cookie",
        Who.EVERYBODY,
        {
            303: _DONE,
            401: Answer("The username or the password is wrong", (HTML,)),
            403: Answer("The form's own token is missing or wrong", (HTML,)),
            429: Answer("Too many attempts", (HTML,)),
        },
        (_NEXT,),
        body=(FORM,),
        fields=("csrf_token", "username", "password", "next"),
    ),
    ("POST", "/sign-out"): Operation(
        "Ends the browser's session", Who.MEMBER, {302: _AWAY, 303: _DONE}, body=(FORM,), fields=("csrf_token",)
    ),
    ("GET", "/static/<path:filename>"): Operation(
        "Style sheet and icon of the pages",
        Who.EVERYBODY,
        {200: Answer("The file", ("*/*",)), 304: Answer("Nothing has changed")},
    ),
}
"""By method and rule."""
