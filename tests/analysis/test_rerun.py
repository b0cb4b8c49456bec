"""Runs made again: after every kind of change, the report must say that one and no other."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.analysis.classify import classify
from shotdex.analysis.prompts.build import make_prompt_set
from shotdex.analysis.rerun import Rerun, diff, rerun, version_changes, wanted_again
from shotdex.analysis.run_digests import PACKAGES, versions
from shotdex.store.errors import EmptyStore, EncoderMismatch, ModelUnavailable, UnknownClass
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Combine, EncoderId, Vectors
from tests.conftest import index
from tests.support.evaluated import NAMES, WORDS, change, rows, run, save_noisy_colour
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.restored import Restored

LAYOUT = "{condition}/{category}/*"


def save_images(folder: Path) -> Path:
    """Save twelve images: three colours in two conditions, two of each."""
    for i in range(12):
        place = folder / ("plain", "noisy")[i % 2] / ("red", "green", "blue")[i % 3]
        save_noisy_colour(place / f"{i}.png", place.name, 0.7, i)
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    def make(folder: Path) -> None:
        store = Store.create(folder / "store")
        index(store, save_images(folder / "p"), FakeEncoder(), LAYOUT)
        run(store, WORDS, name="first")

    return Restored(tmp_path_factory.mktemp("template"), make)


@pytest.fixture
def ran(kept: Restored) -> Store:
    """A store with the run `first`, of all the `images`."""
    return Store(kept.restore() / "store")


@pytest.fixture
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if "ran" in request.fixturenames:
        return Path(request.getfixturevalue("ran").root.parent / "p")
    return save_images(tmp_path / "p")


def again(store: Store, name: str = "first", encoder: FakeEncoder | None = None) -> Rerun:
    with store.reading() as con:
        recorded = find_run(con, name)
    return rerun(store, recorded, lambda _: encoder or FakeEncoder())


def counts(found: Rerun) -> tuple[int, int, int, int]:
    return found.same, found.different, found.gone, found.new


def refused(_: EncoderId) -> Any:
    raise ModelUnavailable("it is gone")


class TestNothingChanged:
    """The same predictions."""

    @pytest.mark.parametrize("k", [1, 2, 99])
    @pytest.mark.parametrize("combine", list(Combine))
    def test_it_is_the_same(self, ran: Store, k: int, combine: Combine) -> None:
        run(ran, make_prompt_set("x", WORDS, combine=combine), name="k", k=k)
        before = rows(ran, "FROM runs"), rows(ran, "FROM predictions ORDER BY ALL")
        found = again(ran, "k")
        assert counts(found) == (12, 0, 0, 0)
        assert (found.largest, found.changes, found.identical) == (0, (), True)
        assert (rows(ran, "FROM runs"), rows(ran, "FROM predictions ORDER BY ALL")) == before, "nothing is recorded"

    def test_with_a_filter_images_outside_it_do_not_count(self, ran: Store, images: Path) -> None:
        run(ran, NAMES, name="plain", where="condition = 'plain'")
        save_noisy_colour(images / "noisy" / "red" / "new.png", "red", 0.5, 77)
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran, "plain")
        assert (counts(found), found.changes) == ((6, 0, 0, 0), ())
        assert counts(again(ran)) == (12, 0, 0, 1)

    def test_without_the_model_the_remembered_texts_serve_and_that_is_said(self, ran: Store) -> None:
        with ran.reading() as con:
            recorded = find_run(con, "first")
        found = rerun(ran, recorded, refused)
        assert found.identical and found.changes == ()
        assert found.unchecked == ("it is gone; so the texts remembered in the store were used",)

    def test_the_prompts_are_encoded_again(self, ran: Store) -> None:
        encoder = FakeEncoder()
        again(ran, encoder=encoder)
        assert sorted(encoder.texts) == sorted({text for own in WORDS.values() for text in own})

    def test_a_model_whose_files_changed(self, ran: Store) -> None:
        found = again(ran, encoder=FakeEncoder(fake_id(weights="9" * 64)))
        assert found.identical
        assert len(found.changes) == 1
        assert "the encoder's files: fake (float32, 12-d, weights 00000000) then" in found.changes[0]
        assert "weights 99999999) now" in found.changes[0]

    def test_a_model_that_reads_texts_otherwise(self, ran: Store) -> None:
        """The same files, another version of a library: nothing but encoding them again can tell."""

        class Other(FakeEncoder):
            def encode_texts(self, texts: Sequence[str]) -> Vectors:
                return np.roll(super().encode_texts(texts), 1, axis=1)

        found = again(ran, encoder=Other())
        assert len(found.changes) == 1 and found.changes[0].startswith("the text vectors, by up to ")

    def test_a_moved_image_is_the_same_image(self, ran: Store, images: Path) -> None:
        (images / "plain" / "red" / "0.png").rename(images / "plain" / "red" / "renamed.png")
        assert index(ran, images, FakeEncoder(), LAYOUT).moved == 1
        found = again(ran)
        assert (counts(found), found.changes) == ((12, 0, 0, 0), ())

    def test_a_image_that_went_and_came_back(self, ran: Store, images: Path, tmp_path: Path) -> None:
        shutil.move(images / "plain" / "red" / "0.png", tmp_path / "kept.png")
        index(ran, images, FakeEncoder(), LAYOUT)
        assert counts(again(ran)) == (11, 0, 1, 0)
        shutil.move(tmp_path / "kept.png", images / "plain" / "red" / "0.png")
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert (counts(found), found.changes) == ((12, 0, 0, 0), ())

    def test_images_without_labels(self, ran: Store) -> None:
        change(ran, "UPDATE stored_images SET category = NULL")
        run(ran, NAMES, name="blind")
        assert again(ran, "blind").identical

    def test_duplicates_are_images_of_their_own(self, store: Store, images: Path) -> None:
        for name in ("a", "b"):
            shutil.copy(images / "plain" / "red" / "0.png", images / "plain" / "red" / f"{name}.png")
        index(store, images, FakeEncoder(), LAYOUT)
        run(store, WORDS, name="first")
        found = again(store)
        assert (counts(found), found.changes) == ((14, 0, 0, 0), ())
        (images / "plain" / "red" / "b.png").unlink()
        index(store, images, FakeEncoder(), LAYOUT)
        found = again(store)
        assert counts(found) == (13, 0, 1, 0)
        assert found.changes == ("the images: 14 were scored then, 13 are there now, with differences",)


class TestImagesChanged:
    """What became of the images and their labels."""

    def test_another_content(self, ran: Store, images: Path) -> None:
        save_noisy_colour(images / "plain" / "red" / "0.png", "red", 0.3, 99)
        assert index(ran, images, FakeEncoder(), LAYOUT).changed == 1
        found = again(ran)
        assert counts(found) == (11, 0, 1, 1)
        assert found.changes == ("the images: 12 were scored then, 12 are there now, with differences",)
        assert not found.identical

    def test_added(self, ran: Store, images: Path) -> None:
        save_noisy_colour(images / "plain" / "red" / "new.png", "red", 0.3, 99)
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert counts(found) == (12, 0, 0, 1)
        assert found.changes == ("the images: 12 were scored then, 13 are there now, with differences",)
        assert not found.identical

    def test_a_copy_added(self, ran: Store, images: Path) -> None:
        shutil.copy(images / "plain" / "red" / "0.png", images / "plain" / "red" / "copy.png")
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert counts(found) == (12, 0, 0, 1)
        assert found.changes == ("the images: 12 were scored then, 13 are there now, with differences",)

    def test_removed(self, ran: Store, images: Path) -> None:
        (images / "plain" / "red" / "0.png").unlink()
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert counts(found) == (11, 0, 1, 0)
        assert found.changes == ("the images: 12 were scored then, 11 are there now, with differences",)

    def test_all_removed(self, ran: Store) -> None:
        change(ran, "UPDATE stored_images SET removed_at = TIMESTAMP '2030-01-01'")
        with pytest.raises(EmptyStore, match="no images to classify"):
            again(ran)

    def test_relabelled(self, ran: Store, images: Path) -> None:
        """The predictions are the same, but what they are worth is not: it is said."""
        shutil.move(images / "plain" / "red" / "0.png", images / "plain" / "blue" / "0.png")
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert (counts(found), found.identical) == ((12, 0, 0, 0), True)
        assert found.changes == ("the labels of 1 image",)

    def test_relabelled_while_another_was_added(self, ran: Store, images: Path) -> None:
        for number in ("0", "6"):
            shutil.move(images / "plain" / "red" / f"{number}.png", images / "plain" / "blue" / f"{number}.png")
        save_noisy_colour(images / "plain" / "red" / "new.png", "red", 0.3, 99)
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert counts(found) == (12, 0, 0, 1)
        assert found.changes == (
            "the images: 12 were scored then, 13 are there now, with differences",
            "the labels of 2 images",
        )

    @pytest.mark.parametrize("label", ["NULL", "'mauve'"])
    def test_a_label_that_was_taken_away(self, ran: Store, label: str) -> None:
        change(ran, f"UPDATE stored_images SET category = {label} WHERE image_id <= 3")
        assert again(ran).changes == ("the labels of 3 images",)

    def test_another_label_of_the_same_class(self, ran: Store) -> None:
        """No answer and no number changes, but the digest of the labels does."""
        run(ran, make_prompt_set("x", NAMES, aliases={"red": ["crimson"]}), name="aliased")
        change(ran, "UPDATE stored_images SET category = 'crimson' WHERE category = 'red'")
        assert again(ran, "aliased").changes == ("the labels of some images",)

    def test_labels_that_are_of_no_class_any_more(self, ran: Store) -> None:
        change(ran, "UPDATE stored_images SET category = 'mauve'")
        with pytest.raises(UnknownClass, match="mauve"):
            again(ran)

    def test_conditions_do_not_matter(self, ran: Store) -> None:
        change(ran, "UPDATE stored_images SET condition = 'other'")
        assert again(ran).changes == ()

    def test_a_image_that_cannot_be_read_any_more(self, ran: Store, images: Path) -> None:
        (images / "plain" / "red" / "0.png").write_bytes(b"")
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert not found.identical
        assert "images that could not be scored: 0 then, 1 now" in found.changes

    def test_two_that_changed_places(self, ran: Store, images: Path) -> None:
        """The same images under other labels: their digest is the same, that with the labels is not."""
        first, second = (images / "plain" / "red" / "0.png", images / "plain" / "blue" / "2.png")
        contents = first.read_bytes(), second.read_bytes()
        first.write_bytes(contents[1])
        second.write_bytes(contents[0])
        index(ran, images, FakeEncoder(), LAYOUT)
        found = again(ran)
        assert found.same + found.gone == 12
        assert found.gone == found.new
        assert len(found.changes) == 1
        assert found.changes[0].startswith("the labels of")


class TestAnswersChanged:
    """What only a comparison of the predictions themselves can find."""

    def test_another_answer(self, ran: Store) -> None:
        change(ran, "UPDATE predictions SET category = 'x' WHERE image_id IN (3, 5) AND rank = 1")
        found = again(ran)
        assert (counts(found), found.identical, found.largest) == ((10, 2, 0, 0), False, 0)

    def test_another_order_below_the_best(self, ran: Store) -> None:
        change(
            ran,
            "UPDATE predictions SET category = CASE category WHEN 'red' THEN 'blue' WHEN 'blue' THEN 'red' "
            "ELSE category END WHERE image_id = 4",
        )
        assert counts(again(ran)) == (11, 1, 0, 0)

    def test_another_cosine(self, ran: Store) -> None:
        change(ran, "UPDATE predictions SET cosine = cosine + 0.01 WHERE image_id = 3 AND rank = 2")
        found = again(ran)
        assert counts(found) == (12, 0, 0, 0)
        assert found.largest == pytest.approx(0.01, abs=1e-6)

    def test_another_vector(self, ran: Store) -> None:
        """A vector that turned round puts the classes in another order."""
        change(ran, "UPDATE vectors_1 SET joint = list_transform(joint, lambda x: -x)::FLOAT[12] WHERE image_id = 7")
        assert counts(again(ran)) == (11, 1, 0, 0)


class TestEncoder:
    """The encoder that the run was made with."""

    def test_its_files_changed(self, ran: Store) -> None:
        change(ran, "DELETE FROM text_vectors_1")
        with pytest.raises(
            EncoderMismatch, match=r"files of fake changed .* weights 00000000.* now .*99999999"
        ) as caught:
            again(ran, encoder=FakeEncoder(fake_id(weights="9" * 64)))
        assert "shotdex index" in caught.value.hint

    def test_its_files_are_gone(self, ran: Store) -> None:
        change(ran, "DELETE FROM text_vectors_1")

        def gone(identity: EncoderId) -> Any:
            raise ModelUnavailable(f"{identity.name} is not there")

        with ran.reading() as con:
            recorded = find_run(con, "first")
        with pytest.raises(ModelUnavailable, match="fake is not there"):
            rerun(ran, recorded, gone)

    def test_the_run_s_own_is_taken_among_several(self, ran: Store, images: Path) -> None:
        other = FakeEncoder(fake_id("other", weights="7" * 64))
        index(ran, images, other, LAYOUT)
        run(ran, WORDS, other, name="second", encoder_name="other")
        assert again(ran).identical
        assert again(ran, "second", other).identical

    def test_a_image_that_it_has_not_encoded(self, ran: Store, images: Path) -> None:
        save_noisy_colour(images / "plain" / "red" / "new.png", "red", 0.3, 99)
        index(ran, images, FakeEncoder(fake_id("other", weights="7" * 64)), LAYOUT)
        found = again(ran)
        assert counts(found) == (12, 0, 0, 0)
        assert found.changes == ("images that could not be scored: 0 then, 1 now",)


class TestVersions:
    """The versions of what a number depends on."""

    def test_one_that_changed(self, ran: Store) -> None:
        now = versions()["numpy"]
        change(ran, """UPDATE runs SET versions = json_merge_patch(versions, '{"numpy": "1.0"}')""")
        found = again(ran)
        assert (found.changes, found.identical) == ((f"numpy 1.0 -> {now}",), True)

    def test_one_that_came_or_went(self, ran: Store) -> None:
        change(ran, """UPDATE runs SET versions = json_merge_patch(versions, '{"torch": null, "jax": "0.4"}')""")
        assert again(ran).changes == ("jax 0.4 -> absent", f"torch absent -> {versions()['torch']}")

    def test_they_are_recorded(self, ran: Store) -> None:
        with ran.reading() as con:
            assert find_run(con, "first").versions == versions()
        assert set(versions()) == {"python", *PACKAGES}

    def test_changes(self) -> None:
        assert version_changes({}, {}) == []
        assert version_changes({"b": "1", "a": "1"}, {"a": "2", "b": "1"}) == ["a 1 -> 2"]


def test_a_run_older_than_the_digests(ran: Store) -> None:
    change(ran, "UPDATE runs SET data_sha256 = NULL, labels_sha256 = NULL, command = NULL, seed = NULL")
    found = again(ran)
    assert found.identical
    assert found.changes == ()
    assert found.unchecked == ("the run was recorded before data digests existed, so the images could not be compared",)


class TestKept:
    """A rerun that is kept is a run that asks the same."""

    @pytest.mark.parametrize("how", [{}, {"k": 2}, {"where": "condition = 'plain'"}, {"seed": 7}])
    def test_it_equals_the_first(self, ran: Store, how: dict[str, Any]) -> None:
        prompts = make_prompt_set("x", WORDS, combine=Combine.MAX, aliases={"red": ["crimson"]}, source="a file")
        first = run(ran, prompts, name="one", settings={"model": None}, command="shotdex classify", **how)
        with ran.reading() as con:
            wanted = wanted_again(con, first, "two", "shotdex rerun one --name two")
        second = classify(ran, wanted, lambda _: FakeEncoder())
        same = [part for part in type(first).__slots__ if part not in ("run_id", "name", "started_at", "seconds")]
        same.remove("command")
        assert {part: getattr(second, part) for part in same} == {part: getattr(first, part) for part in same}
        assert (second.name, second.command) == ("two", "shotdex rerun one --name two")
        for table in ("predictions", "truths"):
            made = [
                rows(ran, f"SELECT * EXCLUDE (run_id) FROM {table} WHERE run_id = {number} ORDER BY ALL")
                for number in (first.run_id, second.run_id)
            ]
            assert made[0] == made[1]
        found = diff(ran, "one", "two")
        assert (found.differences, found.changed, found.only_first, found.only_second) == ((), 0, 0, 0)
