"""The map in a browser: colours at their places, lasso and keyboard, what is chosen and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shotdex
from shotdex.store.types import Ids, Vectors
from tests.support.visits import TILES, Visit, settled, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

FIRST = (0x3B, 0x7D, 0xD8)
"""The colour of the most frequent value; of several, the first in the alphabet."""


@pytest.fixture(scope="module")
def points(session: shotdex.Session) -> tuple[Ids, Vectors]:
    found = list(session.sql("SELECT image_id, x, y FROM projection_points WHERE projection_id = 1 ORDER BY image_id"))
    return np.array([row[0] for row in found]), np.array([row[1:] for row in found], np.float32)


def painted(page: Page) -> dict[str, Any]:
    """Wait for the map, and return where its canvas is."""
    page.locator("canvas[data-painted][data-view]:not([data-view='0'])").wait_for()
    page.locator(".legend label").first.wait_for()
    box = page.locator("canvas").bounding_box()
    assert box is not None
    return dict(box)


def on_screen(box: dict[str, Any], places: Vectors) -> Vectors:
    """Return where points are on the canvas, in CSS pixels, when the whole map is in view."""
    low, high = places.min(axis=0), places.max(axis=0)
    side = (high - low).max()
    corner = (low + high - side) / 2
    square = (places - corner) / side
    square[:, 1] = 1 - square[:, 1]
    edge = min(box["width"], box["height"]) - 48
    return np.asarray(np.array([(box["width"] - edge) / 2, (box["height"] - edge) / 2]) + square * edge)


@pytest.mark.parametrize("ratio", [1, 3])
def test_a_point_has_the_colour_of_its_category(
    browser: Browser, address: str, session: shotdex.Session, points: tuple[Ids, Vectors], ratio: int
) -> None:
    ids, places = points
    airplanes = {row[0] for row in session.sql("SELECT image_id FROM images WHERE category = 'airplane'")}
    with Visit(browser, address, device_scale_factor=ratio) as visit:
        page = visit.go("?view=map&map=1&color=category")
        spots = on_screen(painted(page), places)
        crowd = np.linalg.norm(spots[:, None] - spots[None], axis=2)
        np.fill_diagonal(crowd, np.inf)
        alone = [at for at in range(len(ids)) if crowd[at].min() > 9]
        read = "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]"
        seen = {
            int(ids[at]): page.evaluate(read, (np.rint(spots[at] * ratio)).astype(int).tolist()) for at in alone[:60]
        }
        assert all(colour[3] == 255 for colour in seen.values())
        assert {tuple(colour[:3]) == FIRST for one, colour in seen.items() if one in airplanes} <= {True}
        assert {tuple(colour[:3]) == FIRST for one, colour in seen.items() if one not in airplanes} == {False}


def test_a_lasso_chooses_what_lies_inside_and_the_gallery_shows_it(
    browser: Browser, address: str, points: tuple[Ids, Vectors]
) -> None:
    ids, places = points
    with Visit(browser, address) as visit:
        page = visit.go("?view=map&map=1")
        box = painted(page)
        spots = on_screen(box, places)
        left, top = np.percentile(spots, 30, axis=0)
        right, bottom = np.percentile(spots, 75, axis=0)
        inside = ((spots > [left, top]) & (spots < [right, bottom])).all(axis=1)
        page.get_by_role("button", name="Lasso").click()
        page.mouse.move(box["x"] + left, box["y"] + top)
        page.mouse.down()
        page.keyboard.press("Escape")
        page.mouse.up()
        page.get_by_text("Draw a lasso around images").wait_for()
        page.get_by_role("button", name="Lasso").click()
        page.mouse.move(box["x"] + left, box["y"] + top)
        page.mouse.down()
        for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
            page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
        page.mouse.up()
        page.get_by_role("heading", name=f"{inside.sum()} images selected").wait_for()
        page.get_by_text("Inside the selection").wait_for()
        other = visit.context.new_page()  # somebody who was sent the link
        other.goto(page.url)
        other.get_by_role("heading", name=f"{inside.sum()} images selected").wait_for()
        page.get_by_role("link", name="See them as a gallery").click()
        page.wait_for_url("**view=search**")
        settled(page)
        assert shown(page)[:200] == ids[inside].tolist()[:200]
        other = visit.context.new_page()
        other.goto(page.url)
        other.get_by_text(f"{inside.sum()} images chosen on the map").wait_for()


def test_the_map_is_worked_by_keyboard(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=map&map=1")
        painted(page)
        page.locator("canvas").focus()
        for _ in range(4):
            page.keyboard.press("+")
        page.wait_for_url("**at=**")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("0")
        page.locator("canvas[data-view='320']").wait_for()
        page.keyboard.press("l")
        page.get_by_role("heading", name="320 images selected").wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("Draw a lasso around images").wait_for()


def test_the_legend_hides_and_an_image_is_shown_at_its_place(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=map&map=1&color=condition")
        painted(page)
        page.get_by_role("checkbox", name="geons").uncheck()
        page.locator("canvas[data-view='256']").wait_for()
        page.get_by_role("button", name="Show all").click()
        page.locator("canvas[data-view='320']").wait_for()
        page = visit.go("?view=search&open=30")
        page.get_by_role("link", name="Show on the map").click()
        page.wait_for_url("**view=map**")
        painted(page)
        page.get_by_label("A text as a star").fill("a cup")
        page.wait_for_load_state("networkidle")
        assert any("/places" in url for url in visit.requests)
        assert any("side=96" in url for url in visit.requests), "with few images in view they are drawn themselves"


def test_everything_that_is_chosen_is_listed(browser: Browser, address: str) -> None:
    with Visit(browser, address) as visit:
        page = visit.go("?view=map&map=1")
        painted(page)
        page.get_by_role("button", name="Select what is in view").click()
        page.get_by_role("table", name="What the selection holds").wait_for()
        page.get_by_role("link", name="See them as a gallery").click()
        page.get_by_text("320 images chosen on the map").wait_for()
        settled(page)
        page.get_by_label("geons 64").check()
        page.wait_for_url("**condition=geons**")
        settled(page)
        assert page.locator(TILES).count() == 64


def test_fingers_zoom_and_a_tab_that_nobody_sees_is_painted(browser: Browser, address: str) -> None:
    with Visit(browser, address, has_touch=True) as visit:
        page = visit.go("?view=map&map=1")
        box = painted(page)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = visit.context.new_cdp_session(page)
        for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 150)):
            fingers = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_url("**at=**")
        assert float(page.url.split("at=")[1].split("%2C")[2]) == pytest.approx(5, rel=0.05)
        hidden = "Object.defineProperty(document, 'hidden', {get: () => true}); window.requestAnimationFrame = () => 0;"
        page.add_init_script(hidden)
        page.goto(f"{address}?view=map&map=1")
        page.locator("canvas[data-view='320']").wait_for()
