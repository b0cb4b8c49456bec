"""No two texts overlap or leave the canvas, in figures of every kind: few and many classes, runs, widths, themes."""

import numpy as np
import pytest

from shotdex.analysis.figures.drawing import FigureStyle, parse_size, styled
from shotdex.store.errors import OptionError
from tests.analysis.figures.kinds import KINDS, drawn

VARIATIONS = (
    # Classes, conditions, runs, size, theme.
    (2, 1, 1, None, "light"),
    (10, 5, 3, "89mm", "paper"),
    (10, 1, 4, "183mm", "dark"),
    (100, 5, 1, "89mm", "light"),
)
PAGES = ("thumbnails", "mistakes", "sheet", "pairs", "samples")
SIZED = ("sheet", "pairs")  # sheets of hits and of pairs have the size of their images
OF_CLASSES = ("reliability", "selective", "probe")  # whose number is not drawn


@pytest.mark.parametrize(
    ("kind", "variation"),
    [
        (kind, one)
        for kind in KINDS
        for one in VARIATIONS
        if one[0] < 100 or kind not in (*PAGES, *OF_CLASSES, "map correct", "map agreement", "map confidence")
    ],
)
def test_no_text_lies_on_another(readable, kind, variation):
    count, conditions, runs, size, theme = variation
    with styled(FigureStyle(size=parse_size(size) if size else None, theme=theme)):
        figure = drawn(kind, count, conditions, runs)
    if size and kind not in SIZED:
        assert figure.get_size_inches()[0] == pytest.approx(parse_size(size)[0], abs=0.01)
    readable(figure)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SIZED])
def test_a_width_and_a_height_are_what_was_asked_for(kind):
    size = parse_size("183x160mm")
    with styled(FigureStyle(size=size)):
        assert drawn(kind, 6, 2, 2).get_size_inches() == pytest.approx(np.array(size), abs=0.01)


@pytest.mark.parametrize("kind", ["samples", "mistakes"])
def test_a_page_that_does_not_fit_is_an_error(kind):
    with styled(FigureStyle(size=parse_size("89x30mm"))), pytest.raises(OptionError, match="do not fit 89x30 mm"):
        drawn(kind, 20)
