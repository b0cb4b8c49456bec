from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shotdex.analysis.probe.gather import gather
from shotdex.analysis.probe.problem import ProbeOptions, parse_shots
from shotdex.store.errors import BadSql, EmptyStore, EvaluationError, MissingLabels, OptionError
from shotdex.store.store import Store
from shotdex.store.types import Space
from tests.conftest import index
from tests.support.fakes import DIM, VISION_DIM, FakeEncoder, fake_id

from .conftest import SHADES, TEST, TRAIN
from .made import save_shade


def rows(store: Store, sql: str):
    with store.reading() as con:
        return con.rows(sql)


def change(store: Store, sql: str) -> None:
    with store.writing() as con:
        con.run(sql)


def test_the_splits_of_the_images_are_taken(shades: Store) -> None:
    found = gather(shades, ProbeOptions())
    problem = found.problem
    assert found.classes == SHADES  # in alphabetical order
    assert found.split.words == "train: split = 'train'; test: split = 'test'"
    assert not found.split.assumed
    for vectors, codes, split in (
        (problem.train, problem.train_codes, "train"),
        (problem.test, problem.test_codes, "test"),
    ):
        expected = rows(
            shades,
            "SELECT image_id, joint, category FROM images JOIN vectors_1 USING (image_id) "
            f"WHERE split = '{split}' ORDER BY image_id",
        )
        assert np.array_equal(vectors, np.array([row[1] for row in expected], np.float32))
        assert [SHADES[code] for code in codes.tolist()] == [row[2] for row in expected]
    assert found.test_ids.tolist() == [row[0] for row in expected]
    assert not found.copies.any()
    counted = found.coverage
    assert (counted.indexed, counted.train, counted.test) == (3 * (TRAIN + TEST), 3 * TRAIN, 3 * TEST)
    assert (counted.failed, counted.unlabelled, counted.unseen) == (0, 0, 0)
    assert found.notes == ()


def test_the_vision_space_is_probed_as_unit_vectors(shades: Store) -> None:
    found = gather(shades, ProbeOptions(space=Space.VISION)).problem
    assert (found.train.shape[1], gather(shades, ProbeOptions()).problem.train.shape[1]) == (VISION_DIM, DIM)
    assert np.linalg.norm(found.test, axis=1) == pytest.approx(np.ones(3 * TEST), abs=1e-6)


def test_a_filter_holds_for_both_sides(shades: Store) -> None:
    found = gather(shades, ProbeOptions(where="category <> 'teal'"))
    assert (found.classes, found.notes) == (("gray", "olive"), ())
    assert (len(found.problem.train), len(found.problem.test)) == (2 * TRAIN, 2 * TEST)
    assert found.split.words.endswith("; only: category <> 'teal'")
    change(shades, "UPDATE stored_images SET split = NULL")
    found = gather(shades, ProbeOptions(where="category <> 'teal'"))
    assert (found.split.assumed, found.coverage.indexed, found.coverage.failed) == (True, 2 * (TRAIN + TEST), 0)


def test_filters_say_which_are_which(shades: Store) -> None:
    wanted = ProbeOptions("category <> 'teal' AND split = 'test'", "split = 'train'")
    found = gather(shades, wanted)
    assert found.classes == ("gray", "olive")
    assert (len(found.problem.train), len(found.problem.test)) == (2 * TEST, 3 * TRAIN)
    assert found.coverage.unseen == (found.problem.test_codes == -1).sum() == TRAIN
    assert f"{TRAIN} test images are of categories without a training image (teal)" in found.notes[0]


def test_an_overlap_is_refused_and_counted(shades: Store) -> None:
    with pytest.raises(OptionError, match="16 images would be both trained on and tested on") as caught:
        gather(shades, ProbeOptions("split = 'train' OR category = 'gray'", "split = 'test'"))
    assert "--train-where 'NOT (split = '\"'\"'test'\"'\"')'" in caught.value.hint


@pytest.mark.parametrize(("train", "test"), [("true", None), (None, "true")])
def test_one_side_alone_is_refused(train: str | None, test: str | None) -> None:
    with pytest.raises(OptionError, match="only one side"):
        ProbeOptions(train, test)


def test_other_splits_are_not_guessed_at(shades: Store) -> None:
    change(shades, "UPDATE stored_images SET split = 'val' WHERE split = 'test'")
    with pytest.raises(OptionError, match="not both train and test: train 72, val 48") as caught:
        gather(shades, ProbeOptions())
    assert "--train-where" in caught.value.hint


def test_images_of_a_third_split_are_said_to_be_left_out(shades: Store) -> None:
    change(shades, "UPDATE stored_images SET split = 'val' WHERE image_id % 10 = 0")
    left_out = rows(shades, "SELECT count(*) FROM images WHERE split = 'val'")[0][0]
    found = gather(shades, ProbeOptions())
    assert found.notes[0].startswith(f"{left_out} images are in neither")
    assert found.coverage.train + found.coverage.test == 3 * (TRAIN + TEST) - left_out


