import numpy as np
import pytest
from matplotlib.colors import to_hex

from shotdex.analysis.figures import confusion_figure, topk_figure
from shotdex.analysis.figures.style import OKABE_ITO
from shotdex.analysis.metrics.shares import top_k
from shotdex.analysis.stats.proportions import wilson

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
    check(figure, "predicted", "true (n)", "share of the true class", r"\$dog\$", "cat (4)")


def test_cells_may_say_rates_alone_or_counts_alone(check):
    matrix = np.array([[30, 10], [0, 0]])
    rates = confusion_figure(matrix, ["a", "b"], cells="rates")
    assert [t.get_text() for t in rates.axes[0].texts] == ["0.75", "0.25", "0", "0"]
    counts = confusion_figure(matrix, ["a", "b"], cells="counts")
    assert [t.get_text() for t in counts.axes[0].texts] == ["30", "10", "0", "0"]
    assert counts.axes[0].images[0].get_array().filled(-1).tolist() == [[30, 10], [-1, -1]], "an empty row stays grey"
    assert counts.axes[0].images[0].get_clim() == (0, 30)
    check(rates, "share of the true class")
    check(counts, "images")


def test_with_20_classes_a_cell_says_one_number_and_the_largest_confusions_are_listed(check):
    matrix = np.eye(20, dtype=int) * 40
    matrix[3, 17], matrix[5, 6] = 10, 1
    figure = confusion_figure(matrix, [f"c{index}" for index in range(19)] + [LONG])
    axes = figure.axes[0]
    assert sorted(t.get_text() for t in axes.texts if t.get_text()) == ["0.02", "0.20", "0.80", "0.98"] + ["1.00"] * 18
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "c3 → c17", "c5 → c6", "0.20 [0.11, 0.33]  10 of 50", "0.02 [0.00, 0.13]  1 of 41",
    ]  # fmt: skip
    check(figure, "predicted, clustered order", "share of the true class (square-root scale)")
    counts = confusion_figure(matrix * 1000, [f"c{index}" for index in range(20)], cells="counts", order="given")
    assert [t.get_text() for t in counts.axes[0].texts] == [], "40,000 fits no cell"
    check(counts, "predicted", "images (square-root scale)")


def test_rare_confusions_can_be_seen_beyond_12_classes():
    matrix = np.eye(13, dtype=int) * 99
    matrix[0, 1] = 1
    for classes, least in ((12, 0.0), (13, 0.05)):
        image = confusion_figure(matrix[:classes, :classes], [str(index) for index in range(classes)]).axes[0].images[0]
        nothing, rare = (image.cmap(image.norm(value))[0] for value in (0.0, 0.01))
        assert nothing - rare > least and image.norm(1.0) == 1.0


def test_classes_confused_with_each_other_stand_together_and_keep_their_numbers(check):
    rng = np.random.default_rng(0)
    names = [f"{'abc'[index % 3]}{index}" for index in range(15)]  # three families, interleaved
    matrix = np.array([[60 if a == b else 8 if a[0] == b[0] else rng.integers(0, 2) for b in names] for a in names])
    figure = confusion_figure(matrix, names)
    shown = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    numbered = [f"{name} ({matrix[names.index(name)].sum()})" for name in shown]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == numbered and sorted(shown) == sorted(names)
    assert len({(name[0], place // 5) for place, name in enumerate(shown)}) == 3, "each family is one block"
    rates = matrix / matrix.sum(axis=1, keepdims=True)
    for row, true in enumerate(shown):
        for column, predicted in enumerate(shown):
            drawn = figure.axes[0].images[0].get_array()[row, column]
            assert drawn == rates[names.index(true), names.index(predicted)]
    given = confusion_figure(matrix, names, order="given")
    assert [t.get_text() for t in given.axes[0].get_xticklabels()] == names
    check(figure, "true (n), clustered order")


def test_a_few_classes_are_clustered_on_request():
    matrix = np.array([[5, 0, 5], [0, 9, 0], [5, 0, 5]])
    axes = confusion_figure(matrix, ["a", "b", "c"], order="clustered").axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a (10)", "c (10)", "b (9)"]
    with pytest.raises(ValueError, match="no order in common"):
        confusion_figure(matrix, ["a", "b", "c"], ["x", "y", "z"], order="clustered")


def test_a_hundred_classes_are_all_named_without_cell_text(check):
    names = [f"category {index}" for index in range(99)] + [LONG]
    figure = confusion_figure(np.eye(100, dtype=int) * 7, names, title="Confusion of 100")
    axes = figure.axes[0]
    assert list(axes.texts) == []
    assert [t.get_text() for t in axes.get_yticklabels()][:2] == ["category 0 (7)", "category 1 (7)"]
    assert len(axes.get_yticks()) == len(axes.get_xticks()) == 100
    check(figure, "Confusion of 100")


def test_with_more_classes_every_few_are_named():
    axes = confusion_figure(np.eye(250, dtype=int), [str(index) for index in range(250)]).axes[0]
    assert axes.get_xticks().tolist() == list(range(0, 250, 3))
    assert axes.get_xlabel() == "predicted, clustered order, one name in 3"


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
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["bare\nn=5", "ensemble \\$x\\$\nn=0", "chance"]
    check(figure, "k", "true class among the best k")


def test_many_k_stand_on_a_logarithmic_axis(check):
    ranks = np.array([1, 2, 3, 40, 100])
    figure = topk_figure([("one", top_k(ranks, 100)), ("two", top_k(ranks[:1], 100))], classes=100)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == [1, 2, 5, 10, 20, 50, 100]
    assert axes.lines[0].get_ydata()[[0, 1, 2, 39, 99]].tolist() == [0.2, 0.4, 0.6, 0.8, 1.0]
    check(figure, "k, logarithmic", "one\nn=5", "two\nn=1")
    assert topk_figure([("run", top_k(ranks[:3], 30))]).axes[0].get_xscale() == "linear"


def test_bands_have_an_edge_that_can_be_seen_on_other_bands():
    figure = topk_figure([(f"run {n}", top_k(np.ones(n, dtype=int), 5)) for n in (1, 2, 3)])
    for band, line in zip(figure.axes[0].collections, figure.axes[0].lines, strict=True):
        assert to_hex(band.get_edgecolor()[0]) == to_hex(line.get_color())
        assert band.get_linewidth()[0] > 0.5 and band.get_edgecolor()[0][3] == 0.5


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_best_guess_alone_has_a_tick(check, classes):
    figure = topk_figure([("run", top_k(np.array([1, 2]), classes))], classes=classes)
    ticks = figure.axes[0].get_xticks().tolist()
    assert ticks[0] == 1 and ticks[-1] <= classes and all(tick == int(tick) for tick in ticks)
    check(figure)


def test_no_curves_are_an_empty_figure(check):
    check(topk_figure([]))
