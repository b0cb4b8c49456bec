"""No two texts overlap or leave the canvas: few and many classes, long names, three widths, two themes."""

from itertools import product

import numpy as np
import pytest

from shotdex.analysis.figures import accuracy_figure, confusion_figure, counts_figure, point_map, topk_figure
from shotdex.analysis.figures.drawing import About, FigureStyle, parse_size, signed, styled
from shotdex.analysis.stats.proportions import wilson

ABOUT = About(("run names", "model clip-vit-base-patch32", "12,345 images", "2026-11-28", "accuracy@1 0.678"))
LONG = "a category whose name somebody wrote out as a whole sentence"


def names_of(count):
    return [f"category {index}" for index in range(count - 1)] + [LONG]


def accuracy(count):
    return accuracy_figure(
        [("names", {name: wilson(3 * i % 40, 40) for i, name in enumerate(names_of(count))})], chance=0.1
    )


def counts(count):
    return counts_figure({name: {"one": 7 + place} for place, name in enumerate(names_of(count))})


def confusion(count):
    return confusion_figure(np.eye(count, dtype=int) * 37 + 1, names_of(count))


def topk(count):
    return topk_figure([("names", [wilson(min(30 + k, 40), 40) for k in range(count)])], classes=count)


def scatter(count):
    xy = np.random.default_rng(0).normal(size=(3 * count, 2))
    return point_map(xy, names_of(count) * 3, legend_title="category")


SIZES = (None, "89mm", "183mm")


@pytest.mark.parametrize(
    ("draw", "count", "size"),
    [
        (draw, count, size)
        for draw, count, size in product((accuracy, counts, confusion, topk, scatter), (1, 2, 10, 100), SIZES)
        if (draw, count) != (topk, 1) and not (draw is scatter and count == 100 and size)
    ],
)
def test_no_text_lies_on_another(readable, draw, count, size):
    for theme in ("paper", "dark"):
        with styled(FigureStyle(size=parse_size(size) if size else None, theme=theme)), signed(ABOUT):
            figure = draw(count)
        if size:
            assert figure.get_size_inches()[0] == pytest.approx(parse_size(size)[0])
        readable(figure)
