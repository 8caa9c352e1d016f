"""The dashboard in a real browser, on real processes: everything that one does with threads, and live."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, expect
from redis import Redis

from psthreads.domain.model import Status
from psthreads.local.server import RedisServer
from psthreads.threads.store import ThreadStore
from tests.browser.browser import Pages, Site, sign_in
from tests.support.threads import BY, new_thread
from tests.support.waiting import wait_for

SHEET = b"""<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:template match="/"><p><xsl:value-of select="."/></p></xsl:template></xsl:stylesheet>"""


def status(page: Page) -> Any:
    return page.locator("#now .now .status")


def stays(page: Page) -> Callable[[], bool]:
    """Marks the page as it is; what is given says whether it is still the same, not loaded again."""
    page.evaluate("() => { window.mark = 'the same' }")
    return lambda: page.evaluate("window.mark") == "the same"


def start(page: Page, process: str, base: str = "/dashboard/groups/acme", **fields: str) -> None:
    page.goto(f"{base}/start")
    page.get_by_role("link", name=process, exact=True).click()
    for name, value in fields.items():
        field = page.locator(f"main [name='{name}']")
        if value == "true":
            field.check()
        else:
            field.fill(value)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(status(page)).to_be_visible()


def test_each_kind_of_thread_is_started_with_its_form_and_watched_to_its_end(site: Site, page: Page) -> None:
    folder = site.people.acme_folder
    for number in range(30):
        folder.write(f"/documents/d{number}.xml", b"<d>text</d>")
    folder.write("/stylesheets/publish.xsl", SHEET)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("loaded/new.xml", "<new/>")
    sign_in(page, site, "contributor")
    page.goto("/dashboard/groups/acme/loading-zone")
    page.get_by_label("Files").set_input_files(
        [
            FilePayload(name="in.zip", mimeType="application/zip", buffer=packed.getvalue()),
            FilePayload(name="slip.xml", mimeType="text/xml", buffer=b"<no"),
        ]
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("caption")).to_have_text("2 files, by path")
    page.get_by_role("button", name="Remove… /slip.xml").click()
    page.get_by_role("button", name="Remove file").click()
    expect(page.locator("caption")).to_have_text("1 file, by path")
    page.get_by_role("link", name="Unzip /in.zip").click()
    expect(page.get_by_label("path")).to_have_value("/in.zip")
    for process, fields in (
        ("validate", {"path": "/documents"}),
        ("export", {"path": "/"}),
        ("unzip", {"path": "in.zip"}),
        ("load", {"folder": "/documents/more"}),
        ("move", {"path": "/documents/d0.xml", "destination": "/documents/moved.xml"}),
        ("publish", {"path": "/documents"}),
    ):
        start(page, process, **fields)
        expect(status(page)).to_have_text("Completed", timeout=20_000)
    page.goto("/dashboard/groups/acme/threads?status=completed")
    expect(page.locator("tbody tr")).to_have_count(6)
    page.goto("/dashboard/groups/acme/threads?status=finished&process=export")
    page.locator("tbody a").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name=".zip").click()
    with zipfile.ZipFile(Path(download.value.path())) as result:
        assert "documents/d1.xml" in result.namelist()


def test_progress_and_log_move_without_a_reload_and_the_end_is_seen(site: Site, page: Page) -> None:
    thread = site.start("count", to=60, pause=0.1)
    sign_in(page, site, "contributor")
    page.goto(f"/dashboard/groups/acme/threads/{thread}")
    is_same = stays(page)
    bar = page.locator("#now progress")
    expect(bar).to_be_visible(timeout=10_000)
    first = int(bar.get_attribute("value") or 0)
    wait_for(lambda: int(bar.get_attribute("value") or 0) >= first + 10, 20)
    expect(page.locator("#now .bar")).to_contain_text("left")
    expect(page.locator("#now table.lines")).to_contain_text("At 30", timeout=20_000)
    expect(status(page)).to_have_text("Completed", timeout=20_000)
    expect(page.locator("#now")).to_contain_text("Counted to 60")
    assert is_same()


def test_a_running_thread_is_cancelled_with_a_reason_while_its_page_moves(
    site: Site, page: Page, redis: Redis, tmp_path: Path
) -> None:
    thread = site.start("count", to=1_000, pause=0.05)
    sign_in(page, site, "contributor")
    page.goto(f"/dashboard/groups/acme/threads/{thread}")
    reason = page.get_by_label("Reason")
    reason.fill("Wrong")
    reason.press("End")
    before = page.locator("#now .now").inner_text()
    expect(page.locator("#now .now")).not_to_have_text(before, timeout=10_000)
    # What is being typed is left alone, whatever happens around it.
    reason.press_sequentially(" folder", delay=150)
    expect(reason).to_have_value("Wrong folder")
    expect(reason).to_be_focused()
    page.get_by_role("button", name="Cancel this thread").click()
    expect(status(page)).to_have_text("Cancelled", timeout=15_000)
    expect(page.locator("#now .now")).to_contain_text("Cancelled by contributor")
    entries: Any = redis.xrevrange("ps:audit")
    (kept,) = [fields for _, fields in entries if fields[b"act"] == b"thread.cancel"]
    assert kept[b"reason"] == b"Wrong folder"


def test_a_second_click_on_cancel_does_not_kill_and_killing_is_asked_first(
    site: Site, page: Page, redis: Redis, tmp_path: Path
) -> None:
    mark, until = tmp_path / "mark", tmp_path / "until"
    thread = site.start("tidy", mark=mark, until=until)
    wait_for(mark.exists)
    sign_in(page, site, "contributor")
    page.goto(f"/dashboard/groups/acme/threads/{thread}")
    button = page.get_by_role("button", name="Cancel this thread")
    place = button.bounding_box()
    assert place
    button.dblclick(delay=20)
    expect(status(page)).to_have_text("Cancelling")
    # However late the second click comes: nothing else is in the place of the first.
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    expect(button).to_be_disabled()

    def acts() -> list[bytes]:
        entries: Any = redis.xrange("ps:audit")
        return [fields[b"act"] for _, fields in entries if fields[b"act"] in {b"thread.cancel", b"thread.kill"}]

    assert acts() == [b"thread.cancel"]
    page.get_by_role("button", name="Kill it now").click()
    expect(page.locator("h1")).to_have_text("Kill 1 thread?")
    assert acts() == [b"thread.cancel"]
    page.get_by_role("button", name="Kill 1 thread").click()
    expect(page.locator("h1")).to_have_text("Result for 1 thread")
    wait_for(lambda: acts() == [b"thread.cancel", b"thread.kill"])


def test_two_clicks_on_start_again_start_one_thread(site: Site, page: Page, store: ThreadStore) -> None:
    thread = site.start("count", to=1_000, pause=0.05)
    sign_in(page, site, "contributor")
    page.goto(f"/dashboard/groups/acme/threads/{thread}")
    key = page.locator("form[action$='/again'] input[name=key]")
    first = key.input_value()
    expect(page.locator("#now .now")).to_contain_text(re.compile(r"At (?:[6-9]\d|\d{3})"), timeout=20_000)
    assert key.input_value() == first


def test_a_thread_that_is_deleted_goes_from_other_peoples_lists(
    site: Site, page: Page, store: ThreadStore, redis: Redis
) -> None:
    thread = site.start("end", how="warn")
    wait_for(lambda: store.fetch(thread).status.is_final)
    sign_in(page, site, "chief")
    page.goto("/dashboard/threads?status=finished")
    row = page.locator(f"#t-{thread}")
    expect(row).to_be_visible()
    is_same = stays(page)
    store.delete(thread, BY)
    expect(row).to_have_count(0, timeout=8_000)
    assert is_same()


def test_a_filter_that_is_wrong_is_no_lost_connection(site: Site, new_page: Pages) -> None:
    page = new_page(tolerant=True)
    sign_in(page, site, "chief")
    page.goto("/dashboard/threads?group=nope")
    for _ in range(3):
        site.start("end", how="warn")
    page.wait_for_timeout(3_500)  # longer than a lost connection takes to be told
    expect(page.locator("#banner")).to_be_empty()
    expect(page.locator("p.wrong")).to_have_text("There is no group 'nope'.")


def test_rows_come_and_change_by_themselves_but_not_while_some_are_ticked(
    site: Site, page: Page, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    first = site.start("sleep", mark=mark)
    wait_for(mark.exists)
    sign_in(page, site, "manager")
    page.goto("/dashboard/groups/acme/threads")
    is_same = stays(page)
    box = page.locator(f"#pick-{first}")
    box.check()
    page.get_by_role("button", name="Cancel selected").focus()
    # What is about to be acted on does not move: nothing comes before the box is free again.
    expect(page.get_by_text("1 selected; the list is paused")).to_be_visible()
    page.evaluate("() => { document.addEventListener('stream', event => { window.heard = event.detail.data.id }) }")
    second = site.start("count", to=200, pause=0.1)
    row = page.locator(f"#t-{second}")
    wait_for(lambda: page.evaluate("window.heard") == second)
    page.wait_for_timeout(1_500)  # longer than a part waits until it is refreshed
    expect(row).to_have_count(0)
    box.uncheck()
    expect(row).to_be_visible(timeout=10_000)
    box.check()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Cancel selected").focus()
    page.get_by_role("button", name="Cancel selected").press("Enter")
    expect(page.locator("h1")).to_have_text("Cancel 1 thread?")
    assert first
    page.goto("/dashboard/groups/acme/threads")
    assert not is_same()
    expect(page.locator(f"#t-{first}")).to_be_visible()


def test_five_hundred_are_cancelled_at_once(
    site: Site, page: Page, redis: Redis, store: ThreadStore, tmp_path: Path
) -> None:
    other = site.people.other
    # The one worker is busy meanwhile.
    mark = tmp_path / "mark"
    kept = site.start("sleep", mark=mark)
    wait_for(mark.exists)
    for number in range(500):
        store.create(new_thread(redis, group=other, name=f"Batch {number}"))
    sign_in(page, site, "chief")
    page.goto("/dashboard/threads")
    page.get_by_label("Group", exact=True).fill("other")
    page.get_by_label("Name, message or ID").fill("batch")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(f"{site.address}/dashboard/threads?text=batch&process=&group=other&member=&since=&until=")
    page.get_by_label("Select all on this page").check()
    page.get_by_label("All matching threads").check()
    page.get_by_role("button", name="Cancel selected").click()
    heading = page.locator("h1")
    expect(heading).to_have_text("Cancel 500 threads?")
    page.get_by_label("Reason").fill("A test")
    page.get_by_role("button", name="Cancel 500 threads").click()
    expect(heading).to_have_text("Results for 500 threads")
    expect(page.locator("section h2")).to_have_text("500 threads: cancelled")
    expect(page.locator("ol.results li")).to_have_count(500)
    assert store.count(Status.CANCELLED) == 500
    assert store.fetch(kept).status.is_running


def test_a_filtered_address_shows_the_same_in_another_window(site: Site, new_page: Pages, store: ThreadStore) -> None:
    for how in ("error", "warn", "raise"):
        site.start("end", how=how)
    wait_for(lambda: store.count("finished") == 3)
    shown = []
    mine, theirs = new_page(), new_page()
    sign_in(mine, site, "contributor")
    mine.goto("/dashboard/groups/acme/threads?status=failed")
    mine.get_by_label("Name, message or ID").fill("bad THINGS")
    mine.keyboard.press("Enter")
    expect(mine.locator("tbody tr")).to_have_count(1)
    sign_in(theirs, site, "chief")
    theirs.goto(mine.url)
    for page in (mine, theirs):
        expect(page.locator("tbody tr")).to_have_count(1)
        shown.append(page.locator("tbody a").inner_text())
    assert shown == ["Ending as raise"] * 2


def test_without_scripts_the_same_is_done_by_reloading(site: Site, new_page: Pages) -> None:
    page = new_page(javascript=False, tolerant=True)  # a start is refused
    sign_in(page, site, "contributor")
    start(page, "count", to="400", pause="0.05")

    def shows(text: str) -> Callable[[], bool]:
        def look() -> bool:
            page.reload()
            return text in page.locator("main").inner_text()

        return look

    wait_for(shows("of 400"))
    page.get_by_role("button", name="Cancel this thread").click()
    expect(status(page)).to_have_text(re.compile("Cancel"))
    wait_for(shows("Cancelled by contributor"))
    page.goto("/dashboard/groups/acme/threads?status=cancelled")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto("/dashboard/groups/acme")
    expect(page.locator("h1")).to_have_text("acme")
    # Many at once, and a start that is refused.
    several = [site.start("sleep", mark="/dev/null") for _ in range(3)]
    page.goto("/dashboard/groups/acme/threads")
    for one in several[:2]:
        page.locator(f"#pick-{one}").check()
    page.get_by_role("button", name="Cancel selected").click()
    expect(page.locator("h1")).to_have_text("Cancel 2 threads?")
    page.get_by_role("button", name="Cancel 2 threads").click()
    expect(page.locator("h1")).to_have_text("Results for 2 threads")
    page.goto("/dashboard/groups/acme/threads?text=sleeping")
    wait_for(lambda: page.reload() and page.locator("tbody tr").count() == 1)
    page.goto("/dashboard/groups/acme/start/move")
    page.locator("[name=path]").fill("/nowhere.xml")
    page.locator("[name=destination]").fill("/there.xml")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("main")).to_contain_text("/nowhere.xml")
    expect(page.locator("[name=destination]")).to_have_value("/there.xml")


def test_a_reviewer_and_another_groups_manager_see_nothing(site: Site, new_page: Pages) -> None:
    thread = site.start("end", how="warn")
    for name in ("reviewer", "outsider"):
        page = new_page(tolerant=True)
        sign_in(page, site, name)
        expect(page).to_have_url(f"{site.address}/dashboard/groups")
        assert "Ending as warn" not in page.content()
        for path in ("", "/threads", f"/threads/{thread}", f"/threads/{thread}/log", "/start", "/start/count"):
            for base in ("/dashboard", "/dashboard/groups/acme"):
                answer = page.goto(base + path)
                assert answer is not None
                assert answer.status == 403, base + path
                assert "Ending as warn" not in page.content()
        for path in ("/dashboard/members", "/dashboard/audit", "/dashboard/groups/acme/members"):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 403, path
    page = new_page(tolerant=True)
    sign_in(page, site, "outsider")
    answer = page.goto(f"/dashboard/groups/other/threads/{thread}")
    assert answer is not None
    assert answer.status == 404
    page.goto("/dashboard/groups/other/threads?status=finished")
    expect(page.locator("main")).to_contain_text("No threads")


def test_a_thread_is_started_again_from_its_page(site: Site, page: Page) -> None:
    thread = site.start("count", to=4)
    sign_in(page, site, "contributor")
    page.goto(f"/dashboard/groups/acme/threads/{thread}")
    expect(status(page)).to_have_text("Completed", timeout=15_000)
    page.get_by_role("button", name="Start again").click()
    expect(page).not_to_have_url(f"{site.address}/dashboard/groups/acme/threads/{thread}")
    expect(page.locator("#now .now")).to_contain_text("Counted to 4", timeout=15_000)
    page.get_by_role("link", name="Start with other parameters").click()
    expect(page.locator("[name=to]")).to_have_value("4")


def test_a_server_without_its_store_says_so_and_comes_back_by_itself(
    site: Site, new_page: Pages, server: RedisServer
) -> None:
    page = new_page(tolerant=True)
    sign_in(page, site, "chief")
    page.goto("/dashboard/threads")
    is_same = stays(page)
    server.stop()
    try:
        expect(page.locator("#banner")).not_to_be_empty(timeout=30_000)
    finally:
        server.start()
    expect(page.locator("#banner")).not_to_contain_text("Reconnecting…", timeout=30_000)
    assert is_same()


@pytest.mark.parametrize("name", ["chief", "contributor"])
def test_the_overview_moves_by_itself(site: Site, page: Page, name: str) -> None:
    sign_in(page, site, name)
    page.goto("/dashboard" if name == "chief" else "/dashboard/groups/acme")
    is_same = stays(page)
    expect(page.locator("#overview")).to_contain_text("No thread is running.")
    site.start("count", to=100, pause=0.1)
    expect(page.get_by_role("list", name="Running threads")).to_contain_text("Counting to 100", timeout=15_000)
    site.start("end", how="raise")
    expect(page.get_by_role("list", name="Failed threads")).to_contain_text("Bad things", timeout=15_000)
    assert is_same()
