"""Duplicates in real stores, against loops over the catalog's rows."""

from __future__ import annotations

import gzip
import itertools
import shutil
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex.analysis.duplicates.effect import Effect, effects
from shotdex.analysis.duplicates.find import THRESHOLDS, DuplicateOptions, Duplicates, find_duplicates
from shotdex.analysis.duplicates.rows import (
    Tally,
    all_links,
    closest_links,
    condition_without,
    conflicts,
    duplicate_groups,
    duplicate_pairs,
    leaks,
    left_out,
    pair_table,
    pairs_plot,
    summary,
    weakest_links,
)
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.errors import BadSql, EmptyStore, OptionError, UnreadableImage
from shotdex.store.ids import filtered_ids
from shotdex.store.runs import find_run
from shotdex.store.store import Store
from shotdex.store.types import Run, Space
from tests.conftest import index
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import noise, save_noise

from .twins import LAYOUT, build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    build(folder)
    return folder


@pytest.fixture
def twins(built: Path, tmp_path: Path) -> Store:
    """A copy of the store; its images stay where they are."""
    shutil.copytree(built / "store", tmp_path / "twins")
    return Store(tmp_path / "twins")


@pytest.fixture
def run(twins: Store) -> Run:
    with twins.reading() as con:
        return find_run(con, None)


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reading() as con:
        return con.rows(sql)


def names(store: Store) -> dict[int, str]:
    return {image_id: Path(path).name for image_id, path in rows(store, "SELECT image_id, path FROM images")}


def linked(store: Store, found: Duplicates) -> set[tuple[str, str, str]]:
    named = names(store)
    return {
        ("exact" if exact else "near", *sorted((named[int(found.ids[a])], named[int(found.ids[b])])))
        for a, b, exact in zip(found.links.first, found.links.second, found.links.exact, strict=True)
    }


def naive_groups(store: Store, threshold: float, space: str = "joint") -> list[list[int]]:
    """Compare every image with every other, copies and all, then join what touches until nothing changes."""
    images = rows(store, f"SELECT image_id, content_sha256, {space} FROM images JOIN vectors_1 USING (image_id)")
    groups = [{image_id} for image_id, _, _ in images]
    for (i, one, a), (j, other, b) in itertools.combinations(images, 2):
        x, y = np.array(a, np.float64), np.array(b, np.float64)
        if one == other or x @ y / np.linalg.norm(x) / np.linalg.norm(y) >= threshold:
            first, second = (next(group for group in groups if image in group) for image in (i, j))
            if first is not second:
                groups.remove(second)
                first |= second
    return sorted(sorted(group) for group in groups if len(group) > 1)


@pytest.mark.parametrize("space", list(Space))
@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9, 0.9999, 1.0])
def test_groups_match_a_loop_over_all_pairs(twins: Store, threshold: float, space: Space) -> None:
    found = find_duplicates(twins, DuplicateOptions(threshold, space))
    assert [list(group.image_ids) for group in duplicate_groups(found)] == naive_groups(twins, threshold, space.value)
    content = dict(rows(twins, "SELECT image_id, content_sha256 FROM images"))
    groups = naive_groups(twins, threshold, space.value)
    copies = [group for group in groups if len({content[i] for i in group}) == 1]
    counts = summary(found)
    assert (counts.copies.groups, counts.copies.images) == (len(copies), sum(map(len, copies)))
    assert counts.near.groups == len(groups) - len(copies)
    assert counts.near.images == sum(map(len, groups)) - sum(map(len, copies))
    assert counts.copies.pairs + counts.near.pairs == len(found.links)
    assert counts.largest == max(map(len, groups))


def test_copies_are_linked_once_and_near_ones_beside_them(twins: Store) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.999))
    assert linked(twins, found) == {
        ("exact", "00.png", "again-00.png"),
        ("exact", "00.png", "copy-of-00.png"),
        ("exact", "01.png", "copy-of-01.png"),
        ("exact", "02.png", "copy-of-02.png"),
        ("near", "03.png", "resaved-03.jpg"),
    }
    counts = summary(found)
    assert (counts.copies, counts.near) == (Tally(3, 7, 4), Tally(1, 2, 1))
    assert counts.leaks == Tally(3, 7, 4), "00 with both its copies, 02, and 03: split by split"
    assert (counts.conflicts, counts.largest) == (Tally(1, 2, 1), 3)
    assert (found.compared, found.failed, len(found.groups)) == (17, 1, 17)
    assert (found.links.first < found.links.second).all()
    assert found.links.cosine[found.links.exact].tolist() == [1.0] * 4


