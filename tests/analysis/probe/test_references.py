from __future__ import annotations

from math import isnan

import pytest

from shotdex.analysis.probe.references import outside_result
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.baselines import Baseline, Kind, save_baseline
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from shotdex.store.types import Estimate


def read(store: Store, text: str) -> tuple[str, str, Estimate]:
    with store.reading() as con:
        return outside_result(con, text)


def test_a_value_with_its_n_has_a_wilson_interval(store: Store) -> None:
    name, source, estimate = read(store, " small CNN = 0.919:10000")
    assert (name, source) == ("small CNN", "reported")
    assert estimate == wilson(9190, 10000)


def test_a_value_between_two_counts_is_kept(store: Store) -> None:
    estimate = read(store, "a=b=0.835:7")[2]
    assert (estimate.value, estimate.low, estimate.high) == (0.835, wilson(6, 7).low, wilson(6, 7).high)
    assert read(store, "a=b=0.835:7")[0] == "a=b"


def test_a_value_alone_has_no_interval(store: Store) -> None:
    estimate = read(store, "CNN=0.919")[2]
    assert (estimate.value, estimate.n) == (0.919, 0)
    assert isnan(estimate.low) and isnan(estimate.high)


@pytest.mark.parametrize("bad", ["=0.5", "x=", "x=a", "x=0.5:", "x=0.5:0", "x=0.5:1.5", "x=0.5:-3", " =1"])
def test_what_cannot_be_read_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(OptionError, match="cannot read"):
        read(store, bad)


@pytest.mark.parametrize("bad", ["x=91.9", "x=-0.1", "x=nan", "x=inf:10"])
def test_what_is_no_share_is_refused(store: Store, bad: str) -> None:
    with pytest.raises(OptionError, match="is not a share"):
        read(store, bad)


def test_an_imported_baseline_gives_its_accuracy_over_all(store: Store) -> None:
    over_all = Estimate(0.7, 0.6, 0.8, 90, "as reported")
    accuracies = {"blurred": Estimate(0.5, 0.4, 0.6, 30, "as reported"), "all": over_all}
    with store.writing() as con:
        save_baseline(con, Baseline(0, "people", Kind.TABLE, "a paper", "", accuracies))
        save_baseline(con, Baseline(0, "parts", Kind.TABLE, "", "", {"blurred": accuracies["blurred"]}))
    assert read(store, "people") == ("people", "a paper", over_all)
    with pytest.raises(OptionError, match="'parts' has no accuracy over all conditions; it has blurred"):
        read(store, "parts")
    with pytest.raises(OptionError, match="no baseline 'gone'"):
        read(store, "gone")
