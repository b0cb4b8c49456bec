"""The sweep over templates against a loop that classifies with each choice of them and counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from shotdex.analysis import scorer as image_parts
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompt_sweep import Sweep, SweepOptions, sweep
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.analysis.stats.proportions import wilson
from shotdex.store.errors import BadSql, EmptyStore, OptionError, UnknownClass
from shotdex.store.store import Store
from shotdex.store.types import Combine, PromptSet
from tests.conftest import index
from tests.support.fakes import FakeEncoder, fake_id
from tests.support.images import save_noise

TEMPLATES = ("{}", "{} thing", "a nice {}", "{} on the wall")
CLASSES = {"red": ["red", "noise"], "green": ["green", "leaf"], "blue": ["blue", "sky"]}
ALIASES = {"blue": ["azure"]}
PER_FOLDER = {"red": 25, "green": 20, "blue": 9, "azure": 14, "unlisted": 8}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """76 images of noise in two splits: three classes, one of them under two labels, eight of no class."""
    folder = tmp_path_factory.mktemp("sweep")
    store, seed = Store.create(folder / "store"), 0
    for category, count in PER_FOLDER.items():
        for i in range(count):
            seed += 1
            save_noise(folder / "p" / ("train" if i % 3 else "test") / category / f"{i}.png", seed)
    index(store, folder / "p", FakeEncoder(), "{split}/{category}/*")
    index(store, save_noise(folder / "q" / "x.png", 999).parent, FakeEncoder(), "*")
    return store


def made(
    templates: Sequence[str] = TEMPLATES,
    combine: Combine = Combine.MEAN,
    classes: Mapping[str, Sequence[str]] = CLASSES,
    aliases: Mapping[str, Sequence[str]] | None = ALIASES,
) -> PromptSet:
    return make_prompt_set("x", classes, templates, combine, aliases=aliases)


def run(store: Store, prompts: PromptSet, encoder: Any = None, **how: Any) -> Sweep:
    used = encoder or FakeEncoder()
    return sweep(store, prompts, SweepOptions(**how), lambda _: used)


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reading() as con:
        return con.rows(sql)


def choices(templates: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """Every trial: kind, template, and the templates that it uses."""
    alone = [("alone", one, [one]) for one in templates]
    without = [("without", one, [other for other in templates if other != one]) for one in templates]
    return [("all", "", list(templates)), *alone, *(without if len(templates) > 2 else [])]


Answers = dict[int, bool]
"""Which images a run gets right, of those that it evaluates."""


def classified(store: Store, templates: Sequence[str], where: str | None, combine: Combine) -> Answers:
    wanted = Classification(made(templates, combine), where=where)
    number = classify(store, wanted, lambda _: FakeEncoder()).run_id
    return dict(rows(store, f"SELECT image_id, correct FROM outcomes WHERE run_id = {number} AND correct IS NOT NULL"))


@pytest.fixture(scope="module")
def answers(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str], Combine], Answers]:
    """What runs over all images answer; each choice of templates is classified once."""
    folder = tmp_path_factory.mktemp("answers")
    shutil.copytree(filled.root, folder / "store")
    store = Store(folder / "store")
    return cache(lambda templates, combine: classified(store, templates, None, combine))


def halves(store: Store, seed: int, where: str = "true") -> tuple[list[int], list[int]]:
    """Each class's images, shuffled as one list, cut in two: the first half, with the odd one, chooses."""
    meant = {name: name for name in CLASSES} | {"azure": "blue"}
    labels = rows(store, f"SELECT image_id, category FROM images WHERE {where} ORDER BY image_id")
    kept = [(image_id, meant[label]) for image_id, label in labels if label in meant]
    mixed = [kept[i] for i in np.random.default_rng(seed).permutation(len(kept))]
    first: list[int] = []
    for name in CLASSES:
        own = [image_id for image_id, category in mixed if category == name]
        first += own[: len(own) - len(own) // 2]
    return sorted(first), sorted(image_id for image_id, _ in kept if image_id not in first)


def parted(answered: Answers, first: Sequence[int], second: Sequence[int]) -> tuple[Answers, Answers]:
    return {i: answered[i] for i in first}, {i: answered[i] for i in second}


@pytest.fixture
def copied(filled: Store, tmp_path: Path) -> Store:
    """A store of one's own, to be written to."""
    shutil.copytree(filled.root, tmp_path / "store")
    return Store(tmp_path / "store")


def check(found: Sweep, answered: Callable[[list[str]], tuple[Answers, Answers]]) -> None:
    """Every number of a sweep against what runs with the same templates answer on the two parts."""
    want = [(kind, template, *answered(used)) for kind, template, used in choices(TEMPLATES)]
    assert [(trial.kind, trial.template) for trial in found.trials] == [(kind, one) for kind, one, _, _ in want]
    for trial, (_, _, chosen, reported) in zip(found.trials, want, strict=True):
        assert trial.chosen_on == wilson(sum(chosen.values()), len(chosen))
        assert trial.reported_on == wilson(sum(reported.values()), len(reported))
    shares = [sum(chosen.values()) for _, _, chosen, _ in want]
    number = shares.index(max(shares))
    assert found.best is found.trials[number], "the best of the choosing images, the first of equals"
    every, best = want[0][3], want[number][3]
    only_all = sum(every[i] and not best[i] for i in every)
    only_best = sum(best[i] and not every[i] for i in every)
    against = found.against_all
    assert (against.n, against.only_a, against.only_b) == (len(every), only_all, only_best)
    assert against.difference.value == pytest.approx((only_best - only_all) / len(every), abs=1e-12)
    if only_all + only_best:
        p_value = binomtest(only_best, only_all + only_best).pvalue
        assert against.p_value == pytest.approx(p_value, abs=1e-12)


@pytest.mark.parametrize(("seed", "combine"), [(0, Combine.MEAN), (5, Combine.MAX)])
def test_random_halves(
    filled: Store, answers: Callable[[Sequence[str], Combine], Answers], seed: int, combine: Combine
) -> None:
    first, second = halves(filled, seed)
    assert (len(first), len(second)) == (13 + 10 + 12, 12 + 10 + 11)
    found = run(filled, made(combine=combine), seed=seed)
    assert str(seed) in found.how
    check(found, lambda used: parted(answers(tuple(used), combine), first, second))
    values = {trial.chosen_on.value for trial in found.trials}
    assert len(values) > 3, "templates differ, or nothing was tested"


def test_filters(copied: Store) -> None:
    both = run(copied, made(), choose_where="split = 'train'", report_where="split = 'test'")
    wheres = ("split = 'train'", "split = 'test'")
    check(both, lambda used: tuple(classified(copied, used, where, Combine.MEAN) for where in wheres))
    assert {trial.chosen_on.n for trial in both.trials} == {44}
    assert {trial.reported_on.n for trial in both.trials} == {24}


def test_one_filter_and_the_rest(filled: Store) -> None:
    both = run(filled, made(), choose_where="split = 'train'", report_where="split = 'test'")
    chosen = run(filled, made(), choose_where="split = 'train'")
    reported = run(filled, made(), report_where="split = 'test'")
    assert chosen.trials == both.trials == reported.trials
    assert chosen.how == "chosen on split = 'train', reported on the rest"
    assert reported.how == "chosen on the rest, reported on split = 'test'"


def test_images_of_neither_part_are_left_out(filled: Store) -> None:
    found = run(filled, made(), choose_where="image_id < 10", report_where="image_id > 40")
    assert found.trials[0].chosen_on.n == 9
    assert found.trials[0].reported_on.n == rows(
        filled, "SELECT count(*) FROM images WHERE image_id > 40 AND category IN ('red', 'green', 'blue', 'azure')"
    )[0][0]  # fmt: skip


def test_a_filter_over_everything(filled: Store, answers: Callable[[Sequence[str], Combine], Answers]) -> None:
    where = "split = 'train'"
    first, second = halves(filled, 0, where)
    found = run(filled, made(), where=where)
    assert (found.trials[0].chosen_on.n, found.trials[0].reported_on.n) == (len(first), len(second))
    check(found, lambda used: parted(answers(tuple(used), Combine.MEAN), first, second))
    even = run(filled, made(), where=where, choose_where="image_id % 2 = 0")
    assert even.trials[0].chosen_on.n == sum(image_id % 2 == 0 for image_id in first + second)


def test_seeds(filled: Store) -> None:
    assert run(filled, made(), seed=3) == run(filled, made(), seed=3)
    assert len({run(filled, made(), seed=seed).trials[0].chosen_on.value for seed in range(6)}) > 1


def test_two_templates_need_not_be_left_out(filled: Store) -> None:
    found = run(filled, made(TEMPLATES[:2]))
    assert [trial.kind for trial in found.trials] == ["all", "alone", "alone"]


def test_equals_go_to_the_first(filled: Store) -> None:
    found = run(filled, made(["{}", "{}", "{}"]))
    assert len({trial.chosen_on for trial in found.trials}) == 1
    assert found.best is found.trials[0]
    assert (found.against_all.difference.value, found.against_all.p_value) == (0, 1)


def test_more_images_than_a_chunk(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(filled, made())
    monkeypatch.setattr(image_parts, "CHUNK", 7)
    assert run(filled, made()) == whole


def everything(store: Store, but: str) -> dict[str, list[str]]:
    names = [row[0] for row in rows(store, "SELECT table_name FROM duckdb_tables() ORDER BY 1") if row[0] != but]
    return {name: sorted(map(str, rows(store, f"FROM {name}"))) for name in names}


def test_it_records_nothing_but_the_vectors_of_texts(copied: Store) -> None:
    with copied.writing() as con:
        con.run("DELETE FROM text_vectors_1")
    before, encoder = everything(copied, "text_vectors_1"), FakeEncoder()
    assert len(before) > 8
    run(copied, made(), encoder)
    assert everything(copied, "text_vectors_1") == before
    texts = {text for own in made().classes.values() for text in own}
    assert {row[0] for row in rows(copied, "SELECT text FROM text_vectors_1")} == texts
    assert (sorted(encoder.texts), encoder.seen) == (sorted(texts), 0), "each text once, no image again"
    run(copied, made(combine=Combine.MAX), encoder, seed=8)
    assert len(encoder.texts) == len(texts)


class TestRefusals:
    """What cannot be swept."""

    def test_images_that_would_choose_and_report(self, filled: Store) -> None:
        with pytest.raises(OptionError, match="24 images would both choose and report") as caught:
            run(filled, made(), choose_where="true", report_where="split = 'test'")
        assert "make the two filters disjoint" in caught.value.hint

    def test_fewer_than_two_templates(self, filled: Store) -> None:
        for templates, what in (((), "no templates"), (("a {}",), "one template")):
            with pytest.raises(OptionError, match=f"has {what}"):
                run(filled, from_names(["red", "green"], templates))

    @pytest.mark.parametrize(
        "how",
        [
            {"choose_where": "true"},
            {"report_where": "true"},
            {"choose_where": "false", "report_where": "true"},
            {"choose_where": "category = 'unlisted'"},
            {"where": "image_id = 1"},
        ],
    )
    def test_a_part_without_images(self, filled: Store, how: dict[str, str]) -> None:
        with pytest.raises(EmptyStore, match="one of the two parts"):
            run(filled, made(), **how)

    def test_no_image_of_any_class(self, filled: Store) -> None:
        with pytest.raises(UnknownClass, match="no image has a category"):
            run(filled, made(classes={"cat": ["cat"], "dog": ["dog"]}, aliases=None))
        with pytest.raises(UnknownClass):
            run(filled, made(), where="category = 'unlisted'")

    def test_bad_filters_and_empty_stores(self, filled: Store, store: Store) -> None:
        for how in ({"where": "nonsense = 1"}, {"choose_where": "nonsense = 1"}, {"report_where": " "}):
            with pytest.raises(BadSql):
                run(filled, made(), **how)
        with pytest.raises(EmptyStore):
            run(store, made())

    def test_several_encoders(self, copied: Store, tmp_path: Path) -> None:
        other = FakeEncoder(fake_id("other", weights="7" * 64))
        index(copied, save_noise(tmp_path / "o" / "red" / "1.png", 5).parents[1], other)
        with pytest.raises(OptionError, match="several encoders"):
            run(copied, made())
        assert run(copied, made(), encoder_name="fake").trials[0].chosen_on.n == 35
