from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shotdex.analysis.figures import MapExtras, point_map, thumbnail_map
from shotdex.analysis.figures.map_extras import MOST_NUMBERED, SIZE, number_ranges, place_tags

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


def tags(figure):
    return [t for t in figure.axes[0].texts if t.get_fontsize() == SIZE]


def numbers(figure):
    """Return the numbers that the tags of a map have, abbreviated ones too."""
    found = []
    for part in ", ".join(t.get_text() for t in tags(figure)).replace("\n", " ").split(", "):
        first, _, last = part.partition("\u2013")
        found += range(int(first), int(last or first) + 1)
    return sorted(found)


def listed(figure):
    texts = [t.get_text().replace("\n", " ") for t in figure.legends[0].get_texts()]
    return texts[[text.startswith("prompts (") for text in texts].index(True) :]


AREA = (400.0, 300.0)
places = st.tuples(st.floats(0, 400), st.floats(0, 300))


def assert_placed(found, count):
    assert sorted(row for tag in found for row in tag.stars) == list(range(count)), "each star has one tag"
    for tag in found:
        assert (tag.corner >= 0).all() and (tag.corner + tag.size <= np.array(AREA) + 1e-9).all(), "it is outside"
    for one, other in combinations(found, 2):
        apart = (one.corner >= other.corner + other.size) | (other.corner >= one.corner + one.size)
        assert apart.any(), "two tags overlap"


@given(st.lists(places, max_size=40), st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_tag_lies_on_another_or_outside(anchors, named):
    stars = np.array(anchors, dtype=np.float64).reshape(-1, 2)
    names = [f"name {row}" for row in range(len(stars))] if named and len(stars) <= 10 else None
    found = place_tags(stars, names, AREA)
    assert_placed(found, len(stars))
    assert repr(found) == repr(place_tags(stars, names, AREA))


@pytest.mark.parametrize("gap", [1.0, 10.0, 25.0])
def test_crowded_stars_share_tags(gap):
    grid = np.array([(x, y) for y in range(6) for x in range(7)]) * gap + 50
    found = place_tags(grid, None, AREA)
    assert_placed(found, 42)
    assert (len(found) == 42) == (gap == 25)
    assert len(place_tags(np.full((40, 2), 200.0), None, AREA)) == 1


def test_stars_in_one_place_share_a_tag_that_lies_next_to_them():
    (tag,) = place_tags(np.array([[100.0, 100.0], [101.0, 100.0], [100.0, 99.0]]), ["a", "b", "c"], AREA)
    assert tag.text == "a, b, c" and tag.corner[0] == pytest.approx(107, abs=1)
    (edge,) = place_tags(np.array([[399.0, 100.0]]), ["dog"], AREA)
    assert edge.corner[0] + edge.size[0] <= 394


def test_runs_of_numbers_are_abbreviated():
    assert number_ranges([1, 2, 3, 4, 7, 9, 10]) == "1\u20134, 7, 9, 10"
    assert number_ranges([5]) == "5"
    assert number_ranges([]) == ""


def test_a_few_short_prompts_are_numbered_too(check):
    xy = np.random.default_rng(1).normal(size=(300, 2)) * 4
    prompts = [("Dress", (0.0, 1.0)), ("a $5 bill$", (3.0, -2.0))]
    figure = point_map(xy, ["a", "b", None] * 100, "Map", "category", MapExtras(prompts, CAPTION))
    (drawn,) = stars(figure.axes[0])
    assert np.column_stack(drawn.get_data()).tolist() == [[0.0, 1.0], [3.0, -2.0]]
    assert listed(figure) == ["prompts (2)", "1: Dress", r"2: a \$5 bill\$"]
    assert figure.axes[0].get_xlabel().replace("\n", " ") == CAPTION.strip()
    check(figure, "1", "2", "1: Dress")


@pytest.mark.parametrize("count", [1, 12, 40])
@pytest.mark.parametrize("spread", [0.02, 4.0])
def test_other_prompts_are_numbered_and_listed_in_full(readable, count, spread):
    xy = np.random.default_rng(1).normal(size=(300, 2)) * 4 + 20
    prompts = scattered(count, spread)
    figure = point_map(xy, ["a"] * 300, extras=MapExtras(prompts))
    assert numbers(figure) == list(range(1, count + 1))
    assert listed(figure)[1].startswith("1: A women's T-shirt/top with text on it")
    assert len(listed(figure)) == count + 1
    readable(figure)


def test_beyond_the_most_prompts_are_only_counted(check):
    figure = point_map(np.zeros((2, 2)), ["a", "b"], extras=MapExtras(scattered(150), width=4.0))
    assert numbers(figure) == list(range(1, MOST_NUMBERED + 1))
    assert listed(figure)[-1] == "and 90 more, without a number"
    assert len(stars(figure.axes[0])[0].get_xdata()) == 150
    check(figure)


def test_a_map_of_prompts_alone(check):
    check(
        point_map(np.zeros((0, 2)), [], extras=MapExtras([("one", (0.0, 0.0)), ("two", (1.0, 1.0))])),
        "1: one",
        "2: two",
    )


def test_a_map_without_extras_stays_what_it_was():
    xy = np.random.default_rng(0).normal(size=(50, 2))
    images = [Image.new("RGB", (4, 4), "red")] * 50
    for one, other in (
        (point_map(xy, ["a"] * 50), point_map(xy, ["a"] * 50, extras=MapExtras())),
        (thumbnail_map(xy, images), thumbnail_map(xy, images, extras=MapExtras())),
    ):
        assert one.get_size_inches().tolist() == other.get_size_inches().tolist()
        assert len(stars(one.axes[0])) == len(stars(other.axes[0])) == 0


@pytest.mark.parametrize("gap", [0.0, 30.0])
def test_prompts_lie_on_thumbnails(check, gap):
    rng = np.random.default_rng(2)
    prompts = [(text, (x + gap, y)) for text, (x, y) in scattered(8, 0.5)]
    images = [Image.new("RGB", (8, 8), "red")] * 200
    labels = ["correct", "wrong"] * 100
    extras = MapExtras(prompts, CAPTION, 6.0)
    figure = thumbnail_map(rng.normal(size=(200, 2)), images, labels, "Map", "correct", extras)
    check(figure, "200 of 200 images, each moved to the nearest free place, none left out")
    assert numbers(figure) == list(range(1, 9))
    assert listed(figure)[2] == "2: Dress 1"
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend[:3] == ["correct (100)", "wrong (100)", "prompts (8)"]
    assert "\n".join(t.get_text() for t in figure.axes[0].texts).replace("\n", " ").count("mean cosine") == 3


def test_the_stars_on_thumbnails_lie_where_their_images_do(readable):
    """A prompt with an image's coordinates lies in that image's cell, where nothing else claims it."""
    xy = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    colours = ["red", "lime", "blue", "black"]
    images = [Image.new("RGB", (8, 8), colour) for colour in colours]
    prompts = [("one", (0.0, 0.0)), ("two", (10.0, 10.0))]
    figure = thumbnail_map(xy, images, extras=MapExtras(prompts, width=6.0))
    (drawn,) = stars(figure.axes[0])
    pixels = figure.axes[0].images[0].get_array()
    for (x, y), colour in zip(np.column_stack(drawn.get_data()), ((255, 0, 0), (0, 0, 0)), strict=True):
        where = np.argwhere((pixels == colour).all(axis=-1)).mean(axis=0)
        assert np.hypot(*(where - (y, x))) < 220
    readable(figure)
