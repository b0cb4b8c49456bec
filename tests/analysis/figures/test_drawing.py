"""What all figures have in common: whose they are, size, theme, numbers, order, and what their files say."""

import pytest
from PIL import Image

from shotdex.analysis.figures import accuracy_figure, save
from shotdex.analysis.figures.drawing import (
    THEMES,
    About,
    FigureStyle,
    check_order,
    number,
    ordered,
    parse_size,
    signed,
    styled,
)
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.errors import OptionError


@pytest.mark.parametrize(
    ("text", "inches"),
    [
        ("89mm", (89 / 25.4, None)),
        (" 183 x 120 mm", (183 / 25.4, 120 / 25.4)),
        ("3.5in", (3.5, None)),
        ("9cm", (9 / 2.54, None)),
    ],
)
def test_sizes(text, inches):
    assert parse_size(text) == pytest.approx(inches)


@pytest.mark.parametrize("text", ["", "89", "mm", "0mm", "-3in", "89 mm wide", "5in x 3in", "1e9mm"])
def test_other_sizes_are_errors(text):
    with pytest.raises(OptionError):
        parse_size(text)


def test_themes_and_dots_have_bounds():
    with pytest.raises(OptionError, match="no theme 'blue'"):
        FigureStyle(theme="blue")
    with pytest.raises(OptionError, match="10 dots per inch"):
        FigureStyle(dpi=10)


def test_names_in_the_users_order_come_first():
    with styled(FigureStyle(order=("c", "a"))):
        assert ordered(["a", "b", "c"]) == ["c", "a", "b"]
        check_order(["a"], ["b", "c"])
        with pytest.raises(OptionError, match="no 'c' to order"):
            check_order(["a", "b"])
    assert ordered(["b", "a"]) == ["b", "a"]


def test_numbers_as_percentages():
    assert number(0.925) == "0.925" and number(1, 2) == "1.00"
    with styled(FigureStyle(percent=True)):
        assert (number(0.925), number(1), number(0.3, 2)) == ("92.5 %", "100.0 %", "30 %")


ABOUT = About(("run names", "model demo", "320 images"), (("Runs", "names"), ("Model", "org/demo"), ("Images", "320")))


@pytest.mark.parametrize("theme", list(THEMES))
def test_a_figure_and_its_file_say_whose_it_is(tmp_path, theme):
    with styled(FigureStyle("Mine", theme=theme, dpi=100)), signed(ABOUT):
        figure = accuracy_figure([("names", {"all": wilson(224, 320)})])
    assert figure.axes[0].get_title(loc="left") == "Mine"
    assert [t.get_text() for t in figure.axes[0].texts if "run" in t.get_text()] == [
        "run names · model demo · 320 images"
    ]
    for suffix in ("png", "svg", "pdf"):
        save(figure, tmp_path / f"f.{suffix}")
    with Image.open(tmp_path / "f.png") as image:
        assert image.text["Title"] == "Mine" and image.text["Runs"] == "names" and image.text["Model"] == "org/demo"
        assert image.info["dpi"] == pytest.approx((100, 100), abs=0.1)
        assert image.convert("RGB").getpixel((0, 0)) == tuple(bytes.fromhex(THEMES[theme].paper[1:]))
    svg = (tmp_path / "f.svg").read_text("utf-8")
    assert "Runs: names; Model: org/demo; Images: 320" in svg
    assert "<text" in svg and "Mine" in svg  # texts stay texts
    pdf = (tmp_path / "f.pdf").read_bytes()
    assert b"/Subject (Runs: names" in pdf and b"/Type3" not in pdf and b"/CIDFontType2" in pdf
