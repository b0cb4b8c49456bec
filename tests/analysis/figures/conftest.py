import re
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from shotdex.analysis.figures import save


def texts(figure):
    """Return the visible texts of a figure, as they stand there."""
    beyond = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _beyond(axis)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in beyond]


def _beyond(axis):
    """Return the labels of ticks outside the axis's limits, which matplotlib makes but does not draw."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]


def words(figure):
    return [t.get_text() for t in texts(figure)]


def _box(artist, renderer):
    # A pixel less on every side: neighbours may touch.
    return artist.get_window_extent(renderer).padded(-1)


def assert_readable(figure):
    """In a figure as it was last drawn, nothing is cut off by its edge, no text lies on another, no legend on axes."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    shown = texts(figure)
    boxes = [(t.get_text(), _box(t, renderer)) for t in shown]
    edge = figure.bbox
    for text, box in boxes:
        assert edge.x0 <= box.x0 and box.x1 <= edge.x1 and edge.y0 <= box.y0 and box.y1 <= edge.y1, f"{text!r} is cut"
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} lies on {other!r}"
    for legend in figure.legends:
        for axes in figure.axes:
            if axes.axison:
                assert not _box(legend, renderer).overlaps(_box(axes.patch, renderer)), "the legend lies on the axes"


@pytest.fixture
def check(tmp_path):
    """Return a check that a figure is readable and is written as PNG and as SVG that says the same words."""

    def checked(figure, *expected):
        # The parts find their places once: to look for them is most of the time that a figure takes.
        if engine := figure.get_layout_engine():
            figure.find_fonts()
            engine.execute(figure)
            figure.set_layout_engine("none")
        save(figure, tmp_path / "figure.png")
        assert_readable(figure)
        for word in expected:
            assert word in words(figure), f"{word!r} is not among {words(figure)}"
        save(figure, tmp_path / "figure.svg")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
        svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
        assert re.search(r"<svg [^>]*viewBox", svg)
        assert {path.name for path in tmp_path.iterdir()} == {"figure.png", "figure.svg"}, "something was left aside"

    return checked


@pytest.fixture
def readable():
    """Return a check that a figure is readable, without writing it: for one that `check` has seen the like of."""

    def checked(figure):
        FigureCanvasAgg(figure).draw()
        assert_readable(figure)

    return checked
