import numpy as np
import pytest
from PIL import Image

from shotdex.analysis.figures import contact_sheet, samples_figure
from shotdex.analysis.figures.pages import TILE, file_name, tile
from shotdex.store.queries import Hit


def image(colour, size=(20, 20)):
    return Image.new("RGB", size, colour)


def where(figure, colour):
    """Return top, left, bottom, right of a colour on the page."""
    found = np.argwhere((figure.axes[0].images[0].get_array() == colour).all(axis=-1))
    return (*found.min(axis=0).tolist(), *found.max(axis=0).tolist())


@pytest.mark.parametrize("size", [(20, 20), (300, 10), (10, 300), (1, 1000), (3000, 2000)])
def test_a_tile_shows_the_whole_image_undistorted(size):
    square = np.asarray(tile(image("red", size), 102, "#e4e4e4", 1))
    assert square.shape == (102, 102, 3)
    assert (square[0] == 0xE4).all() and (square[:, -1] == 0xE4).all(), "the frame"
    red = np.argwhere((square == [255, 0, 0]).all(axis=-1))
    height, width = np.ptp(red, axis=0) + 1
    longest = max(size)
    assert (width, height) == tuple(max(round(side * 100 / longest), 1) for side in size)


def hit(rank, path, cosine=0.25, category=None):
    return Hit(rank, rank, path, cosine, category)


def test_a_sheet_has_rank_score_name_and_category(check):
    hits = [
        hit(1, "/data/of $somebody$/one$1$.png", 0.31249),
        hit(2, "a.zip!in/side.png", -0.05, "T-shirt/top"),
        hit(3, "/x/" + "long_" * 20 + "end.jpeg", 0.0),
    ]
    figure = contact_sheet(hits, [image("red"), image("lime", (40, 20)), image("blue")], "a $5 bill", columns=2)
    red, lime, blue = (where(figure, colour) for colour in ([255, 0, 0], [0, 255, 0], [0, 0, 255]))
    assert red[1] < lime[1] and red[0] < lime[0] < blue[0] and blue[1] == red[1], "reading order"
    assert (lime[3] - lime[1] + 1, lime[2] - lime[0] + 1) == (TILE - 2, (TILE - 2) // 2)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown[:5] == [r"a \$5 bill", "3 images, by cosine", "1", "0.312", r"one\$1\$.png"]
    assert shown[5:9] == ["2", "-0.050", "side.png", "T-shirt/top"]
    assert shown[9:11] == ["3", "0.000"] and "…" in shown[11] and shown[11].endswith("end.jpeg")
    check(figure)


def test_an_endless_question_is_cut(check):
    figure = contact_sheet([hit(1, "a.png")], [image("red")], "a very long question " * 40)
    check(figure, "1 image, by cosine")


def test_many_hits_and_none(check):
    many = contact_sheet([hit(i + 1, f"{i}.png") for i in range(12)], [image("red", (3, 5))] * 12, "cat")
    assert len(many.axes[0].texts) == 2 + 12 * 3
    check(many)
    check(contact_sheet([], [], "cat"), "0 images, by cosine")


def test_a_sheet_needs_a_image_for_each_hit_and_a_column():
    with pytest.raises(ValueError, match="0 images for 1 hits"):
        contact_sheet([hit(1, "a.png")], [], "cat")
    with pytest.raises(ValueError, match="0 columns"):
        contact_sheet([], [], "cat", columns=0)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.png", "b.png"), ("a.zip!b.png", "b.png"), ("C:\\x\\y.png", "y.png"), ("b.png", "b.png"), ("odd!", "odd!")],
)
def test_file_names(path, name):
    assert file_name(path) == name


def test_samples_stand_under_their_condition_beside_their_category(check):
    images = {
        ("T-shirt/top", "test"): image("red", (9, 3)),
        ("Bag $", "train"): image("lime"),
        ("a category whose name somebody wrote out as a whole sentence", "test"): image("blue"),
    }
    categories = [category for category, _ in images]
    figure = samples_figure(images, categories, ["train", "test"], "Samples")
    red, lime, blue = (where(figure, colour) for colour in ([255, 0, 0], [0, 255, 0], [0, 0, 255]))
    assert red[2] < lime[0] and lime[2] < blue[0], "rows in order"
    assert lime[3] < red[1] and red[1] == blue[1], "columns in order; two combinations are empty"
    by_word = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert lime[1] < by_word["train"][0] < lime[3] and by_word["train"][1] < red[0]
    assert lime[0] < by_word[r"Bag \$"][1] < lime[2] and by_word[r"Bag \$"][0] < lime[1]
    check(figure, "Samples", "T-shirt/top")


def test_no_samples(check):
    check(samples_figure({}, [], []), "Samples")