def test_without_splits_halves_are_drawn_by_the_seed(shades: Store) -> None:
    change(shades, "UPDATE stored_images SET split = NULL")
    first, again, other = (gather(shades, ProbeOptions(seed=seed)) for seed in (0, 0, 1))
    assert first.split.assumed
    assert "seed 0" in first.split.words
    assert np.bincount(first.problem.train_codes).tolist() == [20, 20, 20]
    assert np.bincount(first.problem.test_codes).tolist() == [20, 20, 20]
    assert first.test_ids.tolist() == again.test_ids.tolist() != other.test_ids.tolist()


def test_unlabelled_images_are_counted_and_left_out(shades: Store) -> None:
    change(shades, "UPDATE stored_images SET category = NULL WHERE image_id % 6 = 0")
    for split in ("split", "NULL"):
        change(shades, f"UPDATE stored_images SET split = {split}")
        found = gather(shades, ProbeOptions()).coverage
        assert (found.indexed, found.unlabelled) == (120, 20)
        assert found.train + found.test == 100


def test_copies_across_the_sides_are_found(shades_once: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    shutil.copytree(shades_once / "p", folder)
    for i in (2, 5):
        shutil.copy(folder / "train" / "gray" / f"{i}.png", folder / "test" / "gray" / f"{i}.png")
    store = Store.create(tmp_path / "s")
    index(store, folder, FakeEncoder(), "{split}/{category}/*")
    found = gather(store, ProbeOptions())
    names = dict(rows(store, "SELECT image_id, path FROM images"))
    copied = [names[i].rsplit("/", 2)[-2:] for i in found.test_ids[found.copies].tolist()]
    assert copied == [["gray", "2.png"], ["gray", "5.png"]]
    change(store, "UPDATE stored_images SET split = NULL")
    assert not gather(store, ProbeOptions()).copies.any()


def test_what_failed_or_has_no_vector_is_counted(shades: Store, tmp_path: Path) -> None:
    (tmp_path / "more" / "train" / "gray").mkdir(parents=True)
    (tmp_path / "more" / "train" / "gray" / "bad.png").write_bytes(b"")
    save_shade(tmp_path / "more" / "train" / "gray" / "good.png", "gray", seed=7)
    index(shades, tmp_path / "more", FakeEncoder(fake_id("other", weights="2" * 64)), "{split}/{category}/*")
    counted = gather(shades, ProbeOptions(encoder_name="fake")).coverage
    assert (counted.indexed, counted.failed, counted.train) == (120, 2, 72)
    chosen = ProbeOptions(encoder_name="fake", where="category IN ('gray', 'teal')")
    found = gather(shades, chosen)
    assert found.coverage.failed == 1, "has no vector; the filter cannot say whether the other one belongs to it"
    assert found.notes == ("1 image could not be indexed, and a filter cannot say whether it belongs here",)
    chosen = ProbeOptions(encoder_name="fake", train_where="split = 'train'", test_where="split = 'test'")
    assert gather(shades, chosen).coverage.failed == 1


def test_sides_with_nothing_to_learn_from_are_errors(shades: Store, store: Store) -> None:
    with pytest.raises(EmptyStore, match="no images to test on"):
        gather(shades, ProbeOptions("split = 'train'", "false"))
    with pytest.raises(EvaluationError, match="all training images are of category 'gray'"):
        gather(shades, ProbeOptions("split = 'train' AND category = 'gray'", "split = 'test'"))
    with pytest.raises(BadSql):
        gather(shades, ProbeOptions("colour = 1", "split = 'test'"))
    with pytest.raises(EmptyStore, match="nothing has been indexed"):
        gather(store, ProbeOptions())
    change(shades, "UPDATE stored_images SET category = NULL WHERE split = 'test'")
    with pytest.raises(MissingLabels, match="none of the 48 images to test on"):
        gather(shades, ProbeOptions())
    change(shades, "UPDATE stored_images SET category = NULL, split = NULL")
    with pytest.raises(MissingLabels, match="none of the 120 images"):
        gather(shades, ProbeOptions())


def test_numbers_of_shots_are_read() -> None:
    assert parse_shots("4, 1,2,4") == (1, 2, 4)
    assert parse_shots(" None ") == ()
    for bad in ("", "0", "1,,2", "-1", "1.5", "a", "1;2"):
        with pytest.raises(OptionError, match="cannot read"):
            parse_shots(bad)


@pytest.mark.parametrize("bad", [{"draws": 0}, {"shots": (0, 1)}])
def test_numbers_that_cannot_be_are_refused(bad: dict) -> None:
    with pytest.raises(OptionError, match="cannot draw"):
        ProbeOptions(**bad)
