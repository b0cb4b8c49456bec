import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from shotdex.analysis.figures.style import new_figure
from shotdex.analysis.figures.text import fit, label, safe, shorten, width_of


def draw(text):
    """Draw with warnings as errors, and return the text as matplotlib understood it."""
    figure = new_figure(2, 1)
    figure.set_layout_engine("none")
    artist = figure.text(0.5, 0.5, text)
    FigureCanvasAgg(figure).draw()
    return artist._preprocess_math(artist.get_text())


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("plain", "plain"),
        ("a $5 bill", "a $5 bill"),
        ("$x^2$ and $\\frac{1}{2}$", "$x^2$ and $\\frac{1}{2}$"),
        ("$\\notacommand$", "$\\notacommand$"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("猫.png", "□.png"),
        ("nul\x00 bell\x07", "nul□ bell□"),
        ("name\udcff.png", "name□.png"),
        ("right-to-left \u202egnp", "right-to-left gnp"),
        ("Zürich café", "Zürich café"),
    ],
)
def test_text_is_drawn_literally(text, drawn):
    assert draw(safe(text)) == (drawn, False)


def test_letters_of_another_font_are_drawn_with_it_and_missing_ones_are_said():
    from shotdex.analysis.figures.drawing import FigureStyle, styled
    from shotdex.analysis.figures.fonts import family_of, missing_letters

    with styled(FigureStyle()) as drawing:
        drawn = [safe(letter) for letter in "猫कش한"]
    missing = {letter for letter in "猫क한" if family_of(letter) is None}  # the figure's own font has the Arabic one
    assert drawing.missing == missing
    assert drawn == ["□" if letter in missing else letter for letter in "猫कش한"]
    said = missing_letters("猫क")
    assert said.startswith("no font on this system has क 猫: boxes are drawn. Install a font that has: fonts-noto-cjk ")
    assert "google-noto-sans-cjk-fonts" in said and "font-noto-sans-devanagari (Homebrew)" in said
    assert "cjk" not in missing_letters("ب")
    assert missing_letters("") == ""


@given(st.text(max_size=12))
def test_any_text_can_be_drawn(text):
    assert draw(label(text, 5))[1] is False


@pytest.mark.parametrize(
    ("text", "length", "short"),
    [("abcdefghij", 10, "abcdefghij"), ("abcdefghij", 7, "abc…hij"), ("abcdefghij", 6, "abc…ij"), ("abc", 1, "…")],
)
def test_long_names_lose_their_middle(text, length, short):
    assert shorten(text, length) == short


def test_labels_are_wrapped_at_words_and_keep_them():
    assert label("a category with a long name", 12) == "a category\nwith a long\nname"
    assert label("unbroken_and_long", 8) == "unbroken\n_and_lon\ng"
    assert label("", 8) == ""


@given(st.text(min_size=1, max_size=60), st.integers(60, 600))
def test_fitted_text_fits(text, width):
    assert width_of(fit(text, width, 7.5, 200), 7.5, 200) <= width


def test_fitted_text_is_as_long_as_it_may_be():
    whole = "a_rather_long_name_of_a_file.jpeg"
    exact = width_of(whole, 9, 100)
    assert fit(whole, exact, 9, 100) == whole
    shorter = fit(whole, exact - 1, 9, 100)
    assert "…" in shorter and shorter.endswith(".jpeg") and len(shorter) >= len(whole) - 2
