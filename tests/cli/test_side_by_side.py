"""Runs side by side: other classes are refused by name or marked, other images are compared on the shared ones only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import binomtest

import shotdex as door
from shotdex.analysis.accuracy_plots import accuracy_plot
from shotdex.analysis.plots import reliability_plot, topk_plot
from shotdex.store.errors import EvaluationError
from shotdex.store.store import Store
from tests.conftest import Ran
from tests.support.evaluated import NAMES, WORDS, judged, run

from .checks import failed, strict_json

Shotdex = Callable[..., Ran]
FEW = {name: NAMES[name] for name in ("red", "green")}


@pytest.fixture
def few(own: Store) -> Store:
    """The store with one run more, `few`, that chose between two classes."""
    run(own, FEW, name="few")
    return own


@pytest.fixture
def test(own: Store) -> Store:
    """The store with one run more, `test`, over the test images only."""
    run(own, WORDS, name="test", where="split = 'test'")
    return own


class TestClasses:
    """Runs that chose among different classes."""

    @pytest.mark.parametrize(
        "command",
        [
            ("compare", "names", "few"),
            ("diff", "names", "few"),
            ("compare", "words", "third", "few", "--by", "condition"),
            *(("plot", kind, "--run", "names", "--run", "few") for kind in ("accuracy", "reliability", "topk")),
        ],
    )
    def test_they_are_refused_by_name(
        self, shotdex: Shotdex, few: Store, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ran = shotdex(*command, "--store", few.root)
        failed(ran, 1, "chose among different classes, 4 and 2", "blue, yellow", "'few'", "--anyway")
        assert list(tmp_path.glob("*.png")) == []
        assert shotdex(*command, "--anyway", "--store", few.root).status == 0

    def test_anyway_marks_every_number(self, shotdex: Shotdex, few: Store) -> None:
        ran = shotdex("compare", "names", "few", "words", "--by", "condition", "--anyway", "--store", few.root)
        lines = ran.out.splitlines()
        assert any(line.startswith("* these runs chose among different classes") for line in lines[:4])
        start = next(i for i, line in enumerate(lines) if line.startswith("a "))
        cells = [line.split() for line in lines[start + 2 :] if line.split()[:1] in (["names"], ["few"])]
        assert {(row[0], row[1]) for row in cells} == {("names", "few"), ("few", "words"), ("names", "words")}
        for first, second, _, *numbers in cells:
            values = [part for part in numbers if part[0] in "+-0123456789<" and part not in ("<", "-")]
            marked = "few" in (first, second)
            assert {part.endswith("*") for part in values if not part.endswith("to")} >= {marked}
            assert ("*" in " ".join(values)) == marked
        listed = strict_json(shotdex("compare", "names", "few", "--anyway", "--json", "--store", few.root).out)
        assert [one["same_classes"] for one in listed["comparisons"]] == [False]
        ran = shotdex("diff", "names", "few", "--anyway", "--store", few.root)
        assert ran.out.startswith("* these runs chose") or "\n* these runs chose" in ran.out
        assert "* are right only there" in ran.out

    def test_from_python(self, few: Store) -> None:
        session = door.open(few.root)
        with pytest.raises(EvaluationError, match="'names' and 'few' chose among different classes"):
            session.compare("names", "few")
        with pytest.raises(EvaluationError):
            session.diff("names", "few")
        with pytest.raises(EvaluationError):
            session.plot.topk(runs=["names", "few"])
        assert session.compare("names", "few", anyway=True)[0].same_classes is False
        assert session.diff("names", "few", anyway=True).details.same_classes is False

    def test_another_order_or_an_alias_is_the_same_class(self, own: Store, shotdex: Shotdex) -> None:
        from shotdex.analysis.prompts.build import make_prompt_set

        german = {"rot": ("red",)} | {name: NAMES[name] for name in ("yellow", "blue", "green")}
        run(own, make_prompt_set("german", german, aliases={"rot": ["red"]}), name="german")
        assert shotdex("compare", "names", "german", "--store", own.root).status == 0


class TestImages:
    """Runs over different images."""

    def test_the_shared_ones_are_said_first_and_are_what_is_counted(self, shotdex: Shotdex, test: Store) -> None:
        ran = shotdex("compare", "names", "test", "--store", test.root)
        assert ran.status == 0, ran.err
        assert ran.out.splitlines()[0] == "on the 30 of 75 images that both scored"
        b = {image.image_id: image for image in judged(test, "test")}
        a = {image.image_id: image for image in judged(test, "names") if image.image_id in b}
        one = strict_json(shotdex("compare", "names", "test", "--json", "--store", test.root).out)["comparisons"][0]
        only_a = sum(a[i].right > b[i].right for i in b)
        only_b = sum(b[i].right > a[i].right for i in b)
        assert (one["a"]["n"], one["b"]["n"], one["of"]) == (30, 30, 75)
        assert one["a"]["value"] == pytest.approx(sum(x.right for x in a.values()) / 30)
        assert one["b"]["value"] == pytest.approx(sum(x.right for x in b.values()) / 30)
        assert (one["only_a"], one["only_b"]) == (only_a, only_b)
        both = only_a + only_b
        assert one["p_value"] == pytest.approx(binomtest(only_a, both).pvalue if both else 1.0)

    def test_the_same_images_need_no_word(self, shotdex: Shotdex, own: Store) -> None:
        assert "both scored" not in shotdex("compare", "names", "words", "--store", own.root).out
        assert "both scored" not in shotdex("diff", "names", "words", "--store", own.root).out

    def test_of_three_runs_each_pair_has_its_own(self, shotdex: Shotdex, test: Store) -> None:
        lines = shotdex("compare", "names", "words", "test", "--store", test.root).out.splitlines()
        assert lines[:2] == [
            "names and test: on the 30 of 75 images that both scored",
            "words and test: on the 30 of 75 images that both scored",
        ]

    def test_diff(self, shotdex: Shotdex, test: Store) -> None:
        first = shotdex("diff", "test", "names", "--store", test.root).out.splitlines()[0]
        assert first == "on the 30 of 75 images that both scored"

    def test_figures_are_of_the_shared_ones(self, test: Store) -> None:
        figures = [
            accuracy_plot(test, ["names", "test"]),
            reliability_plot(test, ["names", "test"]),
            topk_plot(test, ["names", "words", "test"]),
        ]
        for figure, who in zip(figures, ("both", "both", "all 3 runs"), strict=True):
            title = " ".join(figure.axes[0].get_title(loc="left").split())
            assert f"on the 30 of 75 images that {who} scored" in title
        sizes = [text.get_text().split("n=")[1] for text in figures[0].axes[0].get_xticklabels()]
        assert sum(map(int, sizes)) == 30


class TestBaselines:
    """A baseline that is known over all conditions only."""

    @pytest.mark.parametrize("by", ["condition", "category"])
    def test_it_is_a_line_in_the_figure(self, shotdex: Shotdex, own: Store, tmp_path: Path, by: str) -> None:
        (tmp_path / "people.csv").write_text("condition,accuracy,source\nall,0.835,me\n")
        at = ("--store", own.root)
        assert shotdex("baseline", "import", tmp_path / "people.csv", *at).status == 0
        figure = accuracy_plot(own, ["names"], (by,), ["people"])
        assert "people\nover all 0.835" in [text.get_text() for text in figure.legends[0].get_texts()]
        out = ("--out", tmp_path / "a.svg")
        assert shotdex("plot", "accuracy", "--by", by, "--baseline", "people", *out, *at).status == 0

    def test_one_by_condition_is_refused_by_category(self, shotdex: Shotdex, own: Store, tmp_path: Path) -> None:
        (tmp_path / "people.csv").write_text("condition,accuracy,source\nnoisy,0.835,me\n")
        at = ("--store", own.root)
        assert shotdex("baseline", "import", tmp_path / "people.csv", *at).status == 0
        given = ("plot", "accuracy", "--by", "category", "--baseline", "people", "--out", tmp_path / "a.svg")
        failed(shotdex(*given, *at), 2, "'people'", "by condition, not by")
