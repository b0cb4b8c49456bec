"""`shotdex prompts`, through the same `main` as the installed script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from shotdex import demo
from shotdex.analysis.classify import Classification, classify
from shotdex.analysis.prompt_sweep import SweepOptions, sweep
from shotdex.analysis.prompts.build import from_names, make_prompt_set
from shotdex.models.transformers_encoder import EncoderOptions, load_encoder
from shotdex.store.store import Store
from shotdex.store.types import Combine
from tests.conftest import Ran, index

Run = Callable[..., Ran]
SHIPPED = (
    "fashion-mnist-described", "fashion-mnist-many", "fashion-mnist-names", "fashion-mnist-photo", "names", "sentences",
    "words",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 48 shipped images, three of each category in two conditions, and two runs of the demo model."""
    folder = tmp_path_factory.mktemp("made")
    for condition in ("realistic", "geons"):
        for category in demo.CATEGORIES:
            for path in sorted((demo.EVALUATION / condition).glob(f"{category.title()}0[123]-*"))[:3]:
                (folder / "pics" / condition).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / "pics" / condition)
    store, encoder = Store.create(folder / "store"), load_encoder("demo", EncoderOptions("cpu", "float32"))
    report = index(store, folder / "pics", encoder, "{condition}/{category}*", demo.CATEGORIES)  # type: ignore[arg-type]
    assert (report.added, report.unlabelled) == (48, 0)
    animals = make_prompt_set(
        "animals", {"dog": ["a dog"], "bird": ["a duck", "a bird"]}, combine=Combine.MAX, aliases={"bird": ["duck"]}
    )
    for prompts in (from_names(demo.CATEGORIES), animals):
        classify(store, Classification(prompts), lambda _: encoder)
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with no store in it or above it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(made: Path, nowhere: Path) -> Path:
    """A working folder with a copy of the store."""
    shutil.copytree(made / "store", nowhere / ".shotdex")
    return nowhere


def failed(ran: Ran, status: int, *words: str) -> None:
    assert ran.status == status, ran
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


