"""A run against a baseline: verdicts that follow from the intervals, on a store with a real run."""

from __future__ import annotations

import csv
import shutil
from math import hypot, isnan, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from shotdex.analysis.baselines import compare_baseline
from shotdex.analysis.baselines.compare import verdicts
from shotdex.analysis.baselines.consistency import error_consistency
from shotdex.analysis.baselines.importing import read_baseline, record_baseline
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompts.build import from_names
from shotdex.analysis.results import accuracy_by, overall
from shotdex.analysis.stats.proportions import Verdict, describe, wilson
from shotdex.store.baselines import WITHOUT_INTERVAL, Baseline
from shotdex.store.errors import MissingLabels, OptionError
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Estimate, Run
from tests.conftest import index
from tests.support.fakes import FakeEncoder
from tests.support.images import save_noise

CATEGORIES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with sixty images of noise in two conditions, some of them right by chance, and a run."""
    folder, encoder = tmp_path_factory.mktemp("made"), FakeEncoder()
    for i in range(60):
        save_noise(folder / "p" / ("plain", "wide")[i % 2] / f"{CATEGORIES[i % 3]}{i:02}.png", seed=i)
    store = Store.create(folder / "store")
    index(store, folder / "p", encoder, "{condition}/{category}*", CATEGORIES)
    classify(store, Classification(from_names(CATEGORIES), name="bare"), lambda _: encoder)
    return store.root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def classified(store: Store) -> Run:
    with store.reading() as con:
        return find_run(con, "bare")


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "empty")


def table(store: Store, folder: Path, text: str, name: str = "people") -> Baseline:
    path = folder / f"{name}.csv"
    path.write_text(text, encoding="utf-8")
    return record_baseline(store, read_baseline([path], source="a book"))


def fixed(value: float) -> Estimate:
    return Estimate(value, nan, nan, 0, WITHOUT_INTERVAL)


@given(st.integers(0, 80), st.integers(1, 80), st.integers(0, 80), st.integers(1, 80))
def test_the_verdict_follows_from_newcombes_interval(k: int, n: int, right: int, m: int) -> None:
    model, people = wilson(min(k, n), n), wilson(min(right, m), m)
    (row,) = verdicts({"geons": model}, {"geons": people})
    low, high = confint_proportions_2indep(min(k, n), n, min(right, m), m, method="newcomb")
    assert row.difference.value == pytest.approx(model.value - people.value, abs=1e-12)
    assert (row.difference.low, row.difference.high) == pytest.approx((low, high), abs=1e-9)
    if abs(low) > 1e-9 and abs(high) > 1e-9:
        expected = Verdict.BETTER if low > 0 else Verdict.WORSE if high < 0 else Verdict.UNCLEAR
        assert row.verdict == expected
    small = tuple(f"{who}: small n" for who, count in (("model", n), ("baseline", m)) if count < 30)
    assert [remark for remark in row.remarks if remark.endswith("small n")] == list(small)


def test_without_an_interval_only_the_models_uncertainty_counts() -> None:
    model = wilson(32, 59)
    for value, expected in ((0.785, Verdict.WORSE), (0.585, Verdict.UNCLEAR), (0.3, Verdict.BETTER)):
        (row,) = verdicts({"geons": model}, {"geons": fixed(value)})
        assert row.verdict == expected
        assert row.difference.low == pytest.approx(model.low - value, abs=1e-12)
        assert row.difference.high == pytest.approx(model.high - value, abs=1e-12)
        assert row.sentence() == (
            f"geons: {expected} (0.542 [0.417, 0.663] n=59 against {value:.3f}, no interval, n unknown"
            "; only the model's uncertainty is counted)"
        )


def test_reported_bounds_enter_as_they_are() -> None:
    model, people = wilson(30, 40), Estimate(0.5, 0.45, 0.6, 0, "as reported")
    (row,) = verdicts({"geons": model}, {"geons": people})
    assert row.difference.low == pytest.approx(0.25 - hypot(0.75 - model.low, 0.6 - 0.5), abs=1e-12)
    assert row.difference.high == pytest.approx(0.25 + hypot(model.high - 0.75, 0.5 - 0.45), abs=1e-12)
    assert row.verdict == Verdict.BETTER
    assert row.sentence().endswith("against 0.500 [0.450, 0.600] n unknown)")
    assert describe(wilson(8, 10)) == "0.800 [0.490, 0.943] n=10"


def test_the_baselines_order_with_all_last() -> None:
    mine = {name: wilson(1, 2) for name in ("all", "a", "b", "c")}
    theirs = {name: fixed(0.5) for name in ("c", "all", "a", "d")}
    assert [row.condition for row in verdicts(mine, theirs)] == ["c", "a", "all"]
    assert verdicts({"a": wilson(1, 2)}, {"all": fixed(0.5)}) == ()


def test_a_run_against_a_table(store: Store, classified: Run, tmp_path: Path) -> None:
    people = table(store, tmp_path, "condition,accuracy,n\nwide,0.99,1000\nplain,0,1000\nfar,0.5,\n,0.3,\n")
    compared = compare_baseline(store, people, classified)
    with store.reading() as con:
        mine = accuracy_by(con, classified, "condition") | {"all": overall(con, classified)}
    assert 0 < mine["wide"].value < 1
    assert [(row.condition, row.verdict) for row in compared.conditions][:2] == [("wide", "worse"), ("plain", "better")]
    assert [row.condition for row in compared.conditions] == ["wide", "plain", "all"]
    assert all(row.model == mine[row.condition] for row in compared.conditions)
    assert (compared.only_model, compared.only_baseline) == ((), ("far",))
    assert (compared.counts, compared.consistency) == (None, None)
    assert compared.notes == (
        "Where the baseline has no interval, only the model's uncertainty is counted, "
        "so better and worse are reported more readily than they should be.",
        "These are 3 comparisons: each interval is 95 % on its own and not adjusted for their number.",
        "`all` covers different conditions in the run and in the baseline.",
    )


def test_one_condition_with_an_interval_needs_no_notes(store: Store, classified: Run, tmp_path: Path) -> None:
    compared = compare_baseline(store, table(store, tmp_path, "condition,accuracy,n\nwide,0.5,100\n"), classified)
    assert compared.notes == ()
    assert compared.only_model == ("plain",)


def test_nothing_in_common_is_an_error_that_names_both(store: Store, classified: Run, tmp_path: Path) -> None:
    people = table(store, tmp_path, "condition,accuracy\nPlain,0.5\ngeons,0.5\n")
    with pytest.raises(OptionError) as caught:
        compare_baseline(store, people, classified)
    assert "covers Plain, geons" in str(caught.value)
    assert "the conditions of the run 'bare' are plain, wide" in str(caught.value)
    assert "use the same condition names" in caught.value.hint


def test_a_run_without_labels_has_no_accuracy(empty: Store, fake: FakeEncoder, tmp_path: Path) -> None:
    save_noise(tmp_path / "p" / "a.png", seed=1)
    index(empty, tmp_path / "p", fake, "*")
    run = classify(empty, Classification(from_names(CATEGORIES)), lambda _: fake)
    people = table(empty, tmp_path, "accuracy\n0.5\n")
    with pytest.raises(MissingLabels, match="so the run has no accuracy"):
        compare_baseline(empty, people, run)


def test_conditions_that_images_lack_are_not_a_condition(empty: Store, fake: FakeEncoder, tmp_path: Path) -> None:
    for i in range(6):
        save_noise(tmp_path / "p" / f"{CATEGORIES[i % 3]}{i}.png", seed=i)
    index(empty, tmp_path / "p", fake, "{category}*", CATEGORIES)
    run = classify(empty, Classification(from_names(CATEGORIES)), lambda _: fake)
    compared = compare_baseline(empty, table(empty, tmp_path, "accuracy,n\n0.5,10\n"), run)
    assert [row.condition for row in compared.conditions] == ["all"]
    assert (compared.only_model, compared.only_baseline, compared.notes) == ((), (), ())
    assert compared.conditions[0].remarks == ("model: small n", "baseline: small n")
    with pytest.raises(OptionError, match="the conditions of the run 'run-1' are not labelled"):
        compare_baseline(empty, table(empty, tmp_path, "condition,accuracy\nunlabelled,0.5\n", "odd"), run)


def test_a_run_against_trials(store: Store, classified: Run, tmp_path: Path) -> None:
    with store.reading() as con:
        outcomes = con.rows("SELECT path, category, condition, correct FROM outcomes ORDER BY image_id")
    path = tmp_path / "people.csv"
    with path.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(("subj", "object_response", "category", "condition", "imagename"))
        for i, (place, category, condition, correct) in enumerate(outcomes):
            name = Path(place).name
            writer.writerow(("twin", category if correct else "na", category, condition, name))
            writer.writerow(("other", category if i % 3 else "mauve", category, condition, name))
        writer.writerow(("other", "red", "red", "plain", "unheard-of.png"))
    people = record_baseline(store, read_baseline([path]))
    compared = compare_baseline(store, people, classified, resamples=50)
    assert compared.counts is not None and compared.consistency is not None
    assert (compared.counts.trials, compared.counts.subjects) == (121, 2)
    assert compared.counts.missing == sum(not correct for *_, correct in outcomes)
    assert (compared.consistency.used, compared.consistency.unknown) == (120, 1)
    rows = {row.condition: row for row in compared.consistency.conditions}
    assert set(rows) == {"plain", "wide"}
    for condition, row in rows.items():
        model = [correct for *_, where, correct in outcomes if where == condition]
        other = [bool(i % 3) for i, (*_, where, _) in enumerate(outcomes) if where == condition]
        kappa = error_consistency(other, model).kappa  # type: ignore[arg-type]
        assert row.subjects["twin"].kappa == 1
        assert row.subjects["other"].kappa == pytest.approx(kappa, abs=1e-12)
        assert row.kappa.value == pytest.approx((1 + kappa) / 2, abs=1e-12)
        assert row.between.value == pytest.approx(kappa, abs=1e-12)
        assert row.kappa.method.startswith("stratified bootstrap 95 %, 50 resamples, seed 0")
    assert compared.notes == (
        "These are 3 comparisons: each interval is 95 % on its own and not adjusted for their number.",
        "The baseline's intervals take trials as independent; those of one person are not, "
        "so they are narrower than they should be.",
        "Model and baseline share images; the intervals of the differences take the two as independent.",
    )


def test_a_filtered_run_matches_only_its_own_images(
    store: Store, fake: FakeEncoder, classified: Run, tmp_path: Path
) -> None:
    wanted = Classification(from_names(CATEGORIES), name="some", where="condition = 'wide'")
    classify(store, wanted, lambda _: fake)
    path = tmp_path / "t.csv"
    path.write_text(
        "subj,object_response,category,condition,imagename\ns,red,red,plain,red00.png\ns,green,green,wide,green01.png\n"
    )
    people = record_baseline(store, read_baseline([path]))
    with store.reading() as con:
        run = find_run(con, "some")
    found = compare_baseline(store, people, run, resamples=5)
    assert found.consistency is not None
    assert (found.consistency.used, found.consistency.unknown) == (1, 1)
    assert found.only_baseline == ("plain",)
    assert isnan(found.consistency.conditions[0].between.value)
    assert "`all` covers different conditions in the run and in the baseline." in found.notes
