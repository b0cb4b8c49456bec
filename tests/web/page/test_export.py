"""The page as one file, opened without a server: it asks nobody, and its numbers are those of the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import shotdex
from shotdex.store.errors import OptionError
from shotdex.web.app import PAGE
from shotdex.web.bundle import bundle
from shotdex.web.page_file import export_page
from tests.support.visits import MINUS, TILES, Visit, settled

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def written(session: shotdex.Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "page.html"
    done = export_page(session, file, resamples=100)
    assert (done.images, done.runs, done.missing, done.size) == (320, 2, 0, file.stat().st_size)
    return file


@pytest.mark.browser
def test_it_shows_gallery_evaluation_and_map_without_a_server(
    browser: Browser, written: Path, session: shotdex.Session
) -> None:
    compared = session.compare("names", "words", resamples=100).details.comparisons[-1]
    with Visit(browser, written.as_uri(), offline=True, axe=True) as visit:
        page = visit.go("#view=search&category=cup&run=names&outcome=wrong")
        settled(page)
        rows = session.sql("SELECT image_id FROM outcomes WHERE run = 'names' AND category = 'cup' AND NOT correct")
        assert page.locator(TILES).count() == len(rows)
        page.locator(f"{TILES} a").first.click()
        page.locator("dialog .predictions").first.wait_for()
        assert (
            page.locator("dialog .large img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
        )
        near = page.locator("dialog .strip a").evaluate_all("all => all.map((one) => one.href.match(/open=(\\d+)/)[1])")
        expected = [str(hit.image_id) for hit in session.search(like=rows[0][0], k=12)]
        assert near == expected
        page.get_by_text(" kB").first.wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("link", name="Map").click()
        page.locator("canvas[data-view='320']").wait_for()
    with Visit(browser, written.as_uri(), offline=True) as visit:
        page = visit.go("#view=evaluate&run=names&against=words&by=condition&flip=lost")
        page.get_by_role("heading", name="Only names gets these right").wait_for()
        settled(page)
        assert page.locator(TILES).count() == compared.only_a
        row = page.get_by_role("table", name="Both runs").locator("tr.all").inner_text().replace(MINUS, "-")
        assert f"{compared.difference.value:.3f}" in row
        assert not [url for url in visit.requests if not url.startswith(("file:", "blob:"))]


def test_it_is_the_same_again_and_never_replaces_a_file_unasked(
    written: Path, session: shotdex.Session, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="exists"):
        export_page(session, written)
    with pytest.raises(OptionError, match="320 images"):
        export_page(session, tmp_path / "page.html", most=100)
    assert list(tmp_path.iterdir()) == []
    assert str(session.path) not in written.read_text(), "no folder of the one who made it"


def test_modules_become_one_script(tmp_path: Path) -> None:
    assert bundle(PAGE, "app.js").count("modules[") > 40
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = a;\n')
    with pytest.raises(ValueError, match=r"a.js > b.js > a.js"):
        bundle(tmp_path, "a.js")
    (tmp_path / "c.js").write_text("export default 1;\n")
    with pytest.raises(ValueError, match="export default"):
        bundle(tmp_path, "c.js")
