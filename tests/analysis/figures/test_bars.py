from itertools import pairwise
from math import nan

import numpy as np
import pytest
from matplotlib.colors import to_hex

from shotdex.analysis.figures import accuracy_figure, counts_figure
from shotdex.analysis.figures.drawing import theme
from shotdex.analysis.figures.style import OKABE_ITO, neutral_looks
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

CONDITIONS = ("realistic", "silhouettes", "geons", "blurred", "features")
LONG = "a category whose name somebody wrote out as a whole sentence"


def heights(axes):
    return [[bar.get_height() for bar in container] for container in axes.containers if hasattr(container, "patches")]


def test_counts_are_stacked_in_order_with_totals_on_top(check):
    table = {"T-shirt/top": {"train": 6, "test": 2}, "a $5 bill$": {"test": 3}, LONG: {"train": 1}}
    figure = counts_figure(table, "Pictures", "split")
    axes = figure.axes[0]
    assert heights(axes) == [[6, 0, 1], [2, 3, 0]]
    assert [bar.get_y() for bar in axes.containers[1]] == [6, 0, 1]
    assert [text.get_text() for text in axes.texts] == ["8", "3", "1"]
    assert [to_hex(c.patches[0].get_facecolor()).upper() for c in axes.containers] == list(OKABE_ITO[:2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["test", "train"], "as they are stacked"
    check(figure, "T-shirt/top", r"a \$5 bill\$", "Pictures", "split", "images")


def test_many_categories_stand_on_end_and_stay_readable(check):
    table = {f"category number {index}": dict.fromkeys(CONDITIONS, index * 9 + 1) for index in range(20)} | {LONG: {}}
    figure = counts_figure(table)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()][:2] == ["category number 0", "category number 1"]
    assert axes.get_xticklabels()[-1].get_text() == "a category whose n… a whole sentence"
    check(figure, "860")


def test_with_too_many_categories_every_few_are_named():
    axes = counts_figure({f"c{index}": {"x": 1} for index in range(300)}).axes[0]
    steps = {b - a for a, b in pairwise(axes.get_xticks().tolist())}
    assert len(steps) == 1 and steps.pop() > 1
    assert heights(axes) == [[1] * 300], "but all are drawn"


def test_nothing_to_count_is_an_empty_figure(check):
    check(counts_figure({}), "Images per category")


def test_bars_are_the_estimates_and_whiskers_their_intervals(check):
    estimates = {
        c: wilson(k, n) for c, k, n in zip(CONDITIONS, (41, 37, 32, 29, 33), (41, 40, 59, 42, 41), strict=True)
    }
    figure = accuracy_figure([("bare names", estimates)], "Accuracy", chance=1 / 8)
    axes = figure.axes[0]
    assert heights(axes) == [[e.value for e in estimates.values()]]
    whiskers = axes.containers[1][2][0].get_segments()
    assert np.array(whiskers)[:, :, 1] == pytest.approx(np.array([(e.low, e.high) for e in estimates.values()]))
    assert [text.get_text() for text in axes.texts] == ["1.000", "0.925", "0.542", "0.690", "0.805"]
    assert [tick.get_text() for tick in axes.get_xticklabels()][1] == "silhouettes\nn=40"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["chance 0.125"]
    assert figure.legends[0].legend_handles[0].get_linestyle() == "--"
    check(figure, "geons\nn=59")


def test_runs_stand_side_by_side_and_what_is_undefined_has_no_bar(check):
    series = [
        ("bare", {"cat": wilson(3, 4), "dog": wilson(0, 0)}),
        (f"{LONG} $a$", {"cat": wilson(1, 5), "bird": wilson(2, 2)}),
    ]
    figure = accuracy_figure(series)
    axes = figure.axes[0]
    assert heights(axes) == [[0.75], [0.2, 1.0]]
    left, right = (container.patches for container in axes.containers[::2])
    assert left[0].get_x() + left[0].get_width() <= right[0].get_x()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["cat\nn=4..5", "dog\nn=0", "bird\nn=2"]
    check(figure, "bare")


def known(value):
    """Return a reading without an interval or n."""
    return Estimate(value, nan, nan, 0, "read off a figure")


def test_baselines_stand_right_of_the_runs_grey_and_outlined(check):
    run = {"cat": wilson(3, 4), "dog": wilson(1, 5)}
    people = {"cat": wilson(90, 100), "dog": wilson(80, 100)}
    figure = accuracy_figure(
        [("bare", run)], chance=0.5, baselines=[("people", people), ("readings", {"dog": known(0.78)})]
    )
    axes = figure.axes[0]
    assert heights(axes) == [[0.75, 0.2], [0.9, 0.8], [0.78]]
    bars = [container.patches for container in axes.containers[::2]]
    assert bars[0][1].get_x() < bars[1][1].get_x() < bars[2][0].get_x(), "a group absent from a baseline has no bar"
    for patch in (*bars[1], *bars[2]):
        red, green, blue, _ = patch.get_facecolor()
        assert red == green == blue, "grey"
        assert to_hex(patch.get_edgecolor()) == theme().muted
    assert bars[1][0].get_facecolor() != bars[2][0].get_facecolor()
    assert [len(container[2][0].get_segments()) for container in axes.containers[1::2]] == [2, 2, 0], "no whisker"
    assert [text.get_text() for text in axes.texts] == ["0.750", "0.200", "0.900", "0.800", "0.780"]
    assert [text.xy[1] for text in axes.texts] == [0] * 5, "at the bar's base"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["bare", "people", "readings", "chance 0.500"]
    check(figure, "cat\nn=4", "dog\nn=5")


def test_n_counts_the_runs_alone_and_groups_of_baselines_alone_stand_last(check):
    figure = accuracy_figure(
        [("bare", {"b": wilson(1, 2)})],
        baselines=[("people", {"a": wilson(50, 99), "c": Estimate(nan, nan, nan, 0, "")})],
    )
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["b\nn=2", "a\nn=0", "c\nn=0"]
    assert heights(axes) == [[0.5], [50 / 99]]
    check(figure)


def test_what_is_known_over_all_is_a_line_with_its_name(check):
    figure = accuracy_figure([("bare", {"a": wilson(1, 2)})], chance=0.25, lines={"people": 0.835, "a CNN": 0.919})
    levels = {line.get_ydata()[0] for line in figure.axes[0].lines if len(line.get_ydata()) == 2}
    assert {0.835, 0.919, 0.25} <= levels
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["bare", "people\nover all 0.835", "a CNN\nover all 0.919", "chance 0.250"]
    check(figure)


def test_baselines_without_runs_are_drawn(check):
    check(accuracy_figure([], baselines=[("people", {"a": known(0.5)})]), "0.500", "a\nn=0")


def test_many_baselines_look_different():
    assert len(set(neutral_looks(6))) == 6
    assert len(neutral_looks(20)) == 20


@pytest.mark.parametrize(("groups", "runs", "others"), [(5, 1, 1), (5, 3, 2), (20, 1, 2), (20, 3, 1), (2, 6, 4)])
def test_no_label_lies_on_another_with_baselines(readable, groups, runs, others):
    rng = np.random.default_rng(groups)
    names = [f"category {index}" for index in range(groups - 1)] + [LONG]

    def series(kind, count):
        return [(f"{kind} {i} $", {n: wilson(int(rng.integers(0, 41)), 40) for n in names}) for i in range(count)]

    readable(accuracy_figure(series("run", runs), "Accuracy", chance=0.1, baselines=series("people", others)))


@pytest.mark.parametrize(("groups", "runs"), [(4, 8), (10, 2), (20, 2), (1, 1)])
def test_no_label_lies_on_another(readable, groups, runs):
    rng = np.random.default_rng(groups)
    names = [f"category {index}" for index in range(groups - 1)] + [LONG]
    series = [(f"run {run}", {name: wilson(int(rng.integers(0, 101)), 100) for name in names}) for run in range(runs)]
    readable(accuracy_figure(series, "Accuracy per category", chance=0.01))


def test_no_runs_are_an_empty_figure(check):
    check(accuracy_figure([]), "Accuracy")