class TestList:
    """shotdex prompts list"""

    def test_without_a_store(self, shotdex: Run, nowhere: Path) -> None:
        ran = shotdex("prompts", "list")
        assert (ran.status, ran.err) == (0, "")
        rows = [line.split() for line in ran.out.splitlines()]
        assert rows[0] == ["where", "name", "classes", "prompts", "templates", "combine", "sha256"]
        assert [row[:2] for row in rows[2:]] == [["shipped", name] for name in SHIPPED]
        assert rows[2 + SHIPPED.index("fashion-mnist-many")][2:6] == ["10", "40", "0", "max"]
        assert rows[2 + SHIPPED.index("sentences")][2:6] == ["8", "24", "3", "mean"]

    def test_with_one(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("prompts", "list")
        assert [line.split("  ")[0] for line in ran.out.splitlines()[2:]] == ["shipped"] * 7 + ["store"] * 2
        found = json.loads(shotdex("prompts", "list", "--json").out)
        assert [entry["name"] for entry in found] == [*SHIPPED, "bare names", "animals"]
        assert found[-1]["where"] == "store"
        assert found[-1]["prompts"]["classes"] == {"dog": ["a dog"], "bird": ["a duck", "a bird"]}
        assert found[-1]["prompts"]["aliases"] == {"bird": ["duck"]}
        assert found[-1]["prompts"]["sha256"][:12] in ran.out

    def test_a_store_that_was_named_has_to_be_there(
        self, shotdex: Run, nowhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for words in (("list",), ("check", "names")):
            failed(shotdex("prompts", *words, "--store", "gone"), 1, "no store at gone")
        failed(shotdex("prompts", "show", "mine", "--store", "gone"), 1, "no store at gone")
        monkeypatch.setenv("SHOTDEX_STORE", str(nowhere / "lost"))
        for words in (("list",), ("check", "names")):
            failed(shotdex("prompts", *words), 1, "no store at", "lost")
        assert shotdex("prompts", "show", "names").status == 0, "a shipped set needs none"


class TestShow:
    """shotdex prompts show"""

    def test_a_shipped_set_without_a_store(self, shotdex: Run, nowhere: Path) -> None:
        ran = shotdex("prompts", "show", "sentences")
        assert ran.status == 0, ran.err
        lines = ran.out.splitlines()
        assert lines[0].startswith("sentences: 8 classes, combined by mean, sha256 ")
        assert [line for line in lines if line.startswith("template:")] == [
            "template: a photo of {}", "template: a drawing of {}", "template: a picture of {}",
        ]  # fmt: skip
        assert "airplane  a drawing of an airplane" in lines
        assert len([line for line in lines if line.startswith("hat ")]) == 3
        found = json.loads(shotdex("prompts", "show", "sentences", "--json").out)
        assert (found["name"], len(found["classes"]), found["combine"]) == ("sentences", 8, "mean")

    def test_a_set_that_a_run_used(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("prompts", "show", "animals")
        assert ran.out.startswith("animals: 2 classes, combined by max, sha256 ")
        assert ran.out.endswith("class  also labelled\n-----  -------------\nbird   duck\n")
        sha256 = json.loads(shotdex("prompts", "show", "animals", "--json").out)["sha256"]
        assert shotdex("prompts", "show", sha256[:8]).out == ran.out
        (here / "animals").mkdir()
        assert shotdex("prompts", "show", "animals").out == ran.out, "a folder of that name is no prompt file"

    def test_a_file_comes_first(self, shotdex: Run, here: Path) -> None:
        for name in ("names", "animals"):
            write(here, name, 'name = "mine"\nclasses = ["a", "b"]\n')
            assert shotdex("prompts", "show", name).out.startswith("mine: 2 classes")
        write(here, "animals", "classes = 3")
        failed(shotdex("prompts", "show", "animals"), 2, "neither a list nor a table")

    def test_published_names(self, shotdex: Run, nowhere: Path) -> None:
        write(nowhere, "n.json", json.dumps({"pets": ["cat", "dog"], "birds": ["duck", "owl"]}))
        assert shotdex("prompts", "show", "n.json#birds").out.splitlines()[-1].split() == ["owl", "owl"]
        failed(shotdex("prompts", "show", "n.json"), 2, "holds 2 sets", "pets, birds")

    def test_what_is_not_there(self, shotdex: Run, here: Path) -> None:
        failed(shotdex("prompts", "show", "wrods"), 2, "no prompt file wrods", "words")
        failed(shotdex("prompts", "show"), 2, "SET")

    def test_control_characters_do_not_reach_the_terminal(self, shotdex: Run, nowhere: Path) -> None:
        write(nowhere, "p.toml", 'name = "x\\u001b[31m"\ntemplates = ["\\u0007{}"]\nclasses = ["a\\u0007", "b"]\n')
        for words in (("show",), ("check",)):
            assert "\x1b" not in shotdex("prompts", *words, "p.toml").out
            assert "\x07" not in shotdex("prompts", *words, "p.toml").out


GOOD = dict.fromkeys(demo.CATEGORIES, "x")


def toml(classes: Mapping[str, str], rest: str = "") -> str:
    lines = [f"{json.dumps(name)} = {json.dumps(f'a {name} {text}')}" for name, text in classes.items()]
    return "[classes]\n" + "\n".join(lines) + "\n" + rest


class TestCheck:
    """shotdex prompts check"""

    def test_without_a_store_the_texts_alone(self, shotdex: Run, nowhere: Path) -> None:
        ran = shotdex("prompts", "check", "names")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out == "names: 0 findings (no store here, so only the texts were checked)\n"
        Path("one.toml").write_text('name = "one"\n[classes]\nred = "same"\nblue = "same"\n')
        assert "\none: 1 finding (no store" in shotdex("prompts", "check", "one.toml").out
        write(nowhere, "p.toml", 'classes = {shoe = "a boot", boot = "a boot"}')
        ran = shotdex("prompts", "check", "p.toml")
        assert ran.status == 1
        assert ran.out.splitlines()[0] == "problem: the prompt 'a boot' stands for several classes: boot, shoe"
        assert ran.err == ""

    def test_nothing_wrong(self, shotdex: Run, here: Path) -> None:
        for name in ("names", "sentences", "words"):
            ran = shotdex("prompts", "check", name)
            assert (ran.status, ran.out) == (0, f"{name}: 0 findings (texts, categories and lengths)\n")

    def test_categories_of_no_class(self, shotdex: Run, here: Path) -> None:
        classes = {name.replace("cup", "CUP").replace("hat", "bonnet"): "x" for name in demo.CATEGORIES}
        write(here, "p.toml", toml(classes))
        ran = shotdex("prompts", "check", "p.toml")
        assert ran.status == 1
        assert ran.out.splitlines() == [
            "problem: 6 images of 'cup' match no class; if it means 'CUP', add it under [aliases]",
            "problem: 6 images of 'hat' match no class",
            "note: no image has the class 'CUP'",
            "note: no image has the class 'bonnet'",
            "p: 4 findings (texts, categories and lengths)",
        ]
        write(here, "q.toml", toml(classes, '[aliases]\nCUP = "cup"\nbonnet = ["hat", "cap"]\n'))
        assert shotdex("prompts", "check", "q.toml").status == 0
        found = json.loads(shotdex("prompts", "check", "p.toml", "--json").out)
        assert [finding["weight"] for finding in found["findings"]] == ["problem"] * 2 + ["note"] * 2
        assert shotdex("prompts", "check", "p.toml", "--json").status == 1

    def test_notes_are_no_problem(self, shotdex: Run, here: Path) -> None:
        write(here, "p.toml", toml(GOOD | {"unicorn": "x"}))
        ran = shotdex("prompts", "check", "p.toml")
        assert (ran.status, ran.out.splitlines()[0]) == (0, "note: no image has the class 'unicorn'")

    def test_a_filter(self, shotdex: Run, here: Path) -> None:
        write(here, "p.toml", toml({"cup": "x", "hat": "y"}))
        assert shotdex("prompts", "check", "p.toml").status == 1
        assert shotdex("prompts", "check", "p.toml", "--where", "category IN ('cup', 'hat')").status == 0
        failed(shotdex("prompts", "check", "p.toml", "--where", "nonsense = 1"), 1, "nonsense")

    def test_a_prompt_longer_than_the_model_reads(self, shotdex: Run, here: Path) -> None:
        """One token for `a`, one for `cup`, and 28 or 29 words of one token each, between begin and end."""
        write(here, "fits.toml", toml(GOOD | {"cup": " ".join(["dog"] * 28)}))
        write(here, "over.toml", toml(GOOD | {"cup": " ".join(["dog"] * 29)}))
        assert shotdex("prompts", "check", "fits.toml").status == 0
        ran = shotdex("prompts", "check", "over.toml")
        assert ran.status == 1
        assert ran.out.startswith("problem: the model reads 32 of the 33 tokens of 'a cup dog dog")

    def test_a_set_of_the_store(self, shotdex: Run, here: Path) -> None:
        ran = shotdex("prompts", "check", "animals", "--where", "category IN ('dog', 'duck')")
        assert ran.status == 0
        assert ran.out.startswith("note: with max, classes with more prompts win more often")

    def test_lengths_that_could_not_be_looked_at(
        self, shotdex: Run, nowhere: Path, made: Path, clip_folder: Path
    ) -> None:
        store, moved = Store.create(nowhere / ".shotdex"), nowhere / "moved"
        ran = shotdex("prompts", "check", "names")
        assert (ran.status, "has no encoder yet" in ran.err) == (0, True)
        assert ran.out.endswith("names: 8 findings (texts and categories)\n")
        shutil.copytree(clip_folder, moved)
        mine = load_encoder(str(moved), EncoderOptions("cpu"))
        index(store, made / "pics", mine, "{condition}/{category}*", demo.CATEGORIES)  # type: ignore[arg-type]
        assert shotdex("prompts", "check", "names").out.endswith("(texts, categories and lengths)\n")
        shutil.rmtree(moved)
        ran = shotdex("prompts", "check", "names")
        assert (ran.status, "lengths were not checked: " in ran.err) == (0, True)
        assert ran.out == "names: 0 findings (texts and categories)\n"

    def test_several_encoders(self, shotdex: Run, here: Path, made: Path, clip_folder: Path) -> None:
        other = load_encoder(str(clip_folder), EncoderOptions("cpu"))
        index(Store.open(here / ".shotdex"), made / "pics", other, "{condition}/{category}*", demo.CATEGORIES)  # type: ignore[arg-type]
        write(here, "p.toml", toml(GOOD | {"cup": " ".join(["dog"] * 20)}))
        ran = shotdex("prompts", "check", "p.toml")
        assert (ran.status, ran.out) == (0, "p: 0 findings (texts and categories)\n")
        assert "several encoders" in ran.err
        assert "--model" in ran.err
        assert shotdex("prompts", "check", "p.toml", "--model", "demo").status == 0
        assert "reads 16 of the" in shotdex("prompts", "check", "p.toml", "--model", clip_folder).out
        failed(shotdex("prompts", "check", "p.toml", "--model", "third"), 1, "third")


class TestSweep:
    """shotdex prompts sweep"""

    TEMPLATES = ("{}", "no {} here", "an owl and a cow, not {}")

    def arguments(self, *templates: str) -> list[str]:
        return [word for template in templates for word in ("--template", template)]

    def test_it_prints_what_the_library_gives(self, shotdex: Run, here: Path) -> None:
        given = ["prompts", "sweep", *self.arguments(*self.TEMPLATES), "--seed", "3", "--device", "cpu"]
        ran = shotdex(*given)
        assert ran.status == 0, ran.err
        encoder = load_encoder("demo", EncoderOptions("cpu", "float32"))
        want = sweep(
            Store.open(here / ".shotdex"),
            from_names(demo.CATEGORIES, self.TEMPLATES),
            SweepOptions(seed=3),
            lambda _: encoder,
        )
        found = json.loads(shotdex(*given, "--json").out)
        assert [trial["chosen_on"]["value"] for trial in found["trials"]] == [t.chosen_on.value for t in want.trials]
        assert [trial["reported_on"]["n"] for trial in found["trials"]] == [24] * 7
        assert found["best"]["template"] == want.best.template
        assert found["against_all"]["p_value"] == want.against_all.p_value
        lines = ran.out.splitlines()
        assert lines[0].startswith("images: indexed ")
        assert lines[1] == "chosen on a random half of each class, reported on the other (seed 3)"
        rows = [line for line in lines if line.startswith(("all ", "alone ", "without "))]
        assert len(rows) == 7
        for row, trial in zip(rows, want.trials, strict=True):
            assert f" {trial.chosen_on.value:.3f} " in row
            assert f" {trial.reported_on.value:.3f} " in row
            assert row.endswith("best") == (trial is want.best)
        listed = [json.loads(line) for line in shotdex(*given, "--format", "jsonl").out.splitlines()]
        assert [row["reported_on"] for row in listed] == [trial.reported_on.value for trial in want.trials]

    def test_what_follows_is_said(self, shotdex: Run, here: Path) -> None:
        same = shotdex("prompts", "sweep", "--prompts", "sentences")
        assert same.out.endswith("\n\nAll templates together do best on the choosing images.\n")
        other = ("prompts", "sweep", *self.arguments("{}", "an owl and a cow, not {}"))
        found = json.loads(shotdex(*other, "--json").out)["against_all"]
        value, low, high = (found["difference"][part] for part in ("value", "low", "high"))
        assert shotdex(*other).out.splitlines()[-2:] == [
            "Best on the choosing images: alone '{}'. On the reporting images that is "
            f"{value:+.3f} [{low:+.3f}, {high:+.3f}] against all templates",
            f"(n=24, exact McNemar p = {found['p_value']:.3g}; 3 trials were compared, "
            "so quote only the reporting column).",
        ]

    def test_filters_and_published_templates(self, shotdex: Run, here: Path) -> None:
        write(here, "t.json", json.dumps({"pets": ["a photo of a {c}.", "a {c}"]}))
        given = ("prompts", "sweep", "--template", "t.json#pets", "--classes", "dog,duck,hat", "--json")
        found = json.loads(shotdex(*given, "--choose-where", "condition = 'geons'").out)
        assert found["how"] == "chosen on condition = 'geons', reported on the rest"
        assert [trial["template"] for trial in found["trials"]] == ["", "a photo of a {}.", "a {}"]
        assert {trial["chosen_on"]["n"] for trial in found["trials"]} == {9}
        found = json.loads(shotdex(*given, "--where", "category <> 'hat'").out)
        assert found["trials"][0]["chosen_on"]["n"] + found["trials"][0]["reported_on"]["n"] == 12

    def test_it_records_no_run(self, shotdex: Run, here: Path) -> None:
        before = shotdex("runs", "--json").out, shotdex("prompts", "list", "--json").out
        assert shotdex("prompts", "sweep", "--prompts", "sentences").status == 0
        assert (shotdex("runs", "--json").out, shotdex("prompts", "list", "--json").out) == before

    def test_errors(self, shotdex: Run, here: Path) -> None:
        sweep_ = ("prompts", "sweep")
        failed(shotdex(*sweep_, "--prompts", "names"), 2, "has no templates", "--template")
        failed(shotdex(*sweep_, "--prompts", "sentences", "--template", "a {}"), 2, "--prompts")
        failed(shotdex(*sweep_, "--prompts", "sentences", "--seed", "-1"), 2, "--seed")
        both = ("--choose-where", "true", "--report-where", "condition = 'geons'")
        failed(shotdex(*sweep_, "--prompts", "sentences", *both), 2, "24 images would both choose and report")
        failed(shotdex(*sweep_, "--prompts", "sentences", "--choose-where", "true"), 1, "no image")
        failed(shotdex(*sweep_, "--prompts", "fashion-mnist-photo"), 1, "no image has a category")

    def test_without_a_store(self, shotdex: Run, nowhere: Path) -> None:
        failed(shotdex("prompts", "sweep", "--prompts", "sentences"), 1, "there is no store", "shotdex index")


def test_typos(shotdex: Run) -> None:
    failed(shotdex("prompts", "chekc", "names"), 2, "chekc")
