"""`make screenshots`: pictures of the pages, with real data on them, as people see them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from playwright.sync_api import Error, Page

from tests.browser.browser import Pages, Scheme, launched, problems, sign_in
from tests.browser.picture_site import shown
from tests.support.checkout import ROOT
from tests.support.machine import Missing


@dataclass(frozen=True)
class Picture:
    """A page to take pictures of, and who looks at it: a member, or empty for a stranger."""

    name: str
    path: str
    who: str = "chief"
    status: int = 200


# In a path, {part} is the id of the thread that plays this part in picture_site.py.
PICTURES = (
    Picture("sign-in", "/sign-in", ""),
    Picture("overview", "/dashboard"),
    Picture("threads", "/dashboard/threads"),
    Picture("finished", "/dashboard/threads?status=finished"),
    Picture("all", "/dashboard/threads?status=all"),
    Picture("failures", "/dashboard/failures"),
    Picture("waiting", "/dashboard/threads/{waiting}"),
    Picture("thread", "/dashboard/threads/{running}"),
    Picture("cancelling", "/dashboard/threads/{cancelling}"),
    Picture("failed", "/dashboard/threads/{failed}"),
    Picture("published", "/dashboard/threads/{exported}"),
    Picture("hostile", "/dashboard/threads/{hostile}"),
    Picture("long", "/dashboard/threads/{long}"),
    Picture("log", "/dashboard/threads/{failed}/log"),
    Picture("start", "/dashboard/start"),
    Picture("start-publish", "/dashboard/start/publish?group=acme"),
    Picture("members", "/dashboard/members"),
    Picture("add-member", "/dashboard/members/add"),
    Picture("member", "/dashboard/members/jjones"),
    Picture("remove-member", "/dashboard/members/jjones/remove"),
    Picture("groups", "/dashboard/groups"),
    Picture("group-members", "/dashboard/groups/acme/members"),
    Picture("audit", "/dashboard/audit"),
    Picture("group", "/dashboard/groups/acme", "manager"),
    Picture("group-threads", "/dashboard/groups/acme/threads", "manager"),
    Picture("group-thread", "/dashboard/groups/acme/threads/{running}", "manager"),
    Picture("loading-zone", "/dashboard/groups/acme/loading-zone", "manager"),
    Picture("account", "/dashboard/account", "manager"),
    Picture("api", "/api"),
    Picture("missing", "/dashboard/nowhere", status=404),
)
WIDTHS = {"wide": 1280, "narrow": 360}
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
TALLEST = 2_400
"""The height in pixels at which a longer page is cut off."""
_SETTLE_MILLISECONDS = 800.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures; returns the exit code, which is 1 where a page does not answer well."""
    names = [picture.name for picture in PICTURES]
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="the folder to write to")
    parser.add_argument("--pages", default=",".join(names), help="the names of pages, with commas between them")
    given = parser.parse_args(arguments)
    wanted = [name for name in given.pages.split(",") if name]
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"there is no page {', '.join(unknown)}: choose from {', '.join(names)}")
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        return _take([picture for picture in PICTURES if picture.name in wanted], given.out)
    except Missing as error:
        parser.exit(1, f"{error}\n")


def _take(pictures: Sequence[Picture], out: Path) -> int:
    has_failed = False
    visitors = dict.fromkeys(picture.who for picture in pictures)
    with launched() as chromium, shown() as (site, ids):
        for who, (wide, width), scheme in product(visitors, WIDTHS.items(), SCHEMES):
            pages = Pages(chromium, site.address)
            page = pages(width=width, scheme=scheme, tolerant=True)
            if who:
                sign_in(page, site, who)
                problems(page)
            for picture in pictures:
                if picture.who == who:
                    path = out / f"{picture.name}-{wide}-{scheme}.png"
                    has_failed |= not _is_taken(page, picture, picture.path.format(**ids), path)
            pages.close()
    return int(has_failed)


def _is_taken(page: Page, picture: Picture, address: str, path: Path) -> bool:
    """Take one picture and tell what was odd; gives whether the page answered as it is to."""
    response = page.goto(address)
    with suppress(Error):
        # What the page fetches by itself; one with an open stream is never idle.
        page.wait_for_load_state("networkidle", timeout=_SETTLE_MILLISECONDS)
    width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    seen = page.viewport_size
    assert seen is not None
    # A window as tall as the page, so that what sticks to an edge of it is where it would be.
    page.set_viewport_size({"width": seen["width"], "height": min(height, TALLEST)})
    page.screenshot(path=path, scale="css", animations="disabled")
    page.set_viewport_size(seen)
    odd = [problem for problem in problems(page) if not problem.endswith(f"{page.url}: {picture.status}")]
    if width > seen["width"]:
        odd.append(f"the page is {width} pixels wide in a window of {seen['width']}")
    _say(f"{path}\n" + "".join(f"    {problem}\n" for problem in odd))
    return response is not None and response.status == picture.status


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
