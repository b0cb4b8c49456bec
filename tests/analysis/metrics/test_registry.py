"""The table of metrics: what the report, the command line and the documentation read of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shotdex.analysis.metrics import registry
from shotdex.analysis.metrics.metric import Metric, MetricOptions, Outcomes
from shotdex.analysis.report import ReportOptions, report
from shotdex.store.store import Store
from tests.cli.checks import strict_json
from tests.conftest import Ran

COLUMNS = ("truth", "predicted", "true_rank", "probability", "true_probability")

TOY = Metric(
    "median rank",
    "rank",
    lambda rows, options: float(np.median(rows.true_rank)) if len(rows) else float("nan"),
    "lower",
    "Median place of the true class",
    ("true_rank",),
)


def made(seed: int, count: int = 40, classes: int = 5) -> Outcomes:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    rank = rng.integers(1, classes + 1, count)
    predicted = np.where(rank == 1, truth, (truth + 1) % classes)
    chances = rng.uniform(0, 1, (2, count))
    return Outcomes(tuple("abcde"), np.arange(count), truth, predicted, rank, *chances)


@pytest.mark.parametrize("metric", [*registry.METRICS, TOY], ids=lambda metric: metric.name)
def test_a_metric_depends_on_what_it_says_it_needs_and_on_nothing_else(metric: Metric) -> None:
    rows, options = made(0), MetricOptions()
    value = metric.function(rows, options)
    others = [made(seed) for seed in range(1, 6)]
    for column in COLUMNS:
        changed = [
            metric.function(replace(rows, **{column: getattr(other, column)}), options) != value for other in others
        ]
        assert any(changed) == (column in metric.needs), column
    assert np.isnan(metric.function(rows.only(np.zeros(len(rows), bool)), options))


def test_names_and_headings_are_those_of_one_metric() -> None:
    for field in ("name", "short"):
        assert len({getattr(metric, field) for metric in registry.METRICS}) == len(registry.METRICS)


@pytest.mark.parametrize("metric", registry.METRICS, ids=lambda metric: metric.name)
def test_the_better_direction_is_that_of_right_predictions(metric: Metric) -> None:
    rows = made(0)
    right = replace(rows, predicted=rows.truth, true_rank=np.ones(len(rows), int), probability=np.ones(len(rows)))
    best, other = (metric.function(some, MetricOptions()) for some in (right, rows))
    assert best > other if metric.better == "higher" else best < other


def test_one_line_adds_a_metric_to_the_report_its_json_and_its_tables(
    shotdex: type[Ran], evaluated: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "METRICS", (*registry.METRICS, TOY))
    found = report(evaluated, "words", ReportOptions(("condition",), 100))
    assert all(list(row.summary)[-1] == "median rank" for row in (found.overall, *found.groups))
    arguments = ("report", "words", "--by", "condition", "--resamples", "100", "--store", evaluated.root)
    said = strict_json(shotdex(*arguments, "--json").out)
    assert said["overall"]["summary"]["median rank"]["value"] == found.overall.summary["median rank"].value
    lines = shotdex(*arguments).out.splitlines()
    assert any(line.startswith("median rank ") for line in lines)
    assert any(line.split()[-2:] == ["ECE", "rank"] for line in lines)
    assert "| median rank | rank | lower | Median place of the true class |" in registry.as_markdown()


def test_the_documentation_has_this_table() -> None:
    text = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert registry.as_markdown() in text
