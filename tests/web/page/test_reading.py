"""Each view, in both themes and on a phone: axe finds nothing serious, nothing is said, asked elsewhere or too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.visits import Scheme, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 400)]


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
