"""Selective prediction of a run against the tables read another way."""

from __future__ import annotations

import dataclasses
from math import ceil, log

import numpy as np
import pytest

from shotdex.analysis.selective import Selective, SelectiveOptions, selective
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.errors import OptionError
from shotdex.store.store import Store
from tests.support.evaluated import change, judged

QUICK = SelectiveOptions(coverage=0.8, resamples=100)


@pytest.fixture(scope="module")
def found(evaluated: Store) -> Selective:
    return selective(evaluated, "words", QUICK)


def test_risk(found: Selective, evaluated: Store) -> None:
    images = judged(evaluated, "words")
    for row in found.risk.rows:
        kept = [image for image in images if image.chances[0] >= row.threshold]
        assert row.risk == wilson(sum(not image.right for image in kept), len(kept))
        assert row.coverage == len(kept) / len(images) >= row.at_least
        fewer = [image for image in images if image.chances[0] > row.threshold]
        assert len(fewer) < row.at_least * len(images)
    risks = []
    for image in images:
        kept = [other.right for other in images if other.chances[0] >= image.chances[0]]
        risks.append(kept.count(False) / len(kept))
    assert found.risk.aurc.value == pytest.approx(np.mean(risks), abs=1e-12)
    assert found.risk.aurc.low <= found.risk.aurc.value <= found.risk.aurc.high
    assert 0 <= found.risk.excess_aurc.value < found.risk.aurc.value
    assert found.risk.error_rate == wilson(sum(not image.right for image in images), len(images))


def test_prediction_sets(found: Selective, evaluated: Store) -> None:
    images = judged(evaluated, "words")
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    half = ceil(len(images) / 2)
    fitted, others = [images[i] for i in order[:half]], [images[i] for i in order[half:]]
    own = sorted((image.chances[image.rank - 1] for image in fitted), reverse=True)
    place = ceil((half + 1) * 8 / 10)
    sets = found.sets
    assert sets is not None
    assert (sets.calibrated, sets.reported) == (half, len(images) - half) == (38, 37)
    assert sets.threshold == pytest.approx(own[place - 1], abs=1e-6)
    assert sets.exactly == place / (half + 1)
    chosen = [
        {name for name, chance in zip(image.ranked, image.chances, strict=True) if chance >= sets.threshold - 1e-9}
        for image in others
    ]
    assert sets.covered == wilson(
        sum(image.truth in own for image, own in zip(others, chosen, strict=True)), len(others)
    )
    assert sets.size.value == pytest.approx(np.mean([len(one) for one in chosen]))
    assert sets.single == wilson(sum(len(one) == 1 for one in chosen), len(others))
    assert sets.empty == wilson(sum(not one for one in chosen), len(others))


def test_temperature(found: Selective, evaluated: Store) -> None:
    scaled = found.temperature
    assert scaled is not None
    assert scaled.fitted + scaled.reported == 75
    assert min(scaled.fitted, scaled.reported) >= 30
    assert scaled.temperature.low < scaled.temperature.value < scaled.temperature.high
    assert (scaled.temperature.n, scaled.error_after.n) == (scaled.fitted, scaled.reported)
    assert scaled.loss_change.value == pytest.approx(scaled.loss_after.value - scaled.loss_before.value)
    images = judged(evaluated, "words")
    every = np.mean([-log(image.chances[image.rank - 1]) for image in images])
    assert scaled.loss_before.value == pytest.approx(every, rel=0.4)
    again = selective(evaluated, "words", QUICK)
    assert dataclasses.replace(again, run=found.run) == found, "the same seed gives the same numbers"
    other = selective(evaluated, "words", dataclasses.replace(QUICK, seed=1))
    assert other.temperature is not None
    assert other.temperature.temperature.value != scaled.temperature.value


def test_too_few_images(evaluated: Store) -> None:
    found = selective(evaluated, "words", SelectiveOptions(coverage=0.99, resamples=100))
    assert found.sets is None
    assert [note for note in found.notes if "a coverage of 0.99 takes at least 99 images to calibrate on" in note]
    assert found.temperature is not None


def test_few_images_have_no_temperature(own: Store) -> None:
    change(own, "DELETE FROM truths WHERE image_id > 20")
    change(own, "DELETE FROM predictions WHERE image_id > 20")
    found = selective(own, "words", QUICK)
    assert found.temperature is None
    assert [note for note in found.notes if note.startswith("no temperature: ") and "each part needs 30" in note]
    assert [row.name for row in found.numbers() if row.part == "temperature"] == []


def test_what_is_no_longer_there(own: Store) -> None:
    change(own, "DELETE FROM text_vectors_1")
    found = selective(own, "words", QUICK)
    assert (found.temperature, found.sets) == (None, None)
    assert "no longer has the vectors of the run's prompts" in found.notes[0]
    assert found.risk.aurc.n == 75


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 2.0, float("nan")])
def test_a_coverage_that_cannot_be(evaluated: Store, coverage: float) -> None:
    with pytest.raises(OptionError, match="coverage"):
        selective(evaluated, "words", SelectiveOptions(coverage))
