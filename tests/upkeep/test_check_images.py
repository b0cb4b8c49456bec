"""Vectors that cannot be right are found, taken away, and encoded again; those that may be right stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotdex.store.encoders import add_encoder
from shotdex.store.store import Store
from shotdex.upkeep.repair import repair_store
from shotdex.upkeep.verify import check_store
from tests.support.evaluated import change, rows
from tests.support.fakes import FakeEncoder, fake_id

from .stores import (
    VECTOR,
    answers,
    change_vectors,
    index_all,
    kept,
    problems,
    template,
    whole_answers,
    whole_kept,
    whole_store,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return whole_store(tmp_path / "store")


def test_vectors_of_unknown_images(store: Store) -> None:
    whole = whole_answers()
    change_vectors(
        store,
        "INSERT INTO vectors_1 SELECT * REPLACE (5000 + image_id AS image_id) FROM vectors_1 WHERE image_id < 4",
    )
    found = problems(store)
    assert found["vectors of encoder 1"].text == "rows of images that are not in the catalog: 3"
    assert list(found) == ["vectors of encoder 1"]
    done = repair_store(store)
    assert done[0] == "removed vectors of unknown images, encoder 1: 3"
    assert "wrote encoder-1-" in done[1]
    assert problems(store) == {}
    assert answers(store) == whole


# Vectors that cannot be right, of image 5 (one of a kind), or of the copy (image 78): taken away, then encoded again.
WRONG: dict[str, tuple[str, str]] = {
    "NaN": (f"UPDATE vectors_1 SET joint = {VECTOR.format(chr(39) + 'nan' + chr(39))} WHERE image_id = 5", "numbers"),
    "one NaN of the vision tower": (
        "UPDATE vectors_1 SET vision = list_transform(range(16), lambda i: "
        "CASE WHEN i = 15 THEN 'nan'::FLOAT ELSE vision[i + 1] END)::FLOAT[16] WHERE image_id = 5",
        "numbers",
    ),
    "infinity": (
        f"UPDATE vectors_1 SET joint = {VECTOR.format('CASE i WHEN 3 THEN -1e39 ELSE 0 END::FLOAT')} WHERE image_id = 5"
        .replace("-1e39", "'-inf'::FLOAT"),
        "numbers",
    ),
    "not of length 1": (
        f"UPDATE vectors_1 SET joint = {VECTOR.format('joint[i + 1] * 1.0001')} WHERE image_id = 5",
        "numbers",
    ),
    "zero": (f"UPDATE vectors_1 SET joint = {VECTOR.format('0')} WHERE image_id = 5", "numbers"),
    "a wrong exponent": (
        f"UPDATE vectors_1 SET joint = {VECTOR.format('CASE i WHEN 2 THEN joint[3] * 65536 ELSE joint[i + 1] END')} "
        "WHERE image_id IN (5, 78)",
        "numbers",
    ),
    "a copy unlike the other": (
        f"UPDATE vectors_1 SET joint = {VECTOR.format('joint[12 - i]')} WHERE image_id = 78",
        "copies",
    ),
    "a copy unlike the other in the vision space": (
        "UPDATE vectors_1 SET vision = list_reverse(vision::FLOAT[])::FLOAT[16] WHERE image_id = 78",
        "copies",
    ),
    "those of another image": (
        "UPDATE vectors_1 SET image_id = 11 - image_id WHERE image_id IN (5, 6)",
        "vectors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", WRONG)
def test_wrong_vectors_are_taken_away_and_encoded_again(store: Store, damage: str) -> None:
    sql, check = WRONG[damage]
    before, whole = whole_kept(), whole_answers()
    assert rows(store, "SELECT path FROM images WHERE image_id = 78")[0][0].endswith("copy.png")
    vectors = rows(store, "FROM vectors_1 ORDER BY image_id")
    change_vectors(store, sql)
    assert [name.split()[0] for name in problems(store)] == [check]
    done = repair_store(store)
    assert done[0].startswith("removed invalid vectors (to encode them again, run with the original options")
    left = problems(store)
    assert list(left) == ["coverage"]
    assert "shotdex index /" in left["coverage"].hint
    again = FakeEncoder()
    index_all(store, template(), again)
    assert 1 <= again.seen <= 2
    assert problems(store) == {}
    assert kept(store) == before
    assert answers(store) == whole
    assert rows(store, "FROM vectors_1 ORDER BY image_id") == vectors


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE vectors_1 SET image_id = 11 - image_id WHERE image_id IN (5, 6)",
        "UPDATE stored_images SET image_id = 11 - image_id WHERE image_id IN (5, 6)",
        "UPDATE stored_images a SET content_sha256 = b.content_sha256 FROM stored_images b "
        "WHERE a.image_id IN (5, 6) AND b.image_id = 11 - a.image_id",
        "UPDATE vectors_1 SET content_hash = NULL WHERE image_id IN (5, 6)",
    ],
)
def test_vectors_under_another_image_are_found(store: Store, sql: str) -> None:
    change_vectors(store, sql)
    found = problems(store)["vectors of encoder 1"]
    assert found.text == "rows encoded from content that differs from their image's: 2"
    assert "--repair" in found.hint


def test_vectors_that_two_images_exchanged_are_found(store: Store) -> None:
    """The rows stay where they are, so the FAISS file, which has the right ones, is what tells."""
    change(
        store,
        "UPDATE vectors_1 a SET joint = b.joint, vision = b.vision FROM vectors_1 b "
        "WHERE a.image_id IN (5, 6) AND b.image_id = 11 - a.image_id",
    )
    assert problems(store)


@pytest.mark.parametrize(
    "value", ["NULL", "list_transform(range(12), lambda i: nullif(joint[i + 1], joint[5]))::FLOAT[12]"]
)
def test_missing_numbers(store: Store, value: str) -> None:
    """FAISS cannot be brought up to these, so that its check fails, too."""
    whole = whole_answers()
    change(store, f"UPDATE vectors_1 SET joint = {value} WHERE image_id = 5")
    assert {"numbers of encoder 1"} <= set(problems(store)) <= {"numbers of encoder 1", "index of encoder 1"}
    repair_store(store)
    assert list(problems(store)) == ["coverage"]
    index_all(store, template())
    assert problems(store) == {}
    assert answers(store) == whole


def test_vectors_that_may_be_right_stay_while_their_image_is_not_there(store: Store) -> None:
    """Of length 1 or not, nothing better can be had; NaN says nothing and goes."""
    change(store, "UPDATE stored_images SET path = '/nowhere' || path")
    half = VECTOR.format("joint[i + 1] / 2")
    change_vectors(store, f"UPDATE vectors_1 SET joint = {half} WHERE image_id IN (5, 78)")
    assert repair_store(store) == []
    found = problems(store)
    assert list(found) == ["numbers of encoder 1"]
    assert "restore it first" in found["numbers of encoder 1"].hint
    change_vectors(store, f"UPDATE vectors_1 SET joint = {VECTOR.format(chr(39) + 'nan' + chr(39))} WHERE image_id = 6")
    assert len(repair_store(store)) == 2
    assert rows(store, "SELECT count(*) FROM vectors_1") == [(78,)]


def test_images_that_only_some_encoders_have_are_no_problem(store: Store) -> None:
    with store.writing() as con:
        add_encoder(con, fake_id("other", "2" * 64, dim=3, vision_dim=5))
    (check,) = [check for check in check_store(store) if check.name == "coverage"]
    assert (check.ok, check.text.split("; ")[1:]) == (True, ["encoder 1 has all", "encoder 2 lacks 78"])
    assert problems(store) == {}
    change_vectors(store, "DELETE FROM vectors_1 WHERE image_id = 5")
    assert "--model fake" in problems(store)["coverage"].hint


def test_vectors_lost(store: Store) -> None:
    whole = whole_answers()
    change_vectors(store, "DELETE FROM vectors_1 WHERE image_id IN (5, 76)")
    found = problems(store)
    assert list(found) == ["coverage"]
    assert found["coverage"].text == "present images without vectors of any encoder: 1", "the other one was removed"
    assert f"shotdex index {template()}/labelled" in found["coverage"].hint
    index_all(store, template())
    assert problems(store) == {}
    assert answers(store) == whole
