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
