import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from shotdex.analysis.figures import MapExtras, point_map, thumbnail_map
from shotdex.analysis.figures.style import CORRECT, OKABE_ITO, WRONG


def drawn(axes):
    """Return every point of the map in the order of drawing: (x, y, colour)."""
    return [
        (*place, to_hex(colour).upper())
        for layer in axes.collections
        for place, colour in zip(layer.get_offsets().tolist(), layer.get_facecolors(), strict=True)
    ]


def test_points_have_their_labels_colours_and_the_unlabelled_lie_beneath(check):
    xy = np.arange(12.0).reshape(6, 2)
    xy.flags.writeable = False
    figure = point_map(xy, ["dog", None, "cat", "dog", None, "_a$b$"], "Map of six", "category")
    points = drawn(figure.axes[0])
    colour_of = {"_a$b$": OKABE_ITO[0], "cat": OKABE_ITO[1], "dog": OKABE_ITO[2]}
    assert {x: colour for x, _, colour in points if colour in colour_of.values()} == {
        0.0: colour_of["dog"], 4.0: colour_of["cat"], 6.0: colour_of["dog"], 10.0: colour_of["_a$b$"],
    }  # fmt: skip
    assert {x for x, _, _ in points[:2]} == {2.0, 8.0}, "the unlabelled come first"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [r"_a\$b\$ (1)", "cat (1)", "dog (2)", "unlabelled (2)"]
    check(figure, "Map of six", "category")


def test_wrong_answers_lie_on_right_ones(check):
    labels = ["wrong", "correct", "correct", None, "wrong"]
    figure = point_map(np.zeros((5, 2)), labels)
    assert [colour for *_, colour in drawn(figure.axes[0])][1:] == [CORRECT] * 2 + [WRONG] * 2
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["correct (2)", "wrong (2)", "unlabelled (1)"]
    check(figure)


def test_a_hundred_labels_stand_beside_the_map(check):
    labels = [f"category {index % 100}" for index in range(300)]
    figure = point_map(np.random.default_rng(0).normal(size=(300, 2)), labels)
    assert len(figure.legends[0].get_texts()) == 100
    assert sum(len(layer.get_offsets()) for layer in figure.axes[0].collections) == 300
    check(figure)


def test_seventy_thousand_points_are_a_bitmap_inside_an_svg(tmp_path):
    from shotdex.analysis.figures import save

    xy = np.random.default_rng(0).normal(size=(70_000, 2))
    save(point_map(xy, ["a", "b"] * 35_000), tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size < 4_000_000


def test_an_empty_map(check):
    check(point_map(np.zeros((0, 2)), []), "Map")


def image(colour, size=(8, 8)):
    return Image.new("RGB", size, colour)


def page(figure):
    return figure.axes[0].images[0].get_array()


def count(pixels, colour):
    return int((pixels == np.array(Image.new("RGB", (1, 1), colour))[0, 0]).all(axis=-1).sum())


def test_thumbnails_stand_in_their_corners_whole_and_apart(check):
    xy = np.array([[0.0, 0.0], [1.0, 1.0]])
    figure = thumbnail_map(
        xy, [image("red", (8, 4)), image("lime")], ["x", None], "Two", "category", extras=MapExtras(width=5)
    )
    pixels = page(figure)
    red, lime = (np.argwhere((pixels == colour).all(axis=-1)) for colour in ([255, 0, 0], [0, 255, 0]))
    assert red[:, 0].min() > lime[:, 0].max() and red[:, 1].max() < lime[:, 1].min()
    for found, ratio in ((red, 2), (lime, 1)):
        height, width = np.ptp(found, axis=0) + 1
        assert width / height == pytest.approx(ratio, rel=0.02), "no image is distorted"
        assert len(found) == height * width, "nothing lies on it"
    assert count(pixels, OKABE_ITO[0]) > 100, "the frame says the label"
    check(
        figure, "Two", "2 of 2 images, each moved to the nearest free place, none left out", "x (1)", "unlabelled (1)"
    )


def test_what_does_not_fit_is_counted(check):
    rng = np.random.default_rng(0)
    figure = thumbnail_map(rng.normal(size=(300, 2)), [image("red")] * 300, extras=MapExtras(width=1.2))
    found = [t.get_text() for t in figure.axes[0].texts][1]
    drawn, of, left_out = (int(word) for word in found.split() if word.isdigit())
    assert of == 300 == drawn + left_out and left_out > 200
    check(figure)


def test_with_more_labels_than_colours_there_is_no_legend():
    labels = [f"category {index}" for index in range(21)]
    xy = np.random.default_rng(0).normal(size=(21, 2))
    assert thumbnail_map(xy, [image("red")] * 21, labels, extras=MapExtras(width=2)).legends == []
    assert (
        len(thumbnail_map(xy, [image("red")] * 21, [*labels[:20], labels[0]], extras=MapExtras(width=2)).legends) == 1
    )


def test_labels_must_match_images():
    with pytest.raises(ValueError, match="2 places for 1 images"):
        thumbnail_map(np.zeros((2, 2)), [image("red")])
    with pytest.raises(ValueError, match="too few labels"):
        thumbnail_map(np.zeros((1, 2)), [image("red")], [])


def test_no_thumbnails(check):
    check(thumbnail_map(np.zeros((0, 2)), []), "0 of 0 images, each moved to the nearest free place, none left out")
