from __future__ import annotations

import pytest

from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.probe.gather import gather
from shotdex.analysis.probe.problem import ProbeOptions
from shotdex.analysis.probe.references import zero_shot_runs
from shotdex.analysis.prompts.build import from_names
from shotdex.analysis.results import outcomes
from shotdex.store.errors import EvaluationError, OptionError
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from tests.support.fakes import FakeEncoder

from .conftest import SHADES
from .test_gather import change, rows


def zero(store: Store, *names: str):
    material = gather(store, ProbeOptions())
    with store.reading() as con:
        return zero_shot_runs(con, names, material), material


def test_answers_are_the_runs_own_on_the_test_images(shades: Store) -> None:
    (bare, bright), material = zero(shades, "bare", "bright")
    assert (bare.run.name, bare.prompts, bright.run.name) == ("bare", "bare names", "bright")
    with shades.reading() as con:
        found = outcomes(con, find_run(con, "bare"))
    expected = dict(zip(found.image_ids.tolist(), found.correct.tolist(), strict=True))
    assert bare.correct.tolist() == [expected[i] for i in material.test_ids.tolist()]
    assert bare.scored.all()
    assert 0.4 < bare.correct.mean() < 1


def test_without_a_name_the_newest_of_this_encoder_that_scored_them(shades: Store) -> None:
    assert [one.run.name for one in zero(shades)[0]] == ["bright"]
    wanted = Classification(from_names(SHADES), name="training", where="split = 'train'")
    classify(shades, wanted, lambda _: FakeEncoder())
    assert [one.run.name for one in zero(shades)[0]] == ["bright"]
    change(shades, "UPDATE runs SET encoder_id = 9")
    assert zero(shades)[0] == []


def test_images_that_a_run_did_not_score_are_neither_right_nor_scored(shades: Store) -> None:
    wanted = Classification(from_names(SHADES), name="part", where="image_id % 3 <> 0")
    classify(shades, wanted, lambda _: FakeEncoder())
    (part,), material = zero(shades, "part")
    assert part.scored.tolist() == [i % 3 != 0 for i in material.test_ids.tolist()]
    assert not part.correct[~part.scored].any()


def test_an_image_of_no_class_of_the_run_is_an_error(shades: Store) -> None:
    classify(shades, Classification(from_names(("gray", "olive")), name="two"), lambda _: FakeEncoder())
    (two,), material = zero(shades, "two")
    teal = material.problem.test_codes == SHADES.index("teal")
    assert two.scored.all()
    assert not two.correct[teal].any()


def test_an_image_labelled_since_is_judged_by_its_label(shades: Store) -> None:
    before = zero(shades, "bare")[0][0].correct.tolist()
    change(shades, "UPDATE truths SET category = NULL, true_rank = NULL WHERE run_id = 1 AND image_id % 2 = 0")
    assert rows(shades, "SELECT count(*) FROM outcomes WHERE run_id = 1 AND correct IS NULL")[0][0] == 60
    assert zero(shades, "bare")[0][0].correct.tolist() == before


def test_runs_that_are_not_there_or_saw_nothing_of_it(shades: Store) -> None:
    with pytest.raises(OptionError, match="no run 'gone'"):
        zero(shades, "gone")
    wanted = Classification(from_names(SHADES), name="training", where="split = 'train'")
    classify(shades, wanted, lambda _: FakeEncoder())
    with pytest.raises(EvaluationError, match="'training' scored none of the 48 test images"):
        zero(shades, "training")
