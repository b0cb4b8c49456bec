"""The search view and one image in a browser: by mouse and by keyboard, and what the address keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import shotdex
from tests.support.visits import TILES, Visit, settled, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def test_a_file_that_is_gone_is_said_in_words(browser: Browser, address: str, images: Path) -> None:
    gone = images / "blurred" / "Airplane01-twemoji.png"
    data = gone.read_bytes()
    gone.unlink()
    try:
        with Visit(browser, address, allowed=("404",)) as visit:
            # another test may have had the small one made, which is kept
            visit.context.route("**/images/1/picture?side=192", lambda route: route.fulfill(status=404))
            page = visit.go("?view=search&where=image_id+%3D+1&open=1")
            page.get_by_text("The file is gone:").wait_for()
            page.keyboard.press("Escape")
            page.locator(f"{TILES} .gone").wait_for()
    finally:
        gone.write_bytes(data)


def test_a_text_finds_what_a_search_finds_and_the_address_keeps_it(
    browser: Browser, address: str, session: shotdex.Session
) -> None:
    with Visit(browser, address) as visit:
        page = visit.go()
        page.keyboard.press("/")
        page.keyboard.type("a red cup")
        page.keyboard.press("Enter")
        page.wait_for_url("**text=a+red+cup**")
        settled(page)
        assert shown(page)[:20] == [hit.image_id for hit in session.search("a red cup", k=20)]
        page.get_by_role("button", name="minus").click()
        page.get_by_label("Minus text").fill("cup")
        page.keyboard.press("Enter")
        page.wait_for_url("**minus=cup**")
        settled(page)
        found = shown(page)
        assert found != [hit.image_id for hit in session.search("a red cup", k=len(found))]
        again = visit.context.new_page()
        again.goto(page.url)
        settled(again)
        assert shown(again) == found


def test_filters_are_counted_and_dropped(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go()
        page.get_by_label("cup 40").check()
        page.get_by_label("geons 64").check()
        page.wait_for_url("**condition=geons**")
        settled(page)
        assert page.locator(TILES).count() == 8
        page.get_by_role("combobox", name="Run").select_option("names")
        page.get_by_role("radio", name="wrong").check()
        page.wait_for_url("**outcome=wrong**")
        settled(page)
        wrong = page.locator(f"{TILES}.wrong").count()
        assert 0 < wrong == page.locator(TILES).count() < 8
        page.get_by_role("button", name="Drop all").click()
        page.wait_for_url(lambda url: "outcome" not in url and "category" not in url)
        settled(page)
        page.get_by_text("320 images").first.wait_for()


def test_images_are_dropped_pasted_and_taken_from_the_store(
    browser: Browser, address: str, images: Path, session: shotdex.Session
) -> None:
    import base64

    file = next((images / "realistic").glob("Cup*"))
    data = base64.b64encode(file.read_bytes()).decode()
    expected = [hit.image_id for hit in session.search(image=file, k=20)]
    give = """([kind, data]) => {
        const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
        const given = new DataTransfer();
        given.items.add(new File([bytes], "cup.png", {type: "image/png"}));
        const event = kind === "paste"
            ? new ClipboardEvent(kind, {clipboardData: given, bubbles: true, cancelable: true})
            : new DragEvent(kind, {dataTransfer: given, bubbles: true, cancelable: true});
        document.body.dispatchEvent(event);
    }"""
    with Visit(browser, address) as visit:
        for kind in ("drop", "paste"):
            page = visit.go("?view=evaluate&run=names")
            page.locator("main h2").first.wait_for()
            page.evaluate(give, [kind, data])
            page.wait_for_url("**view=search**")
            page.locator(".query-image").wait_for()
            settled(page)
            assert shown(page)[:20] == expected
        first = expected[0]
        page.get_by_role("button", name="Search without this image").click()
        page.locator(".query-image").wait_for(state="detached")
        page = visit.go(f"?view=search&open={first}")
        page.get_by_role("link", name="Search with this image").click()
        page.wait_for_url(f"**image={first}**")
        settled(page)
        assert first not in shown(page)


def test_everything_is_reached_by_keyboard(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go()
        settled(page)
        page.locator(f"{TILES} a").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        focused = page.evaluate("document.activeElement.dataset.id")
        assert focused == str(shown(page)[1])
        page.keyboard.press("Enter")
        page.locator("dialog h2").wait_for()
        assert f"open={focused}" in page.url
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**open={shown(page)[2]}**")
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="hidden")
        assert "open=" not in page.url
        page.go_forward()
        page.locator("dialog h2").wait_for()
        page.go_back()
        page.locator("dialog").wait_for(state="hidden")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"


def test_an_image_shows_what_each_run_made_of_it(browser: Browser, address: str, session: shotdex.Session) -> None:
    rows = list(
        session.sql(
            "SELECT category, printf('%.3f', probability) FROM predictions "
            "WHERE run_id = 1 AND image_id = 30 ORDER BY rank"
        )
    )
    with Visit(browser, address) as visit:
        page = visit.go("?view=search&open=30")
        table = page.locator("dialog .predictions").first.locator("tbody tr")
        page.locator("dialog .strip li").nth(11).wait_for()
        names = [one.locator("th").inner_text().split()[0] for one in table.all()]
        values = [one.locator("td").nth(1).inner_text() for one in table.all()]
        assert list(zip(names, values, strict=True)) == rows


def test_as_a_command_gives_the_same_numbers(browser: Browser, address: str, session: shotdex.Session) -> None:
    state = f"?view=search&category=cup&condition=geons&run=names&outcome=wrong&where={quote('width > 0')}"
    with Visit(browser, address) as visit:
        page = visit.go(state)
        settled(page)
        found = shown(page)
        page.get_by_text("As a command").click()
        statement = page.locator(".command pre").last.inner_text()
        assert [row[0] for row in session.sql(statement)] == found != []
