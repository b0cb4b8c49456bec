"""Each view, in both themes and on a phone: axe finds nothing serious, nothing is said, asked elsewhere or too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.visits import Scheme, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 400)]


@pytest.mark.parametrize(
    "state",
    [
        "?view=search&text=a+red+cup&minus=animal&category=cup",
        "?view=search&open=30",
        "?view=evaluate&run=names&cell=cup%3Eairplane",
        "?view=evaluate&run=names&against=words&flip=lost",
        "?view=live&cell=cup%3Eairplane",
        "?view=map&lasso=1:0.2,0.2,0.8,0.2,0.8,0.8,0.2,0.8",
        "?view=sql",
    ],
)
def test_each_view_can_be_read_by_everybody(browser: Browser, address: str, state: str) -> None:
    with Visit(browser, address, axe=True) as visit:
        visit.go(state).wait_for_load_state("networkidle")
        for scheme, width in LOOKS:
            visit.width = width
            visit.page.set_viewport_size({"width": width, "height": 900})
            visit.page.emulate_media(color_scheme=scheme)
            visit.check()
        visit.axe = False  # the last look was the one that the end of the visit would have
