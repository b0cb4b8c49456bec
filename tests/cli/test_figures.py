"""Figures of a store: their numbers against the tables themselves, and whose they say they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text
from PIL import Image
from scipy.stats import binomtest

import shotdex as door
from shotdex.store.errors import EmptyStore, OptionError
from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.evaluated import judged

from .checks import failed

Shotdex = Callable[..., Ran]


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def below_title(figure: Any) -> str:
    """Return the lines below a figure's title as one; a page has each as a text of its own."""
    every = texts(figure)
    first = next(place for place, text in enumerate(every) if "model " in text)
    return " ".join(" ".join(every[first : first + 2]).split())


class TestWhose:
    """Run, model, images and date stand below the title and in the file."""

    @pytest.mark.parametrize(
        "kind", ["samples", "counts", "accuracy", "confusion", "reliability", "topk", "map", "mistakes"]
    )
    def test_every_figure(self, own: Store, shotdex: Shotdex, tmp_path: Path, kind: str) -> None:
        options = ("--method", "tsne") if kind == "map" else ()
        ran = shotdex("plot", kind, *options, "--store", own.root, "--out", tmp_path / "f.png", "--title", "Mine")
        assert ran.status == 0, ran.err
        of_run = kind not in ("samples", "counts", "map")
        assert ("of the newest run: third" in ran.err) == of_run
        with Image.open(tmp_path / "f.png") as image:
            said = image.text  # type: ignore[attr-defined]
        assert said["Title"] == "Mine"
        assert said.get("Runs") == ("third" if of_run else None)
        assert ("Model" in said) == (of_run or kind == "map")
        assert said["Images"].isdigit() and ("Date" in said or "Indexed" in said)

    def test_a_chosen_run_is_not_said_to_be_the_newest(self, own: Store, shotdex: Shotdex, tmp_path: Path) -> None:
        ran = shotdex("plot", "topk", "--run", "names", "--store", own.root, "--out", tmp_path / "f.png")
        assert "newest" not in ran.err

    def test_from_python(self, own: Store) -> None:
        said: list[str] = []
        figure = door.open(own.root).plot.confusion(note=said.append)
        n = len(judged(own, "third"))
        assert said == ["of the newest run: third"]
        assert below_title(figure).startswith("run third")
        assert f"{n} images" in below_title(figure)


class TestNumbers:
    """What figures say is what the tables say."""

    def test_verdicts_against_the_first_run(self, own: Store) -> None:
        figure = door.open(own.root).plot.accuracy(runs=["names", "words"])
        first = {one.image_id: one for one in judged(own, "names")}
        conditions = sorted({one.columns["condition"] or "~" for one in first.values()})
        expected = []
        for condition in conditions:
            shared = [
                (first[one.image_id].right, one.right)
                for one in judged(own, "words")
                if (one.columns["condition"] or "~") == condition
            ]
            a, b = sum(x > y for x, y in shared), sum(y > x for x, y in shared)
            certain = a + b > 0 and binomtest(a, a + b).pvalue < 0.05
            value = sum(y for _, y in shared) / len(shared)
            expected.append(f"{'≈' if not certain else '▲' if b > a else '▼'}\n{value:.3f}")
        assert [text for text in texts(figure) if text[:1] in "▲▼≈" and "\n" in text] == expected

    def test_a_heat_map_by_two_columns(self, own: Store) -> None:
        figure = door.open(own.root).plot.accuracy(runs="words", by="category,split", percent=True)
        every, right = Counter[Any](), Counter[Any]()
        for one in judged(own, "words"):
            key = one.truth, one.columns["split"]
            every[key] += 1
            right[key] += one.right
        cells = [text for text in texts(figure) if "n=" in text]
        assert sorted(cells) == sorted(f"{100 * right[key] / n:.0f} %\nn={n}" for key, n in every.items())

    def test_confusion_of_some_images_by_condition(self, own: Store) -> None:
        plot = door.open(own.root).plot
        figure = plot.confusion(run="words", by="split", where="split = 'test'", k=2, cells="counts")
        found = [one for one in judged(own, "words") if one.columns["split"] == "test"]
        share = sum(one.rank <= 2 for one in found) / len(found)
        assert f"accuracy@2 {share:.3f}" in below_title(figure)
        drawn = figure.axes[0].images[0].get_array()
        assert drawn.sum() == len(found)
        counted = Counter((one.truth, one.truth if one.rank <= 2 else one.ranked[0]) for one in found)
        assert sorted(drawn[drawn > 0].astype(int).tolist()) == sorted(counted.values())

    @pytest.mark.parametrize("sort", ["confidence", "margin"])
    def test_the_surest_mistakes(self, own: Store, sort: str) -> None:
        figure = door.open(own.root).plot.mistakes(run="words", n=3, sort=sort)
        wrong = [one for one in judged(own, "words") if not one.right]
        sure = {id(one): one.chances[0] - (one.chances[one.rank - 1] if sort == "margin" else 0) for one in wrong}
        surest = sorted(wrong, key=lambda one: (-sure[id(one)], one.image_id))[:3]
        assert [text for text in texts(figure) if text.startswith("predicted")] == [
            f"predicted {one.ranked[0]} {one.chances[0]:.3f}" for one in surest
        ]
        assert f"{len(surest)} of {len(wrong)} mistakes" in below_title(figure)

    def test_where_two_runs_differ(self, own: Store) -> None:
        plot = door.open(own.root).plot
        figure = plot.agreement("names", "words")
        drawn = figure.axes[0].images[0].get_array()
        a, b = (Counter((one.truth, one.ranked[0]) for one in judged(own, name)) for name in ("names", "words"))
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert drawn.tolist() == [[b[t, p] - a[t, p] for p in names] for t in names]
        pairs = list(zip(judged(own, "names"), judged(own, "words"), strict=True))
        same = sum(x.ranked[0] == y.ranked[0] for x, y in pairs) / len(pairs)
        assert f"same prediction for {same:.3f}" in below_title(figure)
        with pytest.raises(OptionError, match="are one run"):
            plot.agreement("names", "1")

    def test_samples_in_rows(self, own: Store) -> None:
        plot = door.open(own.root).plot
        figure = plot.samples(n=4, run="words")
        first = judged(own, "words")[:4]
        assert [text for text in texts(figure) if text.startswith("predicted")] == [
            f"predicted {one.ranked[0]}" for one in first
        ]
        drawn = [texts(plot.samples(n=3, random=True, seed=seed)) for seed in (0, 0, 1)]
        assert drawn[0] == drawn[1] != drawn[2]