def test_leaked_and_conflicting_images(twins: Store) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.999))
    named = names(twins)
    assert {named[int(i)] for i in found.ids[found.leaked]} == {
        "00.png", "again-00.png", "copy-of-00.png", "02.png", "copy-of-02.png", "03.png", "resaved-03.jpg",
    }  # fmt: skip
    assert {named[int(i)] for i in found.ids[found.conflicting]} == {"02.png", "copy-of-02.png"}


@pytest.mark.parametrize(
    ("which", "want"),
    [
        ("copies", lambda g, labels, i: i != g[0]),
        ("leaks", lambda g, labels, i: len({labels[j][1] for j in g}) > 1),
        ("conflicts", lambda g, labels, i: len({labels[j][0] for j in g}) > 1),
    ],
)
def test_a_filter_leaves_out_exactly_what_it_says(twins: Store, which: str, want: Any) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.999))
    labels = {row[0]: row[1:] for row in rows(twins, "SELECT image_id, category, split FROM images")}
    groups = naive_groups(twins, 0.999)
    out = {i for group in groups for i in group if want(group, labels, i)}
    assert set(left_out(found, which).tolist()) == out
    with twins.reading() as con:
        kept = filtered_ids(con, condition_without(left_out(found, which)))
    assert set(kept.tolist()) == set(labels) - out
    with pytest.raises(OptionError, match="cannot leave out 'everything'"):
        left_out(found, "everything")


def test_a_filter_that_leaves_out_nothing() -> None:
    assert condition_without(np.empty(0, np.int64)) == "true"


def test_no_leak_is_left_once_leaks_are_left_out(twins: Store) -> None:
    without = condition_without(left_out(find_duplicates(twins, DuplicateOptions(0.999)), "leaks"))
    again = find_duplicates(twins, DuplicateOptions(0.999, where=without))
    assert summary(again).leaks == Tally(0, 0, 0)
    assert summary(again).copies == Tally(1, 2, 1)


def test_which_pairs_to_show(twins: Store) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.3))
    table = pair_table(found, all_links(found)).to_pylist()
    by_cosine = sorted(range(len(table)), key=lambda i: (table[i]["kind"] != "exact", -table[i]["cosine"], i))
    near = [i for i in range(len(table)) if table[i]["kind"] == "near"]
    assert len(near) > 5
    assert closest_links(found).tolist() == by_cosine
    assert weakest_links(found).tolist() == sorted(near, key=lambda i: (table[i]["cosine"], i))
    split = [i for i in by_cosine if table[i]["split_a"] != table[i]["split_b"]]
    category = [i for i in by_cosine if table[i]["category_a"] != table[i]["category_b"]]
    for rows_of, order in ((leaks, split), (conflicts, category), (duplicate_pairs, by_cosine)):
        assert [asdict(pair) for pair in rows_of(found, 1000)] == [table[i] for i in order]
        assert [asdict(pair) for pair in rows_of(found, 2)] == [table[i] for i in order[:2]]
        assert rows_of(found, 0) == []
    assert duplicate_pairs(found, 1, weakest=True)[0].cosine == min(row["cosine"] for row in table)


def test_conflicts_as_rows(twins: Store) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.999))
    ids = {name: image_id for image_id, name in names(twins).items()}
    first, second = sorted([ids["02.png"], ids["copy-of-02.png"]])
    (pair,) = conflicts(found, 10)
    assert (pair.kind, pair.cosine, pair.group) == ("exact", 1.0, first)
    assert (pair.image_id_a, pair.image_id_b) == (first, second)
    assert {pair.category_a, pair.category_b} == {"blue", "red"}
    assert {pair.split_a, pair.split_b} == {"test", "train"}
    (group,) = duplicate_groups(found, found.conflicting)
    assert (group.group, group.image_ids) == (first, (first, second))
    assert (group.category, group.condition, group.split) == (("blue", "red"), (), ("test", "train"))


def naive_effects(store: Store, run: Run, groups: list[list[int]], column: str = "split") -> list[Effect]:
    """Drop image by image, and count what is left."""
    labels = {row[0]: row[1:] for row in rows(store, f"SELECT image_id, category, {column} FROM images")}
    right = dict(rows(store, f"SELECT image_id, correct FROM outcomes WHERE run_id = {run.run_id}"))
    group_of = {i: group for group in groups for i in group}
    made = []
    for side in [*sorted({label[1] for label in labels.values() if label[1]}), "all"]:
        own = [i for i in sorted(right) if i in labels and side in (labels[i][1], "all")]
        drop: dict[str, set[int]] = {"all images": set(), "without leaked": set()}
        drop |= {"one of each group": set(), "without conflicts": set()}
        for i in own:
            group = group_of.get(i, [i])
            if any(labels[j][1] not in (None, labels[i][1]) for j in group) and labels[i][1]:
                drop["without leaked"].add(i)
            if any(j < i and j in own for j in group):
                drop["one of each group"].add(i)
            if any(labels[j][0] != labels[i][0] for j in group):
                drop["without conflicts"].add(i)
        for kept, gone in drop.items():
            stay = [right[i] for i in own if i not in gone]
            made.append(Effect(side, kept, len(gone), wilson(sum(stay), len(stay))))
    return made


