from __future__ import annotations

import numpy as np
import pytest

from shotdex.analysis.figures import selective_figure
from shotdex.analysis.metrics.selective import area_under_risk, best_area, risk_coverage
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.types import Estimate

LONG = "a run whose name somebody wrote out as a whole sentence $x$ 猫"


def made(n, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.beta(4, 1.5, n)
    return risk_coverage(probability, rng.random(n) < probability)


def area(found):
    value = area_under_risk(found)
    return Estimate(value, value - 0.01, value + 0.02, int(found.kept[-1]), "bootstrap 95 %")


def test_the_curve_is_the_risk_and_the_band_its_interval(check):
    found = risk_coverage(np.array([0.9, 0.8, 0.8, 0.4]), np.array([True, False, True, False]))
    figure = selective_figure([("bare", found, area(found))])
    (axes,) = figure.axes
    curve, random, best = axes.lines
    assert curve.get_xdata() == pytest.approx([0.25, 0.75, 1])
    assert curve.get_ydata() == pytest.approx([0, 1 / 3, 1 / 2])
    assert list(random.get_ydata()) == [0.5, 0.5]
    assert np.mean(best.get_ydata()) == pytest.approx(best_area(2, 4))
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert {wilson(0, 1).high, wilson(1, 3).low, wilson(2, 4).high} <= set(band.tolist())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    value = area_under_risk(found)
    assert legend[1:] == ["random order", "best order"]
    assert legend[0].startswith(f"bare\nAURC {value:.3f} [")
    check(figure, "risk: share of them that is wrong")


@pytest.mark.parametrize("count", [1, 2, 6])
def test_several_runs(readable, count):
    series = [(f"{number} {LONG}", found, area(found)) for number in range(count) for found in [made(3000, number)]]
    figure = selective_figure(series, "Risk against coverage, 95 % Wilson intervals")
    assert len(figure.axes[0].lines[0].get_xdata()) <= 400
    readable(figure)


def test_nothing_wrong_and_one_image(readable):
    for right in (True, False):
        found = risk_coverage(np.array([0.5]), np.array([right]))
        readable(selective_figure([("one", found, area(found))]))