def test_a_name_that_the_figure_has_not_is_an_error(own: Store, shotdex: Shotdex) -> None:
    failed(shotdex("plot", "accuracy", "--order", "nowhere", "--store", own.root), 2, "nowhere")
    failed(shotdex("plot", "accuracy", "--size", "wide", "--store", own.root), 2, "wide", "89mm")


def test_conditions_stand_in_the_order_that_is_asked_for(own: Store) -> None:
    plot = door.open(own.root).plot
    names = [label.get_text().split("\n")[0] for label in plot.accuracy(runs="words").axes[0].get_xticklabels()]
    turned = plot.accuracy(runs="words", order=names[::-1]).axes[0].get_xticklabels()
    assert [label.get_text().split("\n")[0] for label in turned] == names[::-1]


@pytest.mark.parametrize("kind", ["samples", "counts", "confusion", "reliability", "selective", "mistakes", "map"])
def test_a_filter_that_leaves_nothing_says_what_was_near(kind: str, evaluated: Store) -> None:
    with pytest.raises(EmptyStore) as raised:
        door.open(evaluated.root).plot(kind, where="condition = 'Plain'")
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("no condition `Plain` (plain); relax --where")


def test_a_keyword_that_a_figure_does_not_take_is_refused(evaluated: Store) -> None:
    plot = door.open(evaluated.root).plot
    with pytest.raises(TypeError, match="unexpected keyword argument 'run'; did you mean 'runs'"):
        plot("accuracy", run="words")
    with pytest.raises(TypeError, match="'baseline'; did you mean 'baselines'"):
        plot("accuracy", baseline="toddlers")


def test_where_no_image_has_the_label_there_is_one_group_of_all(evaluated: Store) -> None:
    shown = texts(door.open(evaluated.root).plot.accuracy(runs="words", by="camera"))
    assert any("all images" in text and "75" in text for text in shown), shown
    assert not any("unlabelled" in text or "camera" in text for text in shown)


def test_runs_stand_in_the_order_that_is_asked_for(own: Store) -> None:
    plot = door.open(own.root).plot
    for kind in ("topk", "reliability", "selective"):
        figure = plot(kind, runs=["names", "words"], order="words")
        listed = [text.get_text().split("\n")[0] for text in figure.legends[0].get_texts()]
        assert listed[:2] == ["words", "names"], kind
    with pytest.raises(OptionError, match="no 'nowhere' to order"):
        plot.topk(runs="names", order="nowhere")


def test_a_choice_that_changes_nothing_is_said(own: Store) -> None:
    plot, said = door.open(own.root).plot, list[str]()
    plot.counts(percent=True, note=said.append)
    assert said == ["percent changes nothing: this figure has no accuracies or rates"]