@pytest.mark.parametrize("threshold", [0.6, 0.95, 0.999])
def test_accuracy_with_and_without_matches_a_loop(twins: Store, run: Run, threshold: float) -> None:
    found = find_duplicates(twins, DuplicateOptions(threshold))
    with twins.reading() as con:
        made = effects(con, run, found)
    assert list(made.effects) == naive_effects(twins, run, naive_groups(twins, threshold))
    assert made.looked_at == 17
    assert any(effect.left_out for effect in made.effects)


def test_only_what_was_compared_counts_for_accuracy(twins: Store, run: Run) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.999, where="split = 'train'"))
    with twins.reading() as con:
        made = effects(con, run, found)
    (train,) = {effect.accuracy.n for effect in made.effects if effect.kept == "all images"}
    assert {effect.side for effect in made.effects} == {"train"}, "one side is all there is"
    assert train == made.looked_at == rows(twins, "SELECT count(*) FROM images WHERE split = 'train'")[0][0] < 17


def test_a_run_with_nothing_to_evaluate_has_no_accuracy(twins: Store, run: Run) -> None:
    found = find_duplicates(twins, DuplicateOptions(0.999, where="image_id < 0 OR path LIKE '%copy-of-01%'"))
    other = rows(twins, "SELECT image_id FROM images WHERE path LIKE '%copy-of-01%'")[0][0]
    with twins.writing() as con:
        con.run("DELETE FROM truths WHERE image_id = $id", {"id": other})
    with twins.reading() as con:
        made = effects(con, run, found)
    assert made.looked_at == 0
    assert [(e.side, e.left_out, e.accuracy.n) for e in made.effects] == [("all", 0, 0)] * 4
    assert np.isnan([e.accuracy.value for e in made.effects]).all()


def test_conditions_are_bridged_only_where_asked(store: Store, fake: FakeEncoder, colours: Path) -> None:
    index(store, colours, fake, "{condition}/{category}*", ("Red", "Green", "Blue", "Yellow", "White"))
    splits, conditions = (find_duplicates(store, DuplicateOptions(0.999, across=a)) for a in ("split", "condition"))
    assert summary(splits).near == summary(conditions).near == Tally(5, 10, 5), "one colour at two sizes"
    assert summary(splits).leaks == Tally(0, 0, 0)
    assert summary(conditions).leaks == Tally(5, 10, 5)
    with pytest.raises(OptionError, match="cannot be searched across a 'category'"):
        find_duplicates(store, DuplicateOptions(across="category"))


def test_images_in_idx_files_are_copies_by_their_pixels(store: Store, fake: FakeEncoder, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5), dtype=np.uint8)
    (tmp_path / "d").mkdir()
    for name, parts in (("train", images[[0, 1, 2, 1]]), ("t10k", images[[3, 2]])):
        header = b"\0\0\x08\x03" + struct.pack(">3I", len(parts), 5, 5)
        with gzip.open(tmp_path / "d" / f"{name}-images-idx3-ubyte.gz", "wb") as file:
            file.write(header + parts.tobytes())
    index(store, tmp_path / "d", fake)
    found = find_duplicates(store, DuplicateOptions(1.0))
    members = [
        sorted((Path(r["path_a"]).name, Path(r["path_b"]).name)) for r in pair_table(found, np.arange(2)).to_pylist()
    ]
    assert len(found.links) == 2
    assert sorted(members) == [
        ["t10k-images-idx3-ubyte.gz!1", "train-images-idx3-ubyte.gz!2"],
        ["train-images-idx3-ubyte.gz!1", "train-images-idx3-ubyte.gz!3"],
    ]
    assert summary(found).leaks == Tally(1, 2, 1)


def test_images_without_a_vector_can_be_copies(twins: Store, built: Path, tmp_path: Path) -> None:
    other = FakeEncoder(fake_id("other", weights="2" * 64))
    save_noise(tmp_path / "q" / "new.png", seed=77)
    noise(77).save(tmp_path / "q" / "old.jpg", quality=95)
    shutil.copy(built / "p" / "train" / "red" / "01.png", tmp_path / "q" / "zzz.png")
    index(twins, tmp_path / "q", other, "*")
    found = find_duplicates(twins, DuplicateOptions(0.999, encoder_name="fake"))
    assert (len(found.groups), found.compared) == (20, 17)
    assert ("exact", "01.png", "zzz.png") in linked(twins, found)
    assert not any("new.png" in link for link in linked(twins, found))
    late = find_duplicates(twins, DuplicateOptions(0.999, encoder_name="other"))
    near = {link for link in linked(twins, late) if link[0] == "near"}
    assert near == {("near", "new.png", "old.jpg")}, "not 03.png, which has no vector of this encoder"
    assert (late.compared, len(late.links)) == (3, 6)


