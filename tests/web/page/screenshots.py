"""Make the screenshots of docs/page.md, of the demo's store:

python -m tests.web.page.screenshots STORE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.conftest import ROOT
from tests.support.browser import chromium
from tests.support.visits import Scheme, Visit, serving, settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

FOLDER = ROOT / "docs" / "images"


def _tried(page: Page) -> None:
    page.get_by_label("Template for all classes").fill("a photo of a {}.")
    page.get_by_role("button", name="Apply").click()
    page.locator(".numbers[aria-busy=true]").wait_for()
    page.locator(".numbers[aria-busy=false] .headline").wait_for()


def _low(page: Page) -> None:
    """Leave out the path of the file, which is that of this machine."""
    page.set_viewport_size({"width": 1280, "height": 720})


def _chosen(page: Page) -> None:
    page.locator("canvas[data-view='320']").wait_for()
    page.get_by_label("Prompts as stars").select_option("run")
    page.get_by_role("button", name="Lasso").click()
    box = page.locator("canvas").bounding_box()
    assert box is not None
    for number, (x, y) in enumerate([(0.54, 0.25), (0.8, 0.25), (0.8, 0.5), (0.58, 0.55), (0.54, 0.25)]):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if not number:
            page.mouse.down()
    page.mouse.up()
    page.get_by_text("Inside the selection").wait_for()


SHOTS: list[tuple[str, str, Scheme, Callable[[Page], None] | None]] = [
    ("search", "?view=search&text=fruit", "light", None),
    ("image", "?view=search&text=cup&open=30", "light", _low),
    ("evaluate", "?view=evaluate&run=names&against=words&by=condition&baseline=toddlers", "light", None),
    ("try", "?view=live&run=words", "light", _tried),
    ("map", "?view=map&map=1&run=words&color=category", "dark", _chosen),
    ("sql", "?view=sql&sql=SELECT+image_id,+category,+predicted+FROM+outcomes+WHERE+NOT+correct", "light", None),
]


def main(store: Path) -> None:
    """Write docs/images/page-NAME.png for each view."""
    with serving(store) as address, chromium() as browser:
        for name, state, scheme, act in SHOTS:
            with Visit(browser, address, scheme=scheme) as visit:
                page = visit.go(state)
                page.wait_for_load_state("networkidle")
                if act is not None:
                    act(page)
                page.locator(".waiting").wait_for(state="detached")
                if page.locator(".total[data-busy]").count():
                    settled(page)
                page.mouse.move(5, 500)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(500)
                file = FOLDER / f"page-{name}.png"
                page.screenshot(path=file)
            if file.stat().st_size > 150_000:
                Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
