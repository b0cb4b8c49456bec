import numpy as np
import pytest
from matplotlib.colors import to_hex

from shotdex.analysis.figures import confusion_figure, topk_figure
from shotdex.analysis.figures.style import OKABE_ITO
from shotdex.analysis.inference.wilson import wilson
from shotdex.analysis.metrics.shares import top_k

LONG = "a category whose name somebody wrote out as a whole sentence"


def test_cells_say_count_and_share_and_an_empty_row_is_grey(check):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 1200, 1200]])
    matrix.flags.writeable = False
    figure = confusion_figure(matrix, ["cat", LONG, "$dog$"])
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == [
        "3\n0.75",
        "1\n0.25",
        "0",
        "0",
        "0",
        "0",
        "0",
        "1,200\n0.50",
        "1,200\n0.50",
    ]
    shares = axes.images[0].get_array()
    assert shares.filled(-1).tolist() == [[0.75, 0.25, 0], [-1, -1, -1], [0, 0.5, 0.5]]
    assert to_hex(axes.images[0].cmap.get_bad()) == "#eeeeee"
    assert axes.images[0].get_clim() == (0, 1)
    check(figure, "predicted", "true", "share of the true class", r"\$dog\$", "cat")


def test_a_hundred_classes_are_all_named_without_cell_text(check):
    names = [f"category {index}" for index in range(99)] + [LONG]
    figure = confusion_figure(np.eye(100, dtype=int) * 7, names, title="Confusion of 100")
    axes = figure.axes[0]
    assert list(axes.texts) == []
    assert [t.get_text() for t in axes.get_yticklabels()][:2] == ["category 0", "category 1"]
    assert len(axes.get_yticks()) == len(axes.get_xticks()) == 100
    check(figure, "Confusion of 100")


def test_with_more_classes_every_few_are_named():
    axes = confusion_figure(np.eye(250, dtype=int), [str(index) for index in range(250)]).axes[0]
    assert axes.get_xticks().tolist() == list(range(0, 250, 3))


def test_columns_may_differ_from_rows(check):
    figure = confusion_figure(np.array([[1, 2]]), ["cat"], ["dog", "fish"])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["dog", "fish"]
    check(figure)


@pytest.mark.parametrize(("shape", "names"), [((2, 2), ["a"]), ((0, 0), [])])
def test_names_that_do_not_fit_are_refused(shape, names):
    with pytest.raises(ValueError, match="for a matrix of shape"):
        confusion_figure(np.zeros(shape, dtype=int), names)


def test_curves_are_the_estimates_and_bands_their_intervals(check):
    ranks = np.array([1, 1, 2, 3, 3])
    estimates = top_k(ranks, 4)
    figure = topk_figure([("bare", estimates), ("ensemble $x$", [wilson(0, 0)] * 4)], classes=4)
    axes = figure.axes[0]
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert list(axes.lines[0].get_ydata()) == [0.4, 0.6, 1.0, 1.0]
    assert axes.lines[2].get_ydata().tolist() == [0.25, 0.5, 0.75, 1.0]
    band = axes.collections[0].get_paths()[0].vertices
    for k, estimate in enumerate(estimates, start=1):
        at_k = band[band[:, 0] == k][:, 1]
        assert (at_k.min(), at_k.max()) == (estimate.low, estimate.high)
    assert to_hex(axes.lines[0].get_color()).upper() == OKABE_ITO[0]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["bare", r"ensemble \$x\$", "chance"]
    check(figure, "k", "true class among the best k")


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_best_guess_alone_has_a_tick(check, classes):
    figure = topk_figure([("run", top_k(np.array([1, 2]), classes))], classes=classes)
    ticks = figure.axes[0].get_xticks().tolist()
    assert ticks[0] == 1 and ticks[-1] <= classes and all(tick == int(tick) for tick in ticks)
    check(figure)


def test_no_curves_are_an_empty_figure(check):
    check(topk_figure([]))
