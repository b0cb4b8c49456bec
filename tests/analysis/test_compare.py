"""Comparisons against the tables read another way, with statsmodels and scipy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from shotdex.analysis.compare import MOST, CompareOptions, Comparison, compare_groups, compare_runs, disagreements
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.store.errors import EvaluationError, MissingLabels, OptionError
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Estimate, Space
from tests.conftest import index
from tests.support.evaluated import (
    NAMES,
    THIRD,
    WORDS,
    Judged,
    by_columns,
    change,
    judged,
    rows,
    run,
    save_noisy_colour,
    shown,
)
from tests.support.fakes import FakeEncoder, fake_id

QUICK = CompareOptions(resamples=100)


def is_wilson(found: Estimate, images: Sequence[Judged]) -> None:
    right = sum(image.right for image in images)
    low, high = proportion_confint(right, len(images), method="wilson")
    assert (found.value, found.n) == (pytest.approx(right / len(images), abs=1e-12), len(images))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def is_paired(found: Comparison, a: Sequence[Judged], b: Sequence[Judged]) -> None:
    """Check everything of one comparison but the bootstrap's interval and the corrected p value."""
    assert [image.image_id for image in a] == [image.image_id for image in b]
    is_wilson(found.a, a)
    is_wilson(found.b, b)
    table = np.zeros((2, 2), int)
    for one, other in zip(a, b, strict=True):
        table[1 - one.right, 1 - other.right] += 1
    assert (found.only_a, found.only_b) == (table[0, 1], table[1, 0])
    assert found.difference.value == pytest.approx((table[1, 0] - table[0, 1]) / len(a), abs=1e-12)
    assert found.difference.n == len(a)
    assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-9)
    assert found.test == "McNemar, exact"


def is_holm(found: Sequence[Comparison]) -> None:
    want = multipletests([one.p_value for one in found], method="holm")[1]
    assert [one.adjusted for one in found] == pytest.approx(want.tolist(), abs=1e-9)


def naive_interval(a: Sequence[Judged], b: Sequence[Judged]) -> tuple[float, float]:
    """The paired bootstrap as one would write it, image by image within its class."""
    rng = np.random.default_rng(1)
    gains: dict[str, list[int]] = {}
    for one, other in zip(a, b, strict=True):
        gains.setdefault(one.truth, []).append(int(other.right) - int(one.right))
    drawn = sum(
        np.array(own)[rng.integers(0, len(own), (4000, len(own)))].sum(axis=1) for own in gains.values()
    ) / len(a)  # fmt: skip
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


