"""Which images a run speaks of: every image that was given is counted once, and what was not scored is listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from shotdex.analysis.classify import Classification, Classified, classify_in_full
from shotdex.analysis.coverage import Coverage, counting_failures, coverage, find_unscored
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.results import accuracy_by, outside_labels, overall
from shotdex.store.store import Store
from shotdex.store.types import PromptSet, Run
from tests.conftest import COLOURS, index
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_colour, save_noise

NO_VECTOR = ("encode", "no vector of this encoder")


def run(store: Store, prompts: PromptSet | None = None, encoder: Any = None, **how: Any) -> Classified:
    used = encoder or FakeEncoder()
    return classify_in_full(store, Classification(prompts or from_names(COLOURS), **how), lambda _: used)


def listed(made: Classified) -> list[tuple[str, str, str]]:
    """Name, stage and reason of what a run could not score."""
    return [(Path(path).name, *why) for path, *why in made.unscored.listed]


def is_red(pixels: Any) -> bool:
    return bool(pixels[..., 0].mean() > 200 and pixels[..., 1].mean() < 50)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two good images of each colour, one that no model can encode, three broken ones, one without a category."""
    folder = tmp_path / "mixed"
    for i, colour in enumerate(("green", "blue", "yellow", "white")):
        save_colour(folder / "plain" / f"{colour.title()}{i}.png", colour)
        save_colour(folder / "wide" / f"{colour.title()}{i}.png", colour, (30, 8))
    save_colour(folder / "plain" / "Red9.png", "red")
    save_colour(folder / "wide" / "Cat1.png", "blue")
    save_noise(folder / "wide" / "_.png", 3)
    (folder / "plain" / "Blue_empty.png").write_bytes(b"")
    (folder / "wide" / "Blue_junk.png").write_bytes(b"junk" * 100)
    cut = save_noise(folder / "wide" / "Green_cut.png", 4, width=200, height=200)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    return folder


BROKEN = [
    ("Blue_empty.png", "decode", "empty file"),
    ("Blue_junk.png", "decode", "not an image"),
    ("Green_cut.png", "decode", "truncated"),
]


def indexed(store: Store, folder: Path, encoder: FakeEncoder | None = None) -> None:
    index(store, folder, encoder or FakeEncoder(), "{condition}/{category}*", (*COLOURS, "cat"))


def test_every_image_is_counted_once(store: Store, mixed: Path) -> None:
    indexed(store, mixed, FakeEncoder(spoil=is_red))
    made = run(store)
    found = coverage(made.run)
    assert found == Coverage(indexed=10, failed=4, unlabelled=1, other=1, evaluated=8, categories=(4, 5))
    assert found.indexed + found.failed == sum(1 for _ in mixed.rglob("*.png"))
    assert found.evaluated + found.unlabelled + found.other == found.indexed
    said = "images: indexed 10, failed 4, unlabelled 1, of another category 1; evaluated 8, 4 of 5 categories"
    assert str(found) == said
    with store.reading() as con:
        assert overall(con, made.run) == made.accuracy
        assert made.accuracy.n == 8
        assert sum(estimate.n for estimate in accuracy_by(con, made.run, "category").values()) == 8
        assert outside_labels(con, made.run) == made.outside == [("cat", 1)]
    assert made.unscored.beyond_filter == 0
    assert sorted(listed(made)) == sorted([*BROKEN, ("Red9.png", "encode", "model output invalid")])


def test_they_are_listed_by_path(store: Store, mixed: Path) -> None:
    indexed(store, mixed)
    made = run(store)
    paths = [path for path, *_ in made.unscored.listed]
    assert paths == sorted(paths)
    assert len(paths) == 3
    with store.reading() as con:
        few = find_unscored(con, np.empty(0, np.int64), None, 2)
    assert (few.failed, few.listed) == (3, made.unscored.listed[:2])


def test_aliases_count_as_their_class(store: Store, mixed: Path) -> None:
    indexed(store, mixed)
    prompts = make_prompt_set("x", {name: [name] for name in COLOURS}, aliases={"blue": ["cat"]})
    made = run(store, prompts)
    assert coverage(made.run) == Coverage(indexed=11, failed=3, unlabelled=1, other=0, evaluated=10)
    with store.reading() as con:
        assert accuracy_by(con, made.run, "category") == made.groups["category"]
        assert made.groups["category"]["blue"].n == 3
        assert outside_labels(con, made.run) == made.outside == []


