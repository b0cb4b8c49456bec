"""The evaluation in a browser: its numbers are those of the report, and each opens its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import shotdex
from tests.support.visits import MINUS, TILES, Visit, settled, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


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


def test_a_run_leads_to_its_worst_mistakes_and_to_a_report_to_send(
    browser: Browser, address: str, session: shotdex.Session
) -> None:
    worst = session.sql(
        "SELECT image_id FROM outcomes WHERE run = 'names' AND NOT correct "
        "ORDER BY probability - true_probability DESC, image_id"
    )
    with Visit(browser, address) as visit:
        page = visit.go("?view=evaluate&run=names&by=condition&against=words")
        report = page.get_by_role("link", name="Report as a file to send")
        assert (report.get_attribute("href") or "").endswith("api/runs/names/document?against=words")
        page.get_by_role("link", name="Worst mistakes").click()
        page.wait_for_url("**sort=margin**")
        settled(page)
        assert shown(page) == [row[0] for row in worst]