class TestRuns:
    """Runs over the same images."""

    @pytest.mark.parametrize(
        "by", [(), ("condition",), ("split",), ("width",), ("condition", "category"), ("category", "split", "width")]
    )
    def test_every_number(self, evaluated: Store, by: tuple[str, ...]) -> None:
        found = compare_runs(evaluated, ["names", "words"], CompareOptions(by, resamples=200))
        a, b = judged(evaluated, "names"), judged(evaluated, "words")
        groups_a, groups_b = by_columns(a, by), by_columns(b, by)
        want = [(shown(values), groups_a[values], groups_b[values]) for values in groups_a if by]
        want.append(("all", a, b))
        assert [one.group for one in found] == [name for name, *_ in want]
        for one, (_, *parts) in zip(found, want, strict=True):
            assert (one.name_a, one.name_b) == ("names", "words")
            is_paired(one, *parts)
        is_holm(found)

    def test_the_interval_is_that_of_the_bootstrap_written_out(self, evaluated: Store) -> None:
        a, b = judged(evaluated, "names"), judged(evaluated, "words")
        found = compare_runs(evaluated, ["names", "words"], CompareOptions(("condition",), resamples=4000))
        groups_a, groups_b = by_columns(a, ["condition"]), by_columns(b, ["condition"])
        parts = [(groups_a[values], groups_b[values]) for values in groups_a] + [(a, b)]
        for one, part in zip(found, parts, strict=True):
            assert (one.difference.low, one.difference.high) == pytest.approx(naive_interval(*part), abs=1.01 / 15)
        assert (found[-1].difference.low, found[-1].difference.high) == pytest.approx(naive_interval(a, b), abs=0.014)

    def test_turned_round_everything_changes_its_sign(self, evaluated: Store) -> None:
        one = compare_runs(evaluated, ["names", "words"], CompareOptions(resamples=4000))[0]
        other = compare_runs(evaluated, ["words", "names"], CompareOptions(resamples=4000))[0]
        assert (other.a, other.b, other.only_a, other.only_b) == (one.b, one.a, one.only_b, one.only_a)
        assert (other.difference.value, other.p_value) == (-one.difference.value, one.p_value)
        assert (other.difference.low, other.difference.high) == pytest.approx(
            (-one.difference.high, -one.difference.low), abs=0.014
        )

    def test_three_runs_are_compared_pair_by_pair_and_corrected_together(self, evaluated: Store) -> None:
        names = ["third", "names", "words"]
        found = compare_runs(evaluated, names, CompareOptions(("split",), resamples=100))
        read = {name: judged(evaluated, name) for name in names}
        assert [(one.name_a, one.name_b, one.group) for one in found] == [
            (a, b, group) for a, b in combinations(names, 2) for group in ("test", "train", "unlabelled", "all")
        ]
        for one in found:
            values = {"test": ("test",), "train": ("train",), "unlabelled": (None,)}.get(one.group)
            parts = [by_columns(read[n], ["split"])[values] if values else read[n] for n in (one.name_a, one.name_b)]
            is_paired(one, *parts)
        is_holm(found)
        assert len({one.adjusted for one in found}) > 2, "the correction has something to correct"

    def test_a_run_may_be_named_by_its_number(self, evaluated: Store) -> None:
        assert compare_runs(evaluated, ["1", "2"], QUICK) == compare_runs(evaluated, ["names", "words"], QUICK)

    def test_the_bootstrap_is_seeded(self, evaluated: Store) -> None:
        by_seed = {
            seed: compare_runs(evaluated, ["names", "words"], CompareOptions(("condition",), 300, seed))
            for seed in (0, 1, 2)
        }
        assert compare_runs(evaluated, ["names", "words"], CompareOptions(("condition",), 300, 1)) == by_seed[1]
        bounds = {tuple((one.difference.low, one.difference.high) for one in found) for found in by_seed.values()}
        assert len(bounds) > 1
        assert len({tuple(one.p_value for one in found) for found in by_seed.values()}) == 1
        assert all("seed 2" in one.difference.method for one in by_seed[2])

    def test_only_shared_images_count(self, own: Store) -> None:
        run(own, NAMES, name="train", where="split = 'train'")
        run(own, WORDS, name="plain", where="condition = 'plain' OR condition IS NULL")
        found = compare_runs(own, ["train", "plain"], CompareOptions(("condition", "split"), 100))
        kept = rows(own, "SELECT image_id FROM images WHERE split = 'train' AND condition = 'plain'")
        ids = {row[0] for row in kept}
        parts = [[image for image in judged(own, name) if image.image_id in ids] for name in ("train", "plain")]
        assert [one.group for one in found] == ["plain · train", "all"]
        for one in found:
            is_paired(one, parts[0], parts[1])

    def test_each_pair_of_three_shares_its_own_images(self, own: Store) -> None:
        run(own, NAMES, name="train", where="split = 'train'")
        run(own, WORDS, name="plain", where="condition = 'plain'")
        found = compare_runs(own, ["train", "plain", "third"], CompareOptions(("condition",), 100))
        assert [(one.name_a, one.name_b, one.group, one.a.n) for one in found] == [
            ("train", "plain", "plain", 15), ("train", "plain", "all", 15),
            ("train", "third", "noisy", 15), ("train", "third", "plain", 15), ("train", "third", "all", 30),
            ("plain", "third", "plain", 30), ("plain", "third", "all", 30),
        ]  # fmt: skip
        is_holm(found)

    def test_no_shared_image(self, own: Store) -> None:
        run(own, NAMES, name="train", where="split = 'train'")
        run(own, NAMES, name="test", where="split = 'test'")
        with pytest.raises(EvaluationError, match=r"'train' and 'test' evaluated no image in common") as caught:
            compare_runs(own, ["train", "test"], QUICK)
        assert "--where" in caught.value.hint
        with pytest.raises(EvaluationError, match="no image in common"):
            compare_runs(own, ["names", "train", "test"], QUICK)

    @pytest.mark.parametrize("names", [["names", "names"], ["names", "1"], ["names", "words", "names"], ["names"], []])
    def test_the_same_run_twice_or_one_alone(self, evaluated: Store, names: list[str]) -> None:
        with pytest.raises(OptionError, match="two different runs") as caught:
            compare_runs(evaluated, names, QUICK)
        assert "shotdex compare" in caught.value.hint

    def test_unknown_names(self, evaluated: Store, store: Store) -> None:
        with pytest.raises(OptionError, match="no run 'gone'") as caught:
            compare_runs(evaluated, ["names", "gone"], QUICK)
        assert "names, words, third" in caught.value.hint
        with pytest.raises(OptionError, match="no column 'colour'"):
            compare_runs(evaluated, ["names", "words"], CompareOptions(("colour",)))
        with pytest.raises(OptionError, match="no runs yet"):
            compare_runs(store, ["a", "b"], QUICK)

    def test_a_run_without_labels(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET category = NULL")
        run(own, NAMES, name="blind")
        for names in (["names", "blind"], ["blind", "names"]):
            with pytest.raises(MissingLabels, match="the run 'blind'"):
                compare_runs(own, names, QUICK)
        with pytest.raises(MissingLabels, match="the run 'blind'"):
            compare_groups(own, "blind", CompareOptions(("condition",)))

    def test_classes_that_only_one_run_has(self, own: Store) -> None:
        """Images of a class that one of them does not know are not shared; those of the others are."""
        few = {name: NAMES[name] for name in ("green", "red")}
        run(own, few, name="few")
        found = compare_runs(own, ["few", "words"], CompareOptions(("category",), 100, anyway=True))
        kept = [[image for image in judged(own, n) if image.truth in few] for n in ("few", "words")]
        assert [one.group for one in found] == ["green", "red", "all"]
        is_paired(found[-1], kept[0], kept[1])
        is_paired(found[0], *([image for image in part if image.truth == "green"] for part in kept))

    def test_aliases_make_two_names_one_class(self, own: Store) -> None:
        """The same label, under another name in either set: the images are the same and so are the right answers."""
        renamed = {"rot": ("red",), "green": ("green",), "blau": ("blue",), "yellow": ("yellow",)}
        prompts = make_prompt_set("german", renamed, aliases={"rot": ["red"], "blau": ["blue", "azure"]})
        run(own, prompts, name="german")
        whole = compare_runs(own, ["names", "german"], CompareOptions(("category",), 100))
        assert [(one.group, one.a.n, one.only_a, one.only_b) for one in whole] == [
            ("blue", 20, 0, 0), ("green", 15, 0, 0), ("red", 30, 0, 0), ("yellow", 10, 0, 0), ("all", 75, 0, 0)
        ]  # fmt: skip
        assert whole[-1].a == whole[-1].b
        found = compare_runs(own, ["german", "words"], QUICK)[0]
        is_paired(found, judged(own, "names"), judged(own, "words"))

    def test_aliases_do_not_hide_that_an_image_was_relabelled(self, own: Store) -> None:
        prompts = make_prompt_set("german", NAMES | {"rot": ("red",)}, aliases={"rot": ["crimson"]})
        change(own, "UPDATE stored_images SET category = 'crimson' WHERE category = 'red'")
        run(own, prompts, name="german")
        with pytest.raises(EvaluationError, match="30 images have different categories"):
            compare_runs(own, ["names", "german"], CompareOptions(resamples=100, anyway=True))

    def test_images_relabelled_between_the_runs_are_refused(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET category = 'red' WHERE image_id IN (1, 2)")
        run(own, WORDS, name="later")
        with pytest.raises(
            EvaluationError, match=r"2 images have different categories in the runs 'names' and 'later'"
        ) as caught:
            compare_runs(own, ["names", "later"], QUICK)
        assert "rerun" in caught.value.hint
        is_paired(compare_runs(own, ["names", "words"], QUICK)[0], *relabelled_twice(own))

    def test_images_removed_since_count_as_they_did(self, own: Store) -> None:
        settings = CompareOptions(("condition", "category"), 100)
        before = compare_runs(own, ["names", "words"], settings), compare_groups(own, "names", settings)
        change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id % 3 = 0")
        after = compare_runs(own, ["names", "words"], settings), compare_groups(own, "names", settings)
        assert after == before

    def test_an_image_that_was_gone_for_the_second_run_is_not_shared(self, own: Store) -> None:
        change(own, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01' WHERE image_id = 5")
        run(own, WORDS, name="later")
        found = compare_runs(own, ["names", "later"], QUICK)[0]
        parts = [[image for image in judged(own, name) if image.image_id != 5] for name in ("names", "later")]
        assert found.a.n == 74
        is_paired(found, parts[0], parts[1])

    def test_runs_that_answer_alike(self, own: Store) -> None:
        run(own, NAMES, name="again")
        found = compare_runs(own, ["names", "again"], QUICK)[0]
        assert (found.only_a, found.only_b, found.p_value, found.adjusted) == (0, 0, 1, 1)
        assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)

    def test_groups_of_one_image(self, evaluated: Store) -> None:
        found = compare_runs(evaluated, ["names", "words"], CompareOptions(("image_id",), 100))
        a, b = judged(evaluated, "names"), judged(evaluated, "words")
        assert [one.group for one in found] == [*(str(image.image_id) for image in a), "all"]
        for one, first, second in zip(found, a, b, strict=False):
            is_paired(one, [first], [second])
            assert one.p_value == 1, "one image shows nothing"
            assert 0 < one.a.high - one.a.low < 1
        is_holm(found)

    @pytest.mark.parametrize("label", ["all", "unlabelled"])
    def test_a_condition_called_as_our_own_rows_are(self, own: Store, label: str) -> None:
        change(own, f"UPDATE stored_images SET condition = '{label}' WHERE condition = 'plain'")
        found = compare_runs(own, ["names", "words"], CompareOptions(("condition",), 100))
        assert [one.a.n for one in found if one.group == "all"] == [75]
        assert sorted(one.a.n for one in found) == [15, 30, 30, 75]
        groups = compare_groups(own, "names", CompareOptions(("condition",)))
        assert sorted((one.a.n, one.b.n) for one in groups) == sorted(
            (one.a.n, one.b.n) for one in compare_groups(own, "names", CompareOptions(("split",)))
        )
        assert len(groups) == 3


def relabelled_twice(store: Store) -> tuple[list[Judged], list[Judged]]:
    """Read two runs by the labels that they were made under: images 1 and 2 were blue then."""
    change(store, "UPDATE stored_images SET category = 'blue' WHERE image_id IN (1, 2)")
    return judged(store, "names"), judged(store, "words")


class TestGroups:
    """The conditions of one run."""

    @pytest.mark.parametrize("by", [("condition",), ("width",), ("split", "condition"), ("condition", "category")])
    def test_every_number(self, evaluated: Store, by: tuple[str, ...]) -> None:
        found = compare_groups(evaluated, "words", CompareOptions(by))
        groups = by_columns(judged(evaluated, "words"), by)
        assert [(one.name_a, one.name_b) for one in found] == [
            (shown(first), shown(second)) for first, second in combinations(groups, 2)
        ]
        for one, (first, second) in zip(found, combinations(groups.values(), 2), strict=True):
            is_wilson(one.a, first)
            is_wilson(one.b, second)
            right_a, right_b = (sum(image.right for image in part) for part in (first, second))
            low, high = confint_proportions_2indep(
                right_b, len(second), right_a, len(first), method="newcomb", compare="diff"
            )
            assert one.difference.value == pytest.approx(right_b / len(second) - right_a / len(first), abs=1e-12)
            assert (one.difference.low, one.difference.high) == pytest.approx((low, high), abs=1e-9)
            assert one.difference.n == min(len(first), len(second))
            table = [[right_a, len(first) - right_a], [right_b, len(second) - right_b]]
            assert one.p_value == pytest.approx(fisher_exact(table)[1], abs=1e-9)
            assert (one.group, one.test) == ("words", "Fisher, exact")
            assert one.only_a < 0
            assert one.only_b < 0
        is_holm(found)

    def test_one_group(self, own: Store) -> None:
        run(own, NAMES, name="plain", where="condition = 'plain'")
        with pytest.raises(OptionError, match="one group by condition"):
            compare_groups(own, "plain", CompareOptions(("condition",)))
        with pytest.raises(OptionError, match="one group"):
            compare_groups(own, "plain", CompareOptions())

    def test_groups_of_one_image(self, own: Store) -> None:
        run(own, NAMES, name="few", where="image_id <= 4")
        found = compare_groups(own, "few", CompareOptions(("image_id",)))
        assert [(one.name_a, one.name_b) for one in found] == list(combinations("1234", 2))
        assert all(one.p_value == 1 and one.adjusted == 1 for one in found)
        assert not any(isnan(one.difference.low) for one in found)

    def test_more_pairs_than_anybody_reads(self, own: Store) -> None:
        rows_of_75 = 75 * 74 // 2
        assert rows_of_75 < MOST
        assert len(compare_groups(own, "names", CompareOptions(("path",)))) == rows_of_75
        copy_images(own, "names", 2)
        assert MOST < 150 * 149 // 2
        with pytest.raises(OptionError, match="150 groups by path, too many") as caught:
            compare_groups(own, "names", CompareOptions(("path",)))
        assert "shotdex report names --by path" in caught.value.hint

    def test_unknown_names(self, evaluated: Store) -> None:
        with pytest.raises(OptionError, match="no run 'gone'"):
            compare_groups(evaluated, "gone", CompareOptions(("condition",)))
        with pytest.raises(OptionError, match="no column 'conditions'") as caught:
            compare_groups(evaluated, "names", CompareOptions(("conditions",)))
        assert caught.value.hint == "did you mean condition?"


def copy_images(store: Store, name: str, times: int) -> None:
    """Give a run further images with the same answers."""
    with store.writing() as con:
        number = find_run(con, name).run_id
        for step in range(1, times):
            con.run(
                f"INSERT INTO stored_images BY NAME SELECT * REPLACE (image_id + {1000 * step} AS image_id, "
                f"path || '{step}' AS path) FROM stored_images WHERE image_id < 1000"
            )
            for table in ("predictions", "truths"):
                con.run(
                    f"INSERT INTO {table} BY NAME SELECT * REPLACE (image_id + {1000 * step} AS image_id) "
                    f"FROM {table} WHERE run_id = {number} AND image_id < 1000"
                )


class TestDisagreements:
    """The images that only one of two runs gets right."""

    def test_they_are_those_of_the_tables(self, evaluated: Store) -> None:
        a, b = judged(evaluated, "names"), judged(evaluated, "words")
        with evaluated.reading() as con:
            pair = find_run(con, "names"), find_run(con, "words")
            found, few, none = (disagreements(con, *pair, limit) for limit in (1000, 3, 0))
        want = [
            (one.image_id, one.truth, one.columns["condition"], one.ranked[0], other.ranked[0],
             "names" if one.right else "words")
            for one, other in zip(a, b, strict=True)
            if one.right is not other.right
        ]  # fmt: skip
        assert [
            (one.image_id, one.category, one.condition, one.predicted_a, one.predicted_b, one.right) for one in found
        ] == want
        whole = compare_runs(evaluated, ["names", "words"], QUICK)[0]
        assert (len(want), [one[-1] for one in want].count("names")) == (whole.only_a + whole.only_b, whole.only_a)
        assert (few, none) == (found[:3], [])
        paths = dict(rows(evaluated, "SELECT image_id, path FROM images"))
        assert [one.path for one in found] == [paths[one.image_id] for one in found]


def vectors(store: Store, number: int) -> list[tuple[object, ...]]:
    return rows(store, f"SELECT image_id, joint::VARCHAR, vision::VARCHAR FROM vectors_{number} ORDER BY image_id")


class TestSeveralEncoders:
    """The same images with a second encoder: the first one's vectors stay, and both can be compared."""

    @pytest.fixture
    def images(self, tmp_path: Path) -> Path:
        for i in range(24):
            colour = ("red", "green", "blue")[i % 3]
            save_noisy_colour(tmp_path / "p" / f"cond{i % 2}" / colour / f"{i}.png", colour, 0.7, i)
        return tmp_path / "p"

    def test_the_first_encoder_is_not_touched(self, store: Store, images: Path) -> None:
        from shotdex.store.vectors import load_vectors

        first, second = FakeEncoder(), TurnedEncoder(fake_id("turned", weights="7" * 64))
        index(store, images, first, "{condition}/{category}/*")
        run(store, {k: NAMES[k] for k in ("red", "green", "blue")}, first, name="one")

        def bits() -> tuple[bytes, bytes, bytes]:
            with store.reading() as con:
                ids, joint = load_vectors(con, 1, first.id, Space.JOINT)
                _, vision = load_vectors(con, 1, first.id, Space.VISION)
            return ids.tobytes(), joint.tobytes(), vision.tobytes()

        files = {path.name: path.read_bytes() for path in store.index_folder.iterdir()}
        kept = bits(), vectors(store, 1), rows(store, "FROM predictions ORDER BY ALL")
        report = index(store, images, second, "{condition}/{category}/*")
        assert (report.encoded, second.seen, first.seen) == (24, 24, 24)
        assert (bits(), vectors(store, 1), rows(store, "FROM predictions ORDER BY ALL")) == kept
        assert {name: (store.index_folder / name).read_bytes() for name in files} == files
        assert rows(store, "SELECT count(*), count(DISTINCT path) FROM images") == [(24, 24)]
        assert vectors(store, 2) != vectors(store, 1)

    def test_they_are_compared_on_the_same_images(self, store: Store, images: Path) -> None:
        load: dict[str, Callable[[], FakeEncoder]] = {
            "fake": FakeEncoder,
            "turned": lambda: TurnedEncoder(fake_id("turned", weights="7" * 64)),
        }
        classes = {k: NAMES[k] for k in ("red", "green", "blue")}
        for made in load.values():
            index(store, images, made(), "{condition}/{category}/*")
        with pytest.raises(OptionError, match="several encoders"):
            run(store, classes, FakeEncoder(), name="which")
        for name, made in load.items():
            run(store, classes, made(), name=name, encoder_name=name)
        assert rows(store, "SELECT name, encoder_id, scored FROM runs ORDER BY run_id") == [
            ("fake", 1, 24), ("turned", 2, 24)
        ]  # fmt: skip
        found = compare_runs(store, ["fake", "turned"], CompareOptions(("condition",), 100))
        a, b = judged(store, "fake"), judged(store, "turned")
        assert [one.group for one in found] == ["cond0", "cond1", "all"]
        is_paired(found[-1], a, b)
        assert found[-1].only_a > 0, "the second encoder reads the images in another way"
        for one, values in zip(found, [("cond0",), ("cond1",)], strict=False):
            is_paired(one, by_columns(a, ["condition"])[values], by_columns(b, ["condition"])[values])


class TurnedEncoder(FakeEncoder):
    """Takes red for green, green for blue and blue for red in images, not in texts."""

    def encode_prepared(self, batch):  # type: ignore[no-untyped-def]
        return super().encode_prepared([{"pixels": np.roll(prepared["pixels"], 1, axis=2)} for prepared in batch])


def test_three_prompt_sets_and_their_classes_in_another_order(evaluated: Store) -> None:
    """`third` lists its classes in another order than `names`: numbers of classes must not be compared."""
    assert list(THIRD) != list(NAMES)
    is_paired(
        compare_runs(evaluated, ["names", "third"], QUICK)[0], judged(evaluated, "names"), judged(evaluated, "third")
    )