class TestSeveralEncoders:
    """An image that one encoder has, and another has not."""

    def test_an_image_that_the_second_cannot_encode(self, store: Store, mixed: Path) -> None:
        indexed(store, mixed)
        other = FakeEncoder(fake_id("other", weights="7" * 64), spoil=is_red)
        indexed(store, mixed, other)
        first, second = run(store, encoder_name="fake"), run(store, encoder=other, encoder_name="other")
        assert (coverage(first.run).indexed, coverage(first.run).failed) == (11, 3)
        assert (coverage(second.run).indexed, coverage(second.run).failed) == (10, 4)
        assert sorted(listed(first)) == sorted(BROKEN)
        assert sorted(listed(second)) == sorted([*BROKEN, ("Red9.png", *NO_VECTOR)])

    def test_an_image_that_only_the_second_can_encode(self, store: Store, mixed: Path) -> None:
        indexed(store, mixed, FakeEncoder(spoil=is_red))
        other = FakeEncoder(fake_id("other", weights="7" * 64))
        indexed(store, mixed, other)
        first, second = run(store, encoder_name="fake"), run(store, encoder=other, encoder_name="other")
        assert (coverage(first.run).indexed, coverage(first.run).failed) == (10, 4)
        assert (coverage(second.run).indexed, coverage(second.run).failed) == (11, 3)
        assert sorted(listed(first)) == sorted([*BROKEN, ("Red9.png", *NO_VECTOR)])

    def test_images_that_the_second_never_met(self, store: Store, mixed: Path, tmp_path: Path) -> None:
        indexed(store, mixed)
        save_colour(tmp_path / "few" / "plain" / "Green0.png", "green")
        other = FakeEncoder(fake_id("other", weights="7" * 64))
        indexed(store, tmp_path / "few", other)
        made = run(store, encoder=other, encoder_name="other")
        assert (coverage(made.run).indexed, coverage(made.run).failed) == (1, 11 + 3)
        assert len(listed(made)) == 14


class TestFilters:
    """A filter is over what is indexed."""

    def test_it_cannot_speak_of_what_failed(self, store: Store, mixed: Path) -> None:
        indexed(store, mixed)
        made = run(store, where="condition = 'plain'")
        assert coverage(made.run) == Coverage(indexed=5, failed=0, unlabelled=0, other=0, evaluated=5)
        assert listed(made) == []
        assert made.unscored.beyond_filter == 3, "but it is said that they are there"

    def test_images_in_it_without_a_vector_are_listed(self, store: Store, mixed: Path) -> None:
        indexed(store, mixed)
        other = FakeEncoder(fake_id("other", weights="7" * 64), spoil=is_red)
        indexed(store, mixed, other)
        plain = run(store, encoder=other, encoder_name="other", where="condition = 'plain' -- a comment")
        wide = run(store, encoder=other, encoder_name="other", where="condition = 'wide'")
        assert (coverage(plain.run).indexed, coverage(plain.run).failed) == (4, 1)
        assert listed(plain) == [("Red9.png", *NO_VECTOR)]
        assert (coverage(wide.run).failed, listed(wide)) == (0, [])


class TestAfterwards:
    """The store goes on; the run's numbers stand."""

    def test_a_file_that_vanished_is_no_failure(self, store: Store, mixed: Path) -> None:
        indexed(store, mixed)
        before = run(store)
        (mixed / "plain" / "Green0.png").unlink()
        (mixed / "plain" / "Blue_empty.png").unlink()
        indexed(store, mixed)
        after = run(store)
        assert (coverage(before.run).indexed, coverage(before.run).failed) == (11, 3)
        assert (coverage(after.run).indexed, coverage(after.run).failed) == (10, 2)
        assert sorted(listed(after)) == sorted(BROKEN[1:])
        with store.reading() as con:
            assert overall(con, before.run).n - overall(con, after.run).n == 1

    @pytest.mark.parametrize("content", [b"junk" * 50, None])
    def test_a_image_that_broke_is_a_failure_and_answers_no_more(
        self, store: Store, mixed: Path, content: bytes | None
    ) -> None:
        indexed(store, mixed)
        good = save_noise(mixed / "plain" / "Green0.png", 8, width=90, height=90).read_bytes()
        (mixed / "plain" / "Green0.png").write_bytes(content or good[: len(good) // 2])
        indexed(store, mixed)
        made = run(store)
        assert (coverage(made.run).indexed, coverage(made.run).failed) == (10, 4)
        assert [row[:2] for row in listed(made) if row[0] == "Green0.png"] == [("Green0.png", "decode")]

    def test_what_was_indexed_later_is_not_said_to_have_been_missed(self, store: Store, mixed: Path) -> None:
        indexed(store, mixed)
        made = run(store)
        save_colour(mixed / "plain" / "Green77.png", "green")
        indexed(store, mixed)
        assert sorted(listed(made)) == sorted(BROKEN)


def a_run(scored: int, unlabelled: int, outside: int, failed: int) -> Run:
    return Run(1, "x", 1, 1, None, 5, scored + failed, scored, unlabelled, outside, failed, datetime.min, 0.0)


@pytest.mark.parametrize(("evaluated", "failed", "correct"), [(8, 4, 6), (100, 0, 93), (1, 1, 0), (320, 17, 320)])
def test_if_failures_counted_as_errors(evaluated: int, failed: int, correct: int) -> None:
    found = counting_failures(a_run(evaluated + 3 + 2, 3, 2, failed), correct)
    assert (found.value, found.n) == (correct / (evaluated + failed), evaluated + failed)
    low, high = proportion_confint(correct, evaluated + failed, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_if_nothing_could_be_scored_and_nothing_failed() -> None:
    found = counting_failures(a_run(5, 5, 0, 0), 0)
    assert (isnan(found.value), found.n) == (True, 0)
    assert coverage(replace(a_run(5, 5, 0, 0), outside=0)).evaluated == 0