def test_a_image_that_failed_and_is_indexed_all_the_same_is_not_counted_as_failed(twins: Store) -> None:
    with twins.writing() as con:
        con.run("INSERT INTO failures (path) SELECT path FROM images LIMIT 2")
        con.run("INSERT INTO failures (path) VALUES ('/gone.png')")
    assert find_duplicates(twins, DuplicateOptions()).failed == 2


def test_removed_images_are_no_duplicates(fake: FakeEncoder, tmp_path: Path) -> None:
    twins = build(tmp_path)
    (tmp_path / "p" / "train" / "red" / "copy-of-01.png").unlink()
    index(twins, tmp_path / "p", fake, LAYOUT)
    assert not any("01.png" in link for link in linked(twins, find_duplicates(twins, DuplicateOptions(0.999))))


def test_unlabelled_images_leak_and_conflict_with_nothing(
    twins: Store, built: Path, fake: FakeEncoder, tmp_path: Path
) -> None:
    shutil.copytree(built / "p" / "train", tmp_path / "bare", ignore=lambda *_: ["broken.png"])
    before = find_duplicates(twins, DuplicateOptions(0.999))
    index(twins, tmp_path / "bare", fake, "**/*")
    found = find_duplicates(twins, DuplicateOptions(0.999))
    assert len(found.groups) > len(before.groups)
    assert summary(found).leaks == summary(before).leaks
    assert summary(found).conflicts == summary(before).conflicts


def test_thresholds_have_their_space(twins: Store) -> None:
    for space in Space:
        assert find_duplicates(twins, DuplicateOptions(space=space)).options.threshold == THRESHOLDS[space]


def test_one_image_and_none(store: Store, fake: FakeEncoder, tmp_path: Path) -> None:
    with pytest.raises(EmptyStore, match="nothing has been indexed yet"):
        find_duplicates(store, DuplicateOptions())
    index(store, save_noise(tmp_path / "p" / "x.png", seed=1).parent, fake, "*")
    found = find_duplicates(store, DuplicateOptions())
    none = Tally(0, 0, 0)
    assert (found.groups.tolist(), len(found.links), duplicate_groups(found)) == ([0], 0, [])
    counts = summary(found)
    assert (counts.copies, counts.near, counts.conflicts, counts.leaks, counts.largest) == (none, none, none, none, 0)
    assert duplicate_pairs(found, 5, weakest=True) == []
    with pytest.raises(EmptyStore, match="no images to compare"):
        find_duplicates(store, DuplicateOptions(where="false"))
    with pytest.raises(BadSql, match="nonsense"):
        find_duplicates(store, DuplicateOptions(where="nonsense = 1"))
    with pytest.raises(OptionError, match="is not a valid threshold"):
        find_duplicates(store, DuplicateOptions(threshold=2.0))


def test_all_images_the_same(store: Store, fake: FakeEncoder, tmp_path: Path) -> None:
    for i in range(30):
        save_noise(tmp_path / "p" / f"{i}.png", seed=0)
    index(store, tmp_path / "p", fake, "*")
    counts = summary(find_duplicates(store, DuplicateOptions(1.0)))
    assert (counts.copies, counts.near, counts.largest) == (Tally(1, 30, 29), Tally(0, 0, 0), 30)


def test_pairs_are_drawn_from_their_files(tmp_path: Path) -> None:
    twins = build(tmp_path)
    found = find_duplicates(twins, DuplicateOptions(0.999))
    pairs = duplicate_pairs(found, 10)
    shown = [text.get_text() for text in pairs_plot(found, pairs, "Closest").axes[0].texts]
    assert shown[:2] == ["Closest", "cosine 0.999 or more in the joint space of fake"]
    assert shown.count("exact copy") == 4
    assert {"resaved-03.jpg", "copy-of-02.png", "blue", "red", "train", "test"} <= set(shown)
    (tmp_path / "p" / "test" / "blue" / "00.png").unlink()
    gone = pairs_plot(found, pairs, "x").axes[0].images[0].get_array()
    assert (gone == 0xDD).all(axis=-1).sum() > 10_000, "a grey square stands for an image that is gone"
    with pytest.raises(UnreadableImage, match="no pairs to draw"):
        pairs_plot(found, [], "x")
