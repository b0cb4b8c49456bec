"""The page in a real browser: search, one image, evaluation; by mouse and by keyboard, and what it never does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import shotdex
from shotdex import demo
from shotdex.analysis.maps import MapOptions, coordinates
from shotdex.analysis.projections import ProjectionOptions
from tests.support.browser import chromium
from tests.support.visits import Scheme, Visit, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

MINUS = "\u2212"
TILES = "main .gallery li"
LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evaluation images that ship, where one can be taken away."""
    return Path(shutil.copytree(demo.EVALUATION, tmp_path_factory.mktemp("images") / "evaluation"))


@pytest.fixture(scope="module")
def session(images: Path, tmp_path_factory: pytest.TempPathFactory) -> shotdex.Session:
    session = shotdex.open(tmp_path_factory.mktemp("served") / "store", create=True)
    session.index(images, model="demo", layout="{condition}/{category}*", categories=list(demo.CATEGORIES))
    session.classify(prompts="words", name="words")
    session.classify(name="names")
    session.import_baseline("toddlers")
    coordinates(session.store, MapOptions(projection=ProjectionOptions(method="tsne")))
    return session


@pytest.fixture(scope="module")
def address(session: shotdex.Session) -> Iterator[str]:
    with serving(session.path) as found:
        yield found


def shown(page: Page) -> list[int]:
    """Return the ids of the images in the gallery, in order."""
    return [int(one) for one in page.locator(f"{TILES} a").evaluate_all("all => all.map((one) => one.dataset.id)")]


def settled(page: Page) -> None:
    """Wait until the newest answer is in the gallery."""
    page.locator(".total[data-busy=false]").wait_for()


def test_a_file_that_is_gone_is_said_in_words(browser: Browser, address: str, images: Path) -> None:
    gone = images / "blurred" / "Airplane01-twemoji.png"
    data = gone.read_bytes()
    gone.unlink()
    try:
        with Visit(browser, address, allowed=("404",)) as visit:
            page = visit.go("?view=search&where=image_id+%3D+1&open=1")
            page.get_by_text("The file is gone:").wait_for()
            page.keyboard.press("Escape")
            page.locator(f"{TILES} .gone").wait_for()
    finally:
        gone.write_bytes(data)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize(
    "state",
    [
        "?view=search&text=a+red+cup&minus=animal&category=cup",
        "?view=search&open=30",
        "?view=evaluate&run=names&cell=cup%3Eairplane",
        "?view=evaluate&run=names&against=words&flip=lost",
        "?view=live",
        "?view=map",
        "?view=sql",
    ],
)
def test_each_view_can_be_read_by_everybody(
    browser: Browser, address: str, state: str, scheme: Scheme, width: int
) -> None:
    with Visit(browser, address, scheme=scheme, width=width, axe=True) as visit:
        visit.go(state)
        visit.page.wait_for_load_state("networkidle")


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


def test_images_are_dropped_pasted_and_taken_from_the_store(browser: Browser, address: str, images: Path) -> None:
    import base64

    data = base64.b64encode(next((images / "realistic").glob("Cup*")).read_bytes()).decode()
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
            page.locator(f"{TILES} .score", has_text="1.000").first.wait_for()
        first = shown(page)[0]
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


def test_every_cell_opens_as_many_images_as_it_says(browser: Browser, address: str, session: shotdex.Session) -> None:
    counted = {
        (truth, predicted): n
        for truth, predicted, n in session.sql("SELECT category, predicted, images FROM confusion WHERE run = 'names'")
    }
    with Visit(browser, address) as visit:
        page = visit.go("?view=evaluate&run=names&by=condition")
        cells = page.locator(".confusion button")
        cells.first.wait_for()
        assert cells.count() == len(counted)
        for cell in cells.all():
            name, n = cell.get_attribute("aria-label").rsplit(": ", 1)  # type: ignore[union-attr]
            truth, _, predicted = name.partition(" taken for ")
            truth = truth.removesuffix(" recognised")
            cell.click()
            said = f"{truth} taken for {predicted} by names" if predicted else f"{truth} recognised by names"
            page.get_by_role("list", name=said, exact=True).wait_for()
            settled(page)
            assert page.locator(f"[aria-label='{said}'] li").count() == int(n) == counted[truth, predicted or truth]


def test_a_cell_is_reached_and_opened_by_keyboard(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=evaluate&run=names&by=condition")
        page.locator(".confusion button").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.ariaLabel").startswith("car recognised: ")
        page.keyboard.press("Enter")
        page.wait_for_url("**cell=car%3Ecar**")


def test_the_numbers_are_those_of_the_report(browser: Browser, address: str, session: shotdex.Session) -> None:
    report = session.report("names", by="condition").details
    compared = session.compare("names", "words", by="condition").details
    with Visit(browser, address) as visit:
        page = visit.go("?view=evaluate&run=names&by=condition")
        table = page.get_by_role("table", name="Accuracy by condition")
        table.wait_for()
        for group in [*report.groups, report.overall]:
            row = table.locator("tr", has=page.get_by_role("rowheader", name=group.name, exact=True)).inner_text()
            one = group.accuracy
            assert f"{one.value:.3f} {one.low:.3f} to {one.high:.3f}" in " ".join(row.split())
        page = visit.go("?view=evaluate&run=names&against=words&by=condition")
        table = page.get_by_role("table", name="Both runs on the same images")
        table.wait_for()
        for found in compared.comparisons:
            row = table.locator("tr", has=page.get_by_role("rowheader", name=found.group, exact=True)).inner_text()
            words = " ".join(row.replace(MINUS, "-").split())
            assert f"{found.difference.low:+.3f} to {found.difference.high:+.3f}".replace("+-", "-") in words
            assert f"{found.only_a} {found.only_b} {found.p_value:.3f} {found.adjusted:.3f}" in words
        page.get_by_role("link", name=str(compared.comparisons[-1].only_a), exact=True).click()
        page.wait_for_url("**flip=lost**")
        settled(page)
        assert page.locator(TILES).count() == compared.comparisons[-1].only_a


def test_as_a_command_gives_the_same_numbers(browser: Browser, address: str, session: shotdex.Session) -> None:
    state = f"?view=search&category=cup&condition=geons&run=names&outcome=wrong&where={quote('width > 0')}"
    with Visit(browser, address) as visit:
        page = visit.go(state)
        settled(page)
        found = shown(page)
        page.get_by_text("As a command").click()
        statement = page.locator(".command pre").last.inner_text()
        assert [row[0] for row in session.sql(statement)] == found != []
