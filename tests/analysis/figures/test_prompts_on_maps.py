from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shotdex.analysis.figures import MapExtras, point_map, thumbnail_map
from shotdex.analysis.figures.map_prompts import make_room
from shotdex.analysis.figures.thumbnail_layout import place

CAPTION = "Images and prompts lie apart: the mean cosine between an image and its own prompt is 0.27. " * 3
WORDS = (
    "A women's T-shirt/top with text on it",
    "Dress",
    "a $5 bill$ of 猫",
    "Sneaker with laces and details on the side",
)


def scattered(count, spread=4.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (f"{WORDS[index % 4]} {index}", (x, y)) for index, (x, y) in enumerate(rng.normal(size=(count, 2)) * spread)
    ]


def stars(axes):
    return [line for line in axes.lines if line.get_marker() == "*"]


def test_prompts_are_stars_in_their_places_with_their_texts(check):
    xy = np.random.default_rng(1).normal(size=(300, 2)) * 4
    prompts = [("Dress", (0.0, 1.0)), ("a $5 bill$", (3.0, -2.0))]
    figure = point_map(xy, ["a", "b", None] * 100, "Map", "category", MapExtras(prompts, CAPTION))
    (drawn,) = stars(figure.axes[0])
    assert np.column_stack(drawn.get_data()).tolist() == [[0.0, 1.0], [3.0, -2.0]]
    assert [t.get_text() for t in figure.legends[0].get_texts()][-1] == "prompts (2)"
    assert figure.axes[0].get_xlabel().replace("\n", " ") == CAPTION.strip()
    check(figure, "Dress", r"a \$5 bill\$")


@pytest.mark.parametrize("count", [1, 12, 30])
@pytest.mark.parametrize("spread", [0.02, 4.0])
def test_texts_lie_neither_on_each_other_nor_outside(readable, count, spread):
    xy = np.random.default_rng(1).normal(size=(300, 2)) * 4 + 20
    readable(point_map(xy, ["a"] * 300, extras=MapExtras(scattered(count, spread))))


def test_prompts_without_room_for_a_name_are_counted(check):
    figure = point_map(np.zeros((2, 2)), ["a", "b"], extras=MapExtras(scattered(150), width=4.0))
    named = [t.get_text() for t in figure.axes[0].texts if t.get_text()]
    (missing,) = [text for text in named if "for want of room" in text]
    assert missing == f"{150 - (len(named) - 1)} of 150 prompts have no name here for want of room"
    assert 10 < len(named) < 101 and len(stars(figure.axes[0])[0].get_xdata()) == 150
    check(figure)


def test_a_map_of_prompts_alone(check):
    check(point_map(np.zeros((0, 2)), [], extras=MapExtras([("one", (0.0, 0.0)), ("two", (1.0, 1.0))])), "one", "two")


def test_a_map_without_extras_stays_what_it_was():
    xy = np.random.default_rng(0).normal(size=(50, 2))
    images = [Image.new("RGB", (4, 4), "red")] * 50
    for one, other in (
        (point_map(xy, ["a"] * 50), point_map(xy, ["a"] * 50, extras=MapExtras())),
        (thumbnail_map(xy, images), thumbnail_map(xy, images, extras=MapExtras())),
    ):
        assert one.get_size_inches().tolist() == other.get_size_inches().tolist()
        assert len(stars(one.axes[0])) == len(stars(other.axes[0])) == 0


def page(figure):
    return figure.axes[0].images[0].get_array()


@pytest.mark.parametrize("gap", [0.0, 30.0])
def test_thumbnails_leave_the_texts_their_room(check, gap):
    rng = np.random.default_rng(2)
    prompts = [(text, (x + gap, y)) for text, (x, y) in scattered(8, 0.5)]
    images = [Image.new("RGB", (8, 8), "red")] * 200
    labels = ["correct", "wrong"] * 100
    extras = MapExtras(prompts, CAPTION, 6.0)
    figure = thumbnail_map(rng.normal(size=(200, 2)), images, labels, "Map", "correct", extras)
    check(figure, "200 of 200 images drawn, none left out")
    pixels, axes = page(figure), figure.axes[0]
    renderer = figure.canvas.get_renderer()
    texts = [t for t in axes.texts if t.get_text().split("\n")[0].split(" ")[0] in ("A", "Dress", "a", "Sneaker")]
    assert len(texts) == 8
    for text in texts:
        box = text.get_window_extent(renderer)
        under = pixels[round(pixels.shape[0] - box.y1) : round(pixels.shape[0] - box.y0), round(box.x0) : round(box.x1)]
        assert under.size and (under == 255).all(), f"{text.get_text()!r} lies on a thumbnail"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["correct (100)", "wrong (100)", "prompts (8)"]
    assert "\n".join(t.get_text() for t in axes.texts).replace("\n", " ").count("mean cosine") == 3


def test_among_thumbnails_only_30_prompts_are_named(check):
    images = [Image.new("RGB", (8, 8), "red")] * 50
    figure = thumbnail_map(
        np.random.default_rng(0).normal(size=(50, 2)), images, extras=MapExtras(scattered(40), width=7.0)
    )
    (header,) = [t.get_text() for t in figure.axes[0].texts if "images drawn" in t.get_text()]
    assert header.endswith("; 10 of 40 prompts have no name here for want of room")
    check(figure)


def test_images_move_out_of_taken_cells_to_the_nearest_free_ones():
    xy = np.random.default_rng(0).uniform(size=(30, 2))
    layout = place(xy, 8, 8)
    taken = np.zeros((8, 8), dtype=bool)
    taken[2:5, 1:6] = True
    roomy = make_room(layout, taken)
    assert roomy.placed.all() and len({tuple(cell) for cell in roomy.cells.tolist()}) == 30
    assert not taken[roomy.cells[:, 1], roomy.cells[:, 0]].any()
    stay = ~taken[layout.cells[:, 1], layout.cells[:, 0]]
    assert (roomy.cells[stay] == layout.cells[stay]).all() and 0 < stay.sum() < 30
    free = ~taken
    free[layout.cells[stay, 1], layout.cells[stay, 0]] = False
    first = int(np.flatnonzero(~stay)[0])
    distances = [np.hypot(c - layout.wanted[first, 0], r - layout.wanted[first, 1]) for r, c in np.argwhere(free)]
    assert np.hypot(*(roomy.cells[first] - layout.wanted[first])) == pytest.approx(min(distances))


def test_images_without_a_free_cell_are_left_out():
    layout = place(np.random.default_rng(0).uniform(size=(9, 2)), 3, 3)
    taken = np.zeros((3, 3), dtype=bool)
    taken[0] = True
    roomy = make_room(layout, taken)
    assert roomy.left_out == 3 and (roomy.cells[~roomy.placed] == -1).all()
    assert layout.placed.all(), "the layout it was given stays"
    some_left_out = make_room(place(np.random.default_rng(0).uniform(size=(20, 2)), 3, 3), taken)
    assert some_left_out.left_out == 14
