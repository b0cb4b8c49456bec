from __future__ import annotations

from math import nan

import numpy as np
import pytest

from shotdex.analysis.figures import reliability_figure
from shotdex.analysis.figures.style import OKABE_ITO
from shotdex.analysis.metrics.calibration import reliability
from shotdex.store.types import Estimate

LONG = "a run whose name somebody wrote out as a whole sentence $x$ 猫"


def bins(n, seed=0, count=10):
    rng = np.random.default_rng(seed)
    probability = rng.beta(4, 1.5, n)
    return reliability(probability, rng.random(n) < probability**1.5, count)


def error(value, n):
    return Estimate(value, value - 0.01, value + 0.02, n, "bootstrap 95 %")


def test_points_are_the_bins_and_whiskers_their_intervals(check):
    found = reliability(np.array([0.1, 0.2, 0.6, 0.7, 0.9]), np.array([False, True, True, False, True]), 4)
    figure = reliability_figure([("bare", found, error(0.2, 5))], "Reliability")
    upper, lower = figure.axes
    curve = upper.lines[-1]
    assert curve.get_xdata() == pytest.approx([0.15, 0.65, 0.9])
    assert list(curve.get_ydata()) == [0.5, 0.5, 1.0], "the bin without images has no point"
    whiskers = upper.containers[0][2][0].get_segments()
    filled = found.counts > 0
    assert np.array(whiskers)[:, :, 1] == pytest.approx(np.column_stack([found.low, found.high])[filled])
    gaps = [(bar.get_x(), bar.get_y(), bar.get_height()) for bar in upper.containers[1].patches]
    assert np.array(gaps) == pytest.approx(np.array([(0, 0.15, 0.35), (0.5, 0.65, -0.15), (0.75, 0.9, 0.1)]))
    assert [bar.get_height() for bar in lower.containers[0].patches] == [0.4, 0, 0.4, 0.2]
    assert list(upper.lines[0].get_xdata()) == list(upper.lines[0].get_ydata()) == [0, 1]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["bare\nECE 0.200 [0.190, 0.220]\nn=5", "gap", "perfectly calibrated"]
    check(figure, "accuracy in the bin", "share of\nimages")


def test_several_series_have_lines_and_outlines_but_no_gaps(check):
    series = [(f"run {index}", bins(50 * 4**index, index), error(0.1, 50)) for index in range(5)]
    figure = reliability_figure([*series, (LONG, bins(100, 9, 20), Estimate(0.1, nan, nan, 100, ""))])
    upper, lower = figure.axes
    assert [line.get_color() for line in upper.lines if line.get_marker() != "None"][-1] == OKABE_ITO[5]
    assert len({line.get_marker() for line in upper.lines if len(line.get_xdata()) > 2}) >= 6
    assert [patch.get_data().values.sum() for patch in lower.patches] == pytest.approx([1.0] * 6)
    assert not any(hasattr(container, "patches") for container in upper.containers)
    check(figure, "run 0\nECE 0.100 [0.090, 0.120]\nn=50")
    assert figure.legends[0].get_texts()[5].get_text().endswith("ECE 0.100\nn=100"), "no interval, none said"


@pytest.mark.parametrize("n", [0, 1])
def test_few_images(check, n):
    value = Estimate(nan, nan, nan, 0, "") if n == 0 else error(0.3, 1)
    figure = reliability_figure([("none", bins(n), value)])
    assert len(figure.axes[0].lines[-1].get_xdata()) == n
    check(figure)


def test_a_single_bin_and_nothing_at_all(check):
    check(reliability_figure([("one bin", bins(9, 0, 1), error(0.1, 9))]))
    check(reliability_figure([]), "perfectly calibrated")
