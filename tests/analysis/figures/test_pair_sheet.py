from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from shotdex.analysis.figures import style
from shotdex.analysis.figures.pages import PAIR_TILE, ImageLabels, PairLabels, pair_sheet


def image(colour, size=(20, 20)):
    return Image.new("RGB", size, colour)


def where(figure, colour):
    """Return top, left, bottom, right of a colour on the page."""
    found = np.argwhere((figure.axes[0].images[0].get_array() == ImageColor.getrgb(colour)).all(axis=-1))
    return (*found.min(axis=0).tolist(), *found.max(axis=0).tolist())


def pair(cosine, exact, first, second):
    return PairLabels(cosine, exact, ImageLabels(*first), ImageLabels(*second))


def test_a_pair_stands_side_by_side_with_its_captions(check):
    pairs = [
        pair(1.0, True, ("/x/of $1$.png", "cat", "plain, train"), ("a.zip!in/b.png", "dog", "test")),
        pair(0.998765, False, ("/x/" + "long_" * 20 + "end.jpeg", "cat", None), ("/x/c.png", None, None)),
    ]
    images = [(image("red"), image("lime", (40, 20))), (image("blue"), image("yellow"))]
    figure = pair_sheet(pairs, images, "Closest $pairs$", "cosine 0.99 or more")
    red, lime, blue, yellow = (where(figure, colour) for colour in ("red", "lime", "blue", "yellow"))
    assert red[3] < lime[1] < lime[3] < blue[1] < blue[3] < yellow[1], "first beside second, pair beside pair"
    assert red[0] < lime[0], "a wide image is shown whole, in the middle of its square"
    assert (lime[3] - lime[1] + 1, lime[2] - lime[0] + 1) == (PAIR_TILE - 8, (PAIR_TILE - 8) // 2)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown[:4] == [r"Closest \$pairs\$", "cosine 0.99 or more", "1", "exact copy"]
    assert shown[4:10] == [r"of \$1\$.png", "cat", "plain, train", "b.png", "dog", "test"]
    assert shown[10:12] == ["2", "cosine 0.99877"]
    assert "…" in shown[12] and shown[12].endswith("end.jpeg")
    assert shown[13:] == ["cat", "c.png"]
    check(figure)


def test_two_categories_are_coloured_and_one_without_a_label_is_not(check):
    both = (image("white"), image("white"))
    differing = pair(0.99, False, ("a.png", "cat", None), ("b.png", "dog", None))
    unknown = pair(0.99, False, ("a.png", "cat", None), ("b.png", None, None))
    alike = pair(0.99, False, ("a.png", "cat", "train"), ("b.png", "cat", "test"))
    figure = pair_sheet([differing], [both], "x")
    frame = where(figure, style.WRONG)
    assert frame[3] - frame[1] + 1 == 2 * PAIR_TILE + 8
    assert {t.get_text() for t in figure.axes[0].texts if t.get_color() == style.WRONG} == {"cat", "dog"}
    check(figure)
    for quiet in (unknown, alike):
        page = pair_sheet([quiet], [both], "x").axes[0]
        assert not (page.images[0].get_array() == ImageColor.getrgb(style.WRONG)).all(axis=-1).any()
        assert style.WRONG not in {t.get_color() for t in page.texts}


def test_many_pairs_and_none(check):
    one = pair(0.99, False, ("a.png", None, None), ("b.png", None, None))
    many = pair_sheet([one] * 7, [(image("red"), image("blue", (3, 50)))] * 7, "a very long title " * 30)
    assert len(many.axes[0].texts) == 1 + 7 * 4
    check(many)
    check(pair_sheet([], [], "Pairs"), "Pairs")


def test_two_images_for_each_pair():
    with pytest.raises(ValueError, match="images for 0 pairs, but 1 pairs"):
        pair_sheet([pair(1.0, True, ("a", None, None), ("b", None, None))], [], "x")
