from __future__ import annotations

from itertools import pairwise
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from shotdex.analysis.figures import ComparisonLine, comparison_figure
from shotdex.analysis.figures.comparison import spread
from shotdex.analysis.figures.style import OKABE_ITO
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

LONG = "a method whose name somebody wrote out as a whole sentence $x$ 猫"


def outside(value, n=0):
    return Estimate(value, nan, nan, n, "reported")


def few(name, values):
    return [
        ComparisonLine(name, Estimate(v, v - 0.05, v + 0.03, 500, "5 draws"), "few-shot", k) for k, v in values.items()
    ]


ROWS = [
    ComparisonLine("bare names", wilson(58, 100), "zero-shot"),
    *few("linear probe", {1: 0.3, 4: 0.5, 2: 0.4}),
    *few("kNN", {1: 0.2}),
    ComparisonLine("linear probe", wilson(88, 100), "trained"),
    ComparisonLine("CNN", outside(0.919), "outside"),
]


def test_each_row_is_a_dot_with_its_interval_in_the_given_order(check):
    figure = comparison_figure([ROWS[0], *ROWS[-2:]], "Ladder")
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["bare names", "linear probe", "CNN"]
    assert axes.yaxis_inverted()
    dots = [
        (*line.get_xdata(), *line.get_ydata(), line.get_color()) for line in axes.lines if line.get_marker() != "None"
    ]
    assert dots == [(0.58, 0, OKABE_ITO[0]), (0.88, 1, OKABE_ITO[2]), (0.919, 2, "#7a7a7a")]
    whiskers = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines if line.get_marker() == "None"]
    assert whiskers == [
        ([e.low, e.high], [place] * 2) for place, e in enumerate(row.estimate for row in ROWS[:1] + ROWS[-2:-1])
    ]
    assert [t.get_text() for t in axes.texts] == ["0.580 [0.482, 0.672]  n=100", "0.880 [0.802, 0.930]  n=100", "0.919"]
    low, high = axes.get_xlim()
    assert 0.3 < low < wilson(58, 100).low and wilson(88, 100).high < high <= 1.02
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["zero-shot", "trained", "result from elsewhere"]
    check(figure, "Ladder", "accuracy")


def test_few_shot_rows_form_a_curve_by_shots_beside_what_they_are_compared_with(check):
    figure = comparison_figure(ROWS)
    dots, curves = figure.axes
    assert [tick.get_text() for tick in dots.get_yticklabels()][1:5] == [
        "linear probe, 1 shot", "linear probe, 4 shots", "linear probe, 2 shots", "kNN, 1 shot",
    ]  # fmt: skip
    probe, knn = (line for line in curves.lines if line.get_marker() in ("s", "v"))
    assert (list(probe.get_xdata()), list(probe.get_ydata())) == ([1, 2, 4], [0.3, 0.4, 0.5])
    assert (list(knn.get_xdata()), list(knn.get_ydata())) == ([1], [0.2])
    band = curves.collections[0].get_paths()[0].vertices
    assert {(x, round(y, 9)) for x, y in band} == {
        (1, 0.25), (1, 0.33), (2, 0.35), (2, 0.43), (4, 0.45), (4, 0.53),
    }  # fmt: skip
    lines = {line.get_ydata()[0]: line.get_color() for line in curves.lines if line.get_linestyle() == "--"}
    assert lines == {0.58: OKABE_ITO[0], 0.88: OKABE_ITO[2], 0.919: "#7a7a7a"}
    assert [t.get_text() for t in curves.texts] == ["bare names", "linear probe", "CNN"]
    assert curves.get_xscale() == "log" and curves.get_xticks().tolist() == [1, 2, 4]
    assert len({to_hex(color) for color in (probe.get_color(), knn.get_color(), *lines.values())}) == 5
    assert curves.get_ylim() == dots.get_xlim()
    check(figure, "shots: training images per class", "few-shot: kNN")


def test_hostile_rows_stay_readable(check):
    rows = [
        ComparisonLine(LONG, wilson(1, 1), "zero-shot"),
        ComparisonLine(LONG, wilson(0, 0), "trained"),
        ComparisonLine("trained", wilson(0, 3), "few-shot", 1),
        ComparisonLine(LONG, outside(0.2), "few-shot", 100_000),
        *(ComparisonLine(f"near {index}", wilson(500 + index, 1000), "zero-shot") for index in range(12)),
    ]
    figure = comparison_figure(rows, LONG)
    assert [t.get_text() for t in figure.axes[0].texts][1] == "undefined  n=0"
    check(figure)


def test_many_shots_have_ticks_that_do_not_touch(check):
    values = dict(zip(range(1, 25), np.linspace(0.2, 0.8, 24).tolist(), strict=True))
    figure = comparison_figure(few("probe", values))
    ticks = figure.axes[1].get_xticks().tolist()
    assert ticks[0] == 1 and 5 <= len(ticks) <= 12
    check(figure)


@pytest.mark.parametrize("shots", [None, 0])
def test_a_few_shot_row_needs_its_shots(shots):
    with pytest.raises(ValueError, match="number of shots"):
        comparison_figure([ComparisonLine("probe", wilson(1, 2), "few-shot", shots)])


def test_no_rows_are_an_empty_figure(check):
    check(comparison_figure([]), "Zero-shot and trained methods")


@given(st.lists(st.floats(0, 1), max_size=12))
def test_spread_values_keep_their_order_and_distance(values):
    moved = spread(values, 0.05, 0.0, 1.0)
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed = [moved[index] for index in order]
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in pairwise(placed))
    assert all(0.025 - 1e-9 <= place <= 0.975 + 1e-9 for place in placed)


def test_values_that_are_apart_stay_and_too_many_are_nan():
    assert spread([0.9, 0.2, 0.5], 0.1, 0.0, 1.0) == [0.9, 0.2, 0.5]
    assert all(isnan(value) for value in spread([0.5] * 11, 0.1, 0.0, 1.0))
    assert spread([], 0.1, 0.0, 1.0) == []
