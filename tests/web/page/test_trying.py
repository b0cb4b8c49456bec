"""Trying prompts and SQL in a browser: numbers at each keystroke, what is wrong next to its field, a saved run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import shotdex
from shotdex.analysis.prompts.build import make_prompt_set
from tests.support.visits import TILES, Visit, serving, settled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

HAT = "a hat or a cap"


def current(page: Page) -> None:
    """Wait until the numbers are those of the prompts as they are now."""
    page.locator(".numbers[aria-busy=false] .headline").wait_for()


def test_typing_letter_by_letter_ends_with_the_numbers_of_classify(
    browser: Browser, session: shotdex.Session, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(session.path, tmp_path / "store"))
    with serving(store) as address, Visit(browser, address) as visit:
        page = visit.go("?view=live&run=names")
        current(page)
        box = page.get_by_label("Prompts of hat")
        box.fill("")
        assert page.get_by_text("A class needs at least one prompt.").is_visible()
        box.press_sequentially(HAT)
        current(page)
        texts = [row[0] for row in shotdex.open(store).sql("SELECT text FROM text_vectors_1 WHERE text LIKE 'a hat%'")]
        assert texts == [], "nothing typed is kept until it is saved"
        page.get_by_label("Save as run").fill("hats")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name="Evaluate hats").click()
        page.get_by_role("table", name="Accuracy by condition").wait_for()
        opened = shotdex.open(store)
        saved = next(one for one in opened.runs() if one.name == "hats")
        assert saved.prompts.classes["hat"] == (HAT,)
        assert page.locator(".headline dd").first.inner_text().split()[0] == f"{saved.accuracy().value:.3f}"
        names = {name: [name] for name in saved.prompts.classes} | {"hat": [HAT]}
        again = opened.classify(prompts=make_prompt_set("again", names), name="again")
        assert opened.rerun("hats").identical
        assert opened.compare("hats", "again").details.comparisons[0].only_a == 0
        assert again.accuracy().value == saved.accuracy().value


def test_a_slow_answer_never_overwrites_a_newer_one(browser: Browser, address: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "slow" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    with Visit(browser, address) as visit:
        visit.context.route("**/api/live", hold)
        page = visit.go("?view=live&run=names")
        current(page)
        box = page.get_by_label("Prompts of hat")
        box.fill("slow")
        page.locator(".numbers[aria-busy=true]").wait_for()
        box.fill("hat")
        current(page)
        newest = page.locator(".headline").inner_text().split("answered")[0]
        for one in held:
            one.abort()
        page.wait_for_load_state("networkidle")
        assert len(held) == 1
        assert page.locator(".headline").inner_text().split("answered")[0] == newest


def test_what_is_wrong_is_said_next_to_its_field(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=live&run=names")
        current(page)
        page.get_by_label("Name of class 2").fill("airplane")
        page.locator("li", has=page.get_by_label("Name of class 2")).get_by_text("There are two classes").wait_for()
        page.get_by_label("Name of class 2").fill("unicorn")
        page.get_by_text("No image has this category").wait_for()
        page.get_by_label("Name of class 2").fill("")
        page.get_by_text("A class needs a name.").wait_for()
        page.get_by_label("Save as run").fill("names")
        page.get_by_text("There is a run of this name already.").wait_for()
        assert page.get_by_role("button", name="Save", exact=True).is_disabled()


def test_the_other_half_confirms_once(browser: Browser, address: str, session: shotdex.Session) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=live&run=names")
        current(page)
        page.get_by_label("Prompts of cup").fill("a mug")
        current(page)
        explored = page.locator(".headline small").first.inner_text()
        page.get_by_role("button", name="Confirm on the other half").click()
        page.get_by_role("table", name="Confirmed prompt sets").locator("tbody tr").wait_for()
        assert page.get_by_role("button", name="These prompts are confirmed below").is_disabled()
        assert "160 images" in explored
        gained = page.get_by_role("radio", name="now right")
        gained.check(force=True)
        n = int(page.locator(".segments label", has=gained).inner_text().split(": ")[1])
        assert page.get_by_role("list", name="Images now right").locator("li").count() == n
        cell = page.locator(".confusion button[aria-label^='cup taken for']").first
        name, count = (cell.get_attribute("aria-label") or "").rsplit(": ", 1)
        cell.click()
        page.get_by_role("list", name=name, exact=True).wait_for()
        assert page.get_by_role("list", name=name, exact=True).locator("li").count() == int(count)
        looks = page.locator(".headline dd").last.inner_text().split()[0]
        again = visit.context.new_page()  # another tab, of which the first one's table is not forgotten
        again.goto(page.url)
        current(again)
        assert again.get_by_role("table", name="Confirmed prompt sets").locator("tbody tr").count() == 1
        assert int(again.locator(".headline dd").last.inner_text().split()[0]) >= int(looks)


def test_sql_answers_as_images_and_as_a_table(browser: Browser, address: str, session: shotdex.Session) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=sql")
        page.get_by_text("10 rows").wait_for()
        page.get_by_role("combobox", name="Examples").select_option(label="The surest mistakes")
        page.get_by_text("60 rows").wait_for()
        page.get_by_text("As a command").click()
        distinct = session.sql(page.locator(".command pre").last.inner_text().removeprefix("shotdex sql ").strip("'"))
        assert page.locator(TILES).count() == len({row[0] for row in distinct})
        page.get_by_role("radio", name="Table").check(force=True)
        assert page.locator(".answer tbody tr").count() == 60
        with page.expect_download() as download:
            page.get_by_role("button", name="Save CSV").click()
        lines = Path(download.value.path()).read_text().splitlines()
        assert (lines[0], len(lines)) == ("image_id,run,category,predicted,probability,prompt", 61)
        page.get_by_role("textbox", name="SQL statement").click()
        page.keyboard.press("Control+a")
        page.keyboard.type("SELECT pa")
        page.get_by_role("option", name="path").first.wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("Control+a")
        page.keyboard.insert_text("SELECT 1 AS one")
        page.keyboard.press("Control+Enter")
        page.get_by_text("1 row", exact=True).wait_for()
        assert "sql=SELECT+1" in page.url


def test_sql_that_is_refused_says_why(browser: Browser, address: str) -> None:
    with Visit(browser, address, allowed=("422",)) as visit:
        page = visit.go("?view=sql&sql=DROP+TABLE+images")
        page.get_by_role("alert").first.wait_for()


def test_hostile_names_and_categories_run_nothing(browser: Browser, images: Path, tmp_path: Path) -> None:
    evil = [
        "<img src=x onerror=alert(1)>",
        'x" onload="alert(2)',
        "javascript:alert(3)",
        "</script><script>alert(4)",
        "a>b",
    ]
    rows = ["path,category,condition"]
    for number, one in enumerate(evil):
        name = f"evil{number}.png"
        shutil.copy(next((images / "realistic").glob("Cup*")), tmp_path / name)
        rows.append(f'{name},"{one.replace(chr(34), chr(34) * 2)}","{one.replace(chr(34), chr(34) * 2)}"')
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    session = shotdex.open(tmp_path / "store", create=True)
    session.index(tmp_path / "list.csv", model="demo")
    session.classify(name=evil[0])
    session.classify(name=evil[3])
    session.close()
    with serving(tmp_path / "store") as address, Visit(browser, address) as visit:
        for state in ("search", "search&open=1", "evaluate", "live", "map", "sql"):
            page = visit.go(f"?view={state}")
            page.wait_for_load_state("networkidle")
            visit.check()
        page = visit.go("?view=evaluate")
        cell = page.locator(".confusion button").last
        name = cell.get_attribute("aria-label")
        cell.click()
        page.wait_for_url("**cell=**")
        settled(page)
        assert page.locator(TILES).count() == int((name or "").rsplit(": ", 1)[1])
